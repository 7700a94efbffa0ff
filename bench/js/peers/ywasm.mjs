// yrs through its wasm binding, v1 updates, text only here.
import * as Y from 'ywasm'
const P = {
  create (n, emit) {
    const doc = new Y.YDoc({ clientID: n + 1 })
    const h = { doc, text: doc.getText('text') }
    if (emit) doc.onUpdate(u => { if (!h.remote) emit(u) })
    return h
  },
  supports: ops => ops.every(op => op.text),
  edit (h, ops) {
    const t = h.doc.beginTransaction(undefined)
    for (const { text: { at, delete: del, insert } } of ops) {
      if (del) h.text.delete(at, del, t)
      if (insert) h.text.insert(at, insert, undefined, t)
    }
    t.free()
  },
  text: h => h.text.toString(),
  apply (h, m) { h.remote = true; Y.applyUpdate(h.doc, m, undefined); h.remote = false },
  save: h => Y.encodeStateAsUpdate(h.doc),
  load (n, state, emit) { const h = P.create(n, emit); P.apply(h, state); return h },
  version: h => Y.encodeStateVector(h.doc),
  since: (h, v) => Y.encodeStateAsUpdate(h.doc, v)
}
export default P
