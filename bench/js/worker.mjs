// Measures one task of one library on one trace: node --expose-gc worker.mjs PEER TASK [TRACE], one JSON line on stdout.
// Tasks and fields are those of "weft bench". Environment: TRACES (directory of the traces), WORK (where
// "weft bench -workloads" wrote, and where messages and saved states are kept, in WORK/PEER).
import fs from 'node:fs'
import zlib from 'node:zlib'
import { again, grown, memory, repeated, sized, start, timed } from './measure.mjs'

const [peer, task, trace = ''] = process.argv.slice(2)
const { TRACES, WORK } = process.env
const P = (await import(`./peers/${peer}.mjs`)).default
const line = o => console.log(JSON.stringify({ peer, task, trace, ...o }))
const check = (ok, text) => { if (!ok) throw new Error(text) }

const readTrace = () => JSON.parse(zlib.gunzipSync(fs.readFileSync(`${TRACES}/${trace}.json.gz`)))
const readEnd = () => { // nothing of the trace that measuring memory could see go
  const { kind, endContent } = readTrace()
  return { kind, endContent: Buffer.from(endContent).toString() }
}
const edits = t => t.txns.flatMap(x => x.patches.map(([at, del, insert]) => ({ text: { at, delete: del, insert } })))
const dir = `${WORK}/${peer}`
fs.mkdirSync(dir, { recursive: true })

function writeMessages (messages) {
  const parts = []
  for (const m of messages) {
    const n = Buffer.alloc(4)
    n.writeUInt32LE(m.length)
    parts.push(n, m)
  }
  fs.writeFileSync(`${dir}/${trace}.messages`, Buffer.concat(parts))
}
function readMessages () {
  const b = fs.readFileSync(`${dir}/${trace}.messages`)
  const out = []
  for (let i = 0; i < b.length;) {
    const n = b.readUInt32LE(i)
    out.push(new Uint8Array(b.subarray(i + 4, i + 4 + n)))
    i += 4 + n
  }
  return out
}
const readState = () => new Uint8Array(fs.readFileSync(`${dir}/${trace}.state`))
const total = messages => messages.reduce((n, m) => n + m.length, 0)

// saved measures the first save, and later ones after an edit each.
function saved (h) {
  let state
  const save = timed(() => { state = P.save(h) })
  const later = again(6, () => {
    P.edit(h, [{ text: { at: 0, insert: 'x' } }])
    return timed(() => P.save(h))
  })
  return { save_ms: save, save_again_ms: later, ...sized(state) }
}

// Concurrent traces: libraries may order concurrent inserts differently, which is told; the length must be right.
function compare (t, text) {
  if (text === t.endContent) return {}
  check(t.kind === 'concurrent' && text.length === t.endContent.length, "the text is not the trace's")
  return { different: true }
}

// What is replayed is read after the first look at the memory and gone before the next: what the library keeps of it counts.
async function local (emits) {
  const end = readEnd()
  let messages = 0
  let bytes = 0
  const before = await memory()
  let ops = edits(readTrace())
  const clock = start()
  const h = P.create(0, emits ? m => { messages++; bytes += m.length } : null)
  for (const op of ops) P.edit(h, [op])
  let text = P.text(h)
  const time = clock()
  compare(end, text)
  ops = text = null
  const size = await grown(before)
  line({ ...time, ...size, messages, message_bytes: bytes, ...saved(h) })
}

async function atOnce () {
  const end = readEnd()
  let bytes = 0
  const before = await memory()
  let ops = edits(readTrace())
  const clock = start()
  const h = P.create(0, m => { bytes += m.length })
  P.edit(h, ops)
  let text = P.text(h)
  const time = clock()
  compare(end, text)
  ops = text = null
  const size = await grown(before)
  line({ ...time, ...size, messages: 1, message_bytes: bytes, ...saved(h) })
}

// prepare writes messages and state. In a concurrent trace each agent writes where it knows exactly the ancestors; its
// replica is there from its first transaction to its last.
function prepare () {
  const t = readTrace()
  let sink = null
  const replicas = Array(t.numAgents || 1).fill(null)
  const known = replicas.map(() => new Set())
  const last = []
  t.txns.forEach((x, i) => { last[x.agent || 0] = i })
  let written = null
  const made = []
  t.txns.forEach((x, i) => {
    const agent = x.agent || 0
    const lacks = []
    const stack = [...x.parents || []]
    while (stack.length) {
      const j = stack.pop()
      if (known[agent].has(j)) continue
      known[agent].add(j)
      lacks.push(j)
      stack.push(...t.txns[j].parents)
    }
    sink = null // some libraries announce what others wrote, too
    const replica = replicas[agent] ||= P.create(agent, m => { if (sink) sink.push(m) })
    lacks.sort((a, b) => a - b)
    const inbox = lacks.flatMap(j => made[j])
    if (inbox.length > 1 && P.applyBatch) P.applyBatch(replica, inbox)
    else for (const m of inbox) P.apply(replica, m)
    sink = []
    for (const [at, del, insert] of x.patches) P.edit(replica, [{ text: { at, delete: del, insert } }])
    made.push(sink)
    known[agent].add(i)
    if (i === last[agent]) {
      written = replica
      replicas[agent] = null
    }
  })
  sink = null
  const messages = made.flat()
  writeMessages(messages)
  let h = written
  if (t.kind === 'concurrent') {
    h = P.create(1e6, null)
    if (P.applyBatch) P.applyBatch(h, messages)
    else for (const m of messages) P.apply(h, m)
  }
  compare(t, P.text(h))
  fs.writeFileSync(`${dir}/${trace}.state`, P.save(h))
  line({})
}

async function remote (batch) {
  if (batch && !P.applyBatch) return line({ skipped: 'no such call' })
  const t = readEnd()
  const before = await memory() // the messages are read after this and gone before the next: neither counts them
  let messages = readMessages()
  const counts = { messages: messages.length, message_bytes: total(messages) }
  const clock = start()
  const h = P.create(1e6, null)
  if (batch) P.applyBatch(h, messages)
  else for (const m of messages) P.apply(h, m)
  let text = P.text(h)
  const time = clock()
  const same = compare(t, text)
  messages = text = null
  const size = await grown(before)
  line({ ...time, ...size, ...same, ...counts, ...saved(h) })
}

async function load () {
  const t = readEnd()
  const before = await memory()
  let state = readState()
  const size = sized(state)
  const clock = start()
  const h = P.load(1e6, state, null)
  let text = P.text(h)
  const time = clock()
  const same = compare(t, text)
  state = text = null
  const memoryGrown = await grown(before)
  P.text(h)
  state = readState()
  const warm = again(6, () => timed(() => P.text(P.load(1e6, state, null))))
  line({ ...time, ...memoryGrown, ...same, warm_ms: warm, ...size })
}

function first () {
  const middle = readTrace().endContent.length >> 1
  const state = readState()
  let bytes = 0
  const edit = () => {
    const h = P.load(1e6, state, m => { bytes = m.length })
    P.edit(h, [{ text: { at: middle, insert: 'x' } }])
  }
  const clock = start()
  edit()
  const time = clock()
  line({ ...time, warm_ms: again(6, () => timed(edit)), messages: 1, message_bytes: bytes })
}

async function diverge (n) {
  if (!P.since) return line({ skipped: 'no such call' })
  const state = readState()
  const script = JSON.parse(fs.readFileSync(`${WORK}/delta-${trace}.json`))
  const side = (id, ops) => {
    const h = P.load(id, state, null)
    const base = P.version(h)
    for (const text of ops.slice(0, n)) P.edit(h, [{ text }])
    return [h, base]
  }
  line(await repeated(() => {
    const [a, base] = side(1e6 + 1, script.a)
    const [b] = side(1e6 + 2, script.b)
    const clock = start()
    const fromA = P.since(a, base)
    const fromB = P.since(b, base)
    P.apply(a, fromB)
    P.apply(b, fromA)
    const same = P.text(a) === P.text(b)
    const time = clock()
    check(same, 'the two differ after the exchange')
    return { ...time, messages: 2, message_bytes: fromA.length + fromB.length }
  }))
}

async function workload () {
  const w = JSON.parse(fs.readFileSync(`${WORK}/${task}.json`))
  const ops = [...w.a, ...w.b || []]
  if (!P.supports(ops)) return line({ skipped: 'no such type' })
  const array = ops.reduce((n, op) => n + (op.array ? op.array.values.length : 0), 0)
  const keys = new Set(ops.filter(op => op.map).map(op => op.map.key)).size
  const counter = ops.reduce((n, op) => n + (op.amount || 0), 0)
  const whole = h => check(`${P.sizes(h)}` === `${[array, keys, counter]}`, `has ${P.sizes(h)}, not ${[array, keys, counter]}`)
  line(await repeated(first => workloadOnce(w, whole, first)))
}

async function workloadOnce (w, whole, first) {
  let sink = []
  let one = P.create(1, m => sink.push(m))
  let other = P.create(2, m => sink.push(m))
  const applyAll = (h, messages) => {
    if (P.applyBatch) P.applyBatch(h, messages)
    else for (const m of messages) P.apply(h, m)
  }
  let messages, time
  if (w.shape === 'alone') {
    messages = sink = []
    const clock = start()
    for (const op of w.a) P.edit(one, [op])
    time = clock()
    sink = []
    for (const m of messages) P.apply(other, m)
  } else if (w.shape === 'pair') {
    P.edit(one, [{ text: { at: 0, insert: w.start } }])
    const known = sink
    sink = []
    for (const m of known) P.apply(other, m)
    const fromOne = []
    const fromOther = []
    const clock = start()
    sink = fromOne
    P.edit(one, w.a)
    sink = fromOther
    P.edit(other, w.b)
    sink = []
    for (const m of fromOther) P.apply(one, m)
    for (const m of fromOne) P.apply(other, m)
    time = clock()
    messages = [...fromOne, ...fromOther]
  } else {
    messages = []
    w.a.forEach((op, i) => P.edit(P.create(10 + i, m => messages.push(m)), [op]))
    sink = []
    applyAll(one, messages)
    const clock = start()
    applyAll(other, messages)
    time = clock()
  }
  whole(one)
  whole(other)
  check(P.text(one) === P.text(other), 'the two clients differ')
  let state
  const save = timed(() => { state = P.save(one) })
  const counts = { messages: messages.length, message_bytes: total(messages), ...sized(state) }
  one = other = messages = sink = null
  const before = first ? await memory() : null
  let h
  const parse = timed(() => { h = P.load(3, state, null) })
  const size = first ? await grown(before, true) : {}
  whole(h)
  return { ...time, ...counts, save_ms: save, load_ms: parse, ...size }
}

switch (task) {
  case 't1': await local(true); break
  case 't1n': await local(false); break
  case 't1b': await atOnce(); break
  case 'prep': prepare(); break
  case 't2': await remote(false); break
  case 't2b': await remote(true); break
  case 't4': await load(); break
  case 'first': first(); break
  default: await (task.startsWith('delta-') ? diverge(Number(task.slice(6))) : workload())
}
process.exit(0)
