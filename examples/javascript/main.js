// Edits a document from the terminal, a command a line, and prints it as JSON whenever it changes.
import readline from "node:readline";
import { Client } from "./client.js";
import { Document } from "./document.js";

const usage = `usage: node main.js URL DOCUMENT [TEXT [MAP]]   TEXT and MAP: names of the roots, "text" and "map" without

commands:
  insert INDEX TEXT      delete INDEX COUNT
  set KEY JSON           unset KEY
  offline                online
  quit                   ends when everything is saved, as the end of the input does`;

const [url, name, text, map] = process.argv.slice(2);
if (!name) {
  console.error(usage);
  process.exit(2);
}
const document = new Document({ text, map });
const client = new Client(url, name, document, { token: process.env.WEFT_TOKEN });
let quit = false;

// plain is how values that JSON has no form for are shown.
const plain = (_, v) => (v instanceof Map ? Object.fromEntries(v) : typeof v === "bigint" ? String(v) : v);

function show() {
  const saved = client.saved >= document.end(document.replica);
  const { live } = client;
  console.log(JSON.stringify({ text: String(document.text), map: document.map.toJS(), live, saved }, plain));
  if (quit && saved) end(0);
}

function end(status) {
  client.onStatus = document.onChange = () => {};
  client.stop();
  process.exitCode = status;
  lines.close();
}

document.onChange = client.onStatus = show;
client.onEnd = (code, reason) => {
  console.error(`refused: ${code} ${reason}`);
  end(1);
};

const commands = {
  insert: (index, s) => document.insert(Number(index), s),
  delete: (index, count) => document.delete(Number(index), Number(count)),
  set: (key, json) => document.set(key, JSON.parse(json)),
  unset: (key) => document.set(key, undefined),
  offline: () => client.stop(),
  online: () => client.start(),
  quit: () => lines.close(),
};

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const [, command, first, rest] = /^(\S*) ?(\S*) ?(.*)$/.exec(line);
  try {
    (commands[command] ?? (() => console.error(usage)))(first, rest);
  } catch (e) {
    console.error(e.message);
  }
});
lines.on("close", () => {
  if (quit) return;
  quit = true;
  show();
});
