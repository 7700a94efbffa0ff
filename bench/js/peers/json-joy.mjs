// json-joy, its JSON CRDT: patches as messages, a model as the saved state.
import { Model } from 'json-joy/lib/json-crdt/index.js'
import { Patch } from 'json-joy/lib/json-crdt-patch/index.js'
const START = (() => {
  const m = Model.create(undefined, 65999)
  m.api.set({ text: '', array: [], map: {} })
  m.api.flush()
  return m.toBinary()
})()
const P = {
  create: (n, emit) => P.load(n, START, emit),
  supports: ops => ops.every(op => !op.amount),
  edit (h, ops) {
    for (const op of ops) {
      if (op.text) {
        if (op.text.delete) h.text.del(op.text.at, op.text.delete)
        if (op.text.insert) h.text.ins(op.text.at, op.text.insert)
      } else if (op.array) h.m.api.arr(['array']).ins(op.array.at, op.array.values)
      else h.m.api.obj(['map']).set({ [op.map.key]: op.map.value })
    }
    const p = h.m.api.flush()
    if (h.emit) h.emit(p.toBinary())
  },
  sizes: h => [h.m.api.arr(['array']).length(), Object.keys(h.m.api.obj(['map']).view()).length, 0],
  text: h => h.text.view(),
  apply: (h, m) => h.m.applyPatch(Patch.fromBinary(m)),
  save: h => h.m.toBinary(),
  load (n, state, emit) { const m = Model.load(state, 70000 + n); return { m, text: m.api.str(['text']), emit } }
}
export default P
