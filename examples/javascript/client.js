// A Client keeps one document in sync with a server (protocol.md). It dials, and comes again when the link was lost.
import { FormatError, Reader, Unsupported, crc32c, fromHex, readClock, toHex, writeClock } from "./bytes.js";
import { decode, encode } from "./cbor.js";
import { Unpacker } from "./packing.js";

const type = {
  hello: 1, bye: 2, ping: 3, pong: 4, open: 5, accept: 6, refuse: 7, close: 8, clock: 9, ask: 10, messages: 11, fresh: 12,
  begin: 13, chunk: 14, end: 15, credit: 16, synced: 17, ack: 18, held: 19, presence: 20, cast: 21,
};
const code = { none: 0, malformed: 400, notFound: 404, unknownFrame: 405, timeout: 408, tooBig: 413, corrupt: 434, newer: 440 };

const channel = 1; // odd: this side dials
const heartbeat = 20_000; // ms
const window = 1 << 18; // credit for chunks given in advance, bytes
const maxTransfer = 64 << 20;
const maxClock = 32_768;
const lackingAfter = 2_000; // ms that messages wait before the clock is sent again

export class Client {
  saved = 0; // own dots that the server has acknowledged
  durable = false; // whether they were kept for good then
  live = false; // whether the document is open on a connection that stands

  onStatus = () => {}; // hears of changes of these three
  onEnd = () => {}; // hears why this client has given up, if the server refused for good

  // token says to the server who this is.
  constructor(url, name, document, { token } = {}) {
    Object.assign(this, { url, name, document, token });
    document.onMessage = (m) => this.live && this.sendMessage(m);
    this.attempts = 0;
    this.start();
  }

  // start dials, again after stop.
  start() {
    this.wanted = true;
    const ws = (this.ws = new WebSocket(this.url));
    Object.assign(this, { hello: false, unpacker: undefined, transfer: undefined, ackIDs: [] });
    ws.binaryType = "arraybuffer";
    ws.onopen = () => {
      const options = new Map([[2, "weft javascript example"], [4, heartbeat]]);
      if (this.token) options.set(1, new TextEncoder().encode(this.token));
      this.send(type.hello, 0, 1, 1, options);
    };
    ws.onmessage = ({ data }) => ws === this.ws && this.receive(new Uint8Array(data));
    ws.onclose = () => ws === this.ws && this.lost();
    ws.onerror = () => {}; // onclose follows
    this.heardAt = this.sentAt = Date.now();
    this.timer = setInterval(() => this.tick(), heartbeat / 10);
  }

  // stop ends the connection. What was not acknowledged goes with the next start.
  stop(c = code.none, reason = "done") {
    this.wanted = false;
    clearTimeout(this.again);
    if (this.live) this.send(type.close, channel);
    this.drop(c, reason);
  }

  // drop says bye and closes the connection.
  drop(c, reason) {
    if (this.ws?.readyState === WebSocket.OPEN) this.send(type.bye, 0, c, reason);
    this.ws?.close();
    this.lost();
  }

  lost() {
    clearInterval(this.timer);
    clearTimeout(this.lacking);
    this.lacking = this.ws = undefined;
    this.live = false;
    if (this.wanted) {
      const pause = Math.min(500 * 2 ** this.attempts++, 30_000) * (0.5 + Math.random());
      this.again = setTimeout(() => this.start(), pause);
    }
    this.onStatus();
  }

  // refused ends the connection if code c says that the same would happen again, else comes back later.
  refused(c, reason) {
    if (c >= 500 && c < 600) return this.drop(code.none, "later");
    this.giveUp(code.none, "refused", c, reason);
  }

  // giveUp ends the connection for good; why is what onEnd hears.
  giveUp(c, reason, ...why) {
    this.stop(c, reason);
    this.onEnd(...(why.length ? why : [c, reason]));
  }

  tick() {
    const now = Date.now();
    if (now - this.heardAt > 2 * heartbeat) this.drop(code.timeout, "silence");
    else if (this.hello && now - Math.min(this.heardAt, this.sentAt) >= heartbeat) this.send(type.ping, 0, 0);
  }

  send(...frame) {
    this.sentAt = Date.now();
    this.ws.send(encode(frame));
  }

  // sendMessage sends a message as a stream of its own, so nothing needs to be remembered between them.
  sendMessage({ packed }) {
    this.send(type.fresh, channel, packed);
  }

  receive(bytes) {
    this.heardAt = Date.now();
    try {
      const frame = decode(bytes);
      if (!Array.isArray(frame) || frame.length < 2) throw new FormatError("no frame");
      this.handle(...frame);
    } catch (e) {
      if (e instanceof Unsupported) this.giveUp(code.newer, e.message);
      else if (e instanceof FormatError || e instanceof TypeError) this.giveUp(code.malformed, e.message);
      else throw e;
    }
  }

  handle(t, ch, ...rest) {
    if (t >= 128) return; // a type that may be skipped
    if (!this.hello && t !== type.hello && t !== type.bye) throw new FormatError("no hello");
    if (ch === 0) return this.handleConnection(t, ...rest);
    if (t === type.open) return this.send(type.refuse, ch, code.notFound, "this client serves no documents", null);
    if (ch === channel) return this.handleDocument(t, ...rest);
  }

  handleConnection(t, ...rest) {
    switch (t) {
      case type.hello: {
        this.hello = true;
        const clock = writeClock(this.document.clock);
        const options = new Map([
          [1, fromHex(this.document.replica)],
          [2, clock.length <= maxClock ? clock : writeClock(new Map())], // less is allowed, and costs a state
          [4, 0],
          [6, window],
        ]);
        return this.send(type.open, channel, new TextEncoder().encode(this.name), options);
      }
      case type.bye:
        return this.refused(...rest);
      case type.ping:
        return this.send(type.pong, 0, rest[0]);
      case type.pong:
        return;
      default:
        this.giveUp(code.unknownFrame, `frame ${t}`);
    }
  }

  handleDocument(t, a, b) {
    switch (t) {
      case type.accept:
        this.live = true;
        this.attempts = 0;
        this.durable = a.get(4) === 2;
        this.peerReplica = a.get(1);
        if (a.has(2)) return this.peerHolds(readClock(a.get(2)), true);
        return this.send(type.ask, channel);
      case type.clock:
        return this.peerHolds(readClock(a), true);
      case type.refuse:
        return this.refused(a, b);
      case type.close:
        return this.drop(code.none, "closed");
      case type.ask:
        return this.sendClock();
      case type.fresh:
      case type.messages:
        if (t === type.fresh) this.unpacker = new Unpacker();
        if (!this.unpacker) throw new FormatError("messages before fresh ones");
        return this.take(a);
      case type.begin:
        if (b > maxTransfer) return this.giveUp(code.tooBig, "a transfer of this size");
        this.transfer = { kind: a, bytes: new Uint8Array(b), got: 0 };
        return;
      case type.chunk:
        if (!this.transfer || a.length > this.transfer.bytes.length - this.transfer.got) throw new FormatError("too many chunks");
        this.transfer.bytes.set(a, this.transfer.got);
        this.transfer.got += a.length;
        return this.send(type.credit, channel, a.length);
      case type.end:
        return this.endTransfer(a);
      case type.ack:
        return this.acknowledged(new Reader(a));
      case type.held:
        return this.peerHolds(readClock(a), false);
      case type.credit:
      case type.synced:
      case type.presence:
      case type.cast:
        return; // nothing goes out in chunks; presence and casts are left to those who show them
      default:
        this.giveUp(code.unknownFrame, `frame ${t}`);
    }
  }

  take(packed) {
    const r = new Reader(packed);
    while (r.left) this.document.receive(this.unpacker.read(r));
    if (this.document.waiting.size === 0 || this.lacking) return;
    this.lacking = setTimeout(() => {
      this.lacking = undefined;
      if (this.document.waiting.size > 0) this.sendClock();
    }, lackingAfter);
  }

  sendClock() {
    const clock = writeClock(this.document.clock);
    this.send(type.clock, channel, clock.length <= maxClock ? clock : writeClock(new Map()));
  }

  endTransfer(sum) {
    const { kind, bytes, got } = this.transfer ?? {};
    this.transfer = undefined;
    if (got !== bytes?.length || crc32c(bytes) !== sum) throw new FormatError("a transfer that came in wrong");
    if (kind === 2 || kind === 3) return this.peerHolds(readClock(bytes), kind === 2);
    if (!this.document.load(bytes)) this.sendClock(); // a delta whose base this side lacks
  }

  // peerHolds takes a clock of the server: an acknowledgement, and a question where it asks for what it lacks.
  peerHolds(clock, asked) {
    const end = clock.get(this.document.replica) ?? 0;
    this.saved = asked ? end : Math.max(this.saved, end);
    if (asked) {
      for (const m of this.document.own) if (m.end > end) this.sendMessage(m);
      this.send(type.synced, channel);
    }
    this.onStatus();
  }

  acknowledged(r) {
    while (r.left) {
      const number = r.uvarint();
      if (number === 4096) this.ackIDs = [];
      if (number === this.ackIDs.length || number === 4096) this.ackIDs.push(r.id());
      const id = this.ackIDs[number % 4096];
      const end = r.uvarint();
      if (!id) throw new FormatError("number in an ack");
      if (id === this.document.replica) this.saved = Math.max(this.saved, end);
    }
    this.onStatus();
  }
}
