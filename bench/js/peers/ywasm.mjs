// yrs through its wasm binding, v1 updates.
import * as Y from 'ywasm'
const P = {
  create (n, emit) {
    const doc = new Y.YDoc({ clientID: n + 1 })
    const h = { doc, text: doc.getText('text'), array: doc.getArray('array'), map: doc.getMap('map') }
    if (emit) doc.onUpdate(u => { if (!h.remote) emit(u) })
    return h
  },
  supports: ops => ops.every(op => !op.amount),
  edit (h, ops) {
    const t = h.doc.beginTransaction(undefined)
    for (const op of ops) {
      if (op.text) {
        if (op.text.delete) h.text.delete(op.text.at, op.text.delete, t)
        if (op.text.insert) h.text.insert(op.text.at, op.text.insert, undefined, t)
      } else if (op.array) h.array.insert(op.array.at, op.array.values, t)
      else h.map.set(op.map.key, op.map.value, t)
    }
    t.free()
  },
  sizes: h => [h.array.length(undefined), h.map.length(undefined), 0],
  text: h => h.text.toString(),
  apply (h, m) { h.remote = true; Y.applyUpdate(h.doc, m, undefined); h.remote = false },
  save: h => Y.encodeStateAsUpdate(h.doc),
  load (n, state, emit) { const h = P.create(n, emit); P.apply(h, state); return h },
  version: h => Y.encodeStateVector(h.doc),
  since: (h, v) => Y.encodeStateAsUpdate(h.doc, v)
}
export default P
