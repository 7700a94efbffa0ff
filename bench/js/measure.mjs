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

// CPU time of this process in ms, all threads: what collects garbage and compiles beside the main thread counts, too.
export const cpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e3
}

// timed returns the CPU time of f, the garbage before it collected.
export const timed = f => {
  globalThis.gc()
  const begin = cpu()
  f()
  return round(cpu() - begin)
}

// start returns a function that tells the time since then.
export const start = () => {
  globalThis.gc()
  const wall = performance.now()
  const begin = cpu()
  return () => {
    const used = cpu() - begin
    return { ms: round(performance.now() - wall), cpu_ms: round(used) }
  }
}

export const median = all => all.sort((a, b) => a - b)[(all.length - 1) >> 1]

// How much CPU time, in ms, repeats of a task may take.
const ENOUGH = 2000

// again returns the median CPU time of up to n times f, which returns it.
export const again = (n, f) => {
  const begin = cpu()
  const all = []
  while (!all.length || (all.length < n && cpu() - begin < ENOUGH)) all.push(f())
  return median(all)
}

// repeated does a whole task once, and up to six times more as long as all takes no more than enough. Each gives its times
// by name: those of the first are returned under that name, the medians of the others under the name for later ones.
const later = { cpu_ms: 'warm_ms', save_ms: 'save_again_ms', load_ms: 'load_again_ms' }
export const repeated = async task => {
  const begin = cpu()
  const out = await task(true)
  const one = cpu() - begin
  const all = []
  while (all.length < 6 && cpu() - begin + one < ENOUGH) all.push(await task(false))
  for (const [k, name] of Object.entries(later)) if (all.length && k in out) out[name] = median(all.map(x => x[k]))
  return out
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
  return { heap: m.heapUsed + m.arrayBuffers + wasm, rss: m.rss, wasm }
}

// grown tells nothing where a library's own memory, which only grows, had room from before.
export const grown = async (before, used = false) => {
  const now = await memory()
  if (used && now.wasm) return {}
  return { heap_bytes: now.heap - before.heap, rss_bytes: now.rss - before.rss }
}

export const sized = state => ({ save_bytes: state.length, save_gzip: zlib.gzipSync(state, { level: 6 }).length })
