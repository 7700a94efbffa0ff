// Clocks and memory of this process.
import fs from 'node:fs'
import zlib from 'node:zlib'

// Memories of wasm libraries, noted as they are made: this file must be loaded before them.
const memories = new Set()
const note = i => {
  for (const v of Object.values(i.exports)) if (v instanceof WebAssembly.Memory) memories.add(v)
  return i
}
WebAssembly.Instance = new Proxy(WebAssembly.Instance, { construct: (T, args) => note(new T(...args)) })
const instantiate = WebAssembly.instantiate
WebAssembly.instantiate = async (...args) => {
  const r = await instantiate(...args)
  note(r.instance || r)
  return r
}

const round = x => Math.round(x * 1000) / 1000

// CPU time of the main thread in ms. /proc/self/schedstat tells it, but the kernel brings it up to date only when the
// thread leaves the CPU, so nap for a moment first.
const cell = new Int32Array(new SharedArrayBuffer(4))
export const cpu = () => {
  Atomics.wait(cell, 0, 0, 0.02)
  return Number(fs.readFileSync('/proc/self/schedstat', 'utf8').split(' ')[0]) / 1e6
}

// start returns a function that tells the time since then.
export const start = () => {
  const p = process.cpuUsage()
  const wall = performance.now()
  const main = cpu()
  return () => {
    const ms = performance.now() - wall
    const cpuMS = cpu() - main
    const u = process.cpuUsage(p)
    return { ms: round(ms), cpu_ms: round(cpuMS), process_ms: round((u.user + u.system) / 1e3) }
  }
}

export const again = (n, f) => {
  const all = []
  for (let i = 0; i < n; i++) {
    globalThis.gc()
    const t = start()
    f()
    all.push(t().cpu_ms)
  }
  return all.sort((a, b) => a - b)[(n - 1) >> 1]
}

// What is live on the heaps, those of wasm included (which never shrink), and what is resident.
export const memory = async () => {
  let last = Infinity
  for (let i = 0; i < 20; i++) { // what is outside of the heap goes late
    globalThis.gc()
    await new Promise(resolve => setTimeout(resolve, 20))
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    if (i > 2 && heapUsed + arrayBuffers > last * 0.999) break
    last = heapUsed + arrayBuffers
  }
  const m = process.memoryUsage()
  let wasm = 0
  for (const x of memories) wasm += x.buffer.byteLength
  return { heap: m.heapUsed + m.arrayBuffers + wasm, rss: m.rss }
}

export const grown = async before => {
  const now = await memory()
  return { heap_bytes: now.heap - before.heap, rss_bytes: now.rss - before.rss }
}

export const sized = state => ({ save_bytes: state.length, save_gzip: zlib.gzipSync(state, { level: 6 }).length })
