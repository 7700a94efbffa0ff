// Reads updates in several ways and prints what they say, for the tests. Each line of the input is {bundle, messages, early,
// delta, state}: a history as a bundle, and as messages one by one; the messages of a part of it, and a delta from there on;
// its state. All are hexadecimal digits.
import assert from "node:assert/strict";
import readline from "node:readline";
import { Reader, checkSum, fromHex } from "../bytes.js";
import { decode } from "../cbor.js";
import { Document } from "../document.js";
import { Unpacker, readMessage } from "../packing.js";

function document(...updates) {
  const d = new Document({ text: "body", map: "fields" });
  for (const u of updates) assert.equal(d.load(fromHex(u)), true);
  assert.equal(d.waiting.size, 0);
  return d;
}

function same(a, b) {
  const heads = (d) => [...d.heads].sort();
  assert.deepEqual(heads(a), heads(b));
  assert.deepEqual(new Map([...a.clock].sort()), new Map([...b.clock].sort()));
  assert.equal(a.lamport, b.lamport);
  assert.equal(String(a.text), String(b.text));
  const entries = (d) => new Map(d.map.entries.map((e) => [`${e.id} ${e.seq}`, e]));
  assert.deepEqual(entries(a), entries(b));
  assert.equal(a.map.entries.length, b.map.entries.length);
  assert.deepEqual(places(a.text), places(b.text));
}

function places(text) {
  const out = [];
  for (let e = text.start.next; e; e = e.next) out.push([e.id, e.seq, e.visible, e.side, e.parent.id, e.parent.seq]);
  return out;
}

function unpack(bundle) {
  const r = new Reader(decode(bundle).value);
  r.take(2);
  const unpacker = new Unpacker();
  const messages = Array.from({ length: r.count() }, () => unpacker.read(r));
  checkSum(r);
  return messages;
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { bundle, messages, early, delta, state } = JSON.parse(line);
  const plain = messages.map((m) => {
    const r = new Reader(decode(fromHex(m)));
    r.take(1);
    return readMessage(r);
  });
  assert.deepEqual(unpack(fromHex(bundle)), plain);

  const whole = document(bundle);
  same(document(...messages.reverse()), whole);
  same(document(state), whole);
  same(document(...early, delta), whole);
  same(document(...early, state), whole);
  const late = document(...early);
  const before = String(late.text);
  if (early.length < messages.length && early.length > 0) assert.equal(document().load(fromHex(delta)), false);
  assert.equal(String(late.text), before);
  console.log(JSON.stringify({ text: String(whole.text), map: Object.fromEntries(whole.map.toJS()) }));
}
