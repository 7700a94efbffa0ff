// Yjs. v1 updates, which are what its providers send.
import * as Y from 'yjs'
const P = {
  create (n, emit) {
    const doc = new Y.Doc()
    doc.clientID = n + 1
    if (emit) doc.on('update', (u, origin, _, t) => { if (t.local) emit(u) })
    return { doc, text: doc.getText('text'), array: doc.getArray('array'), map: doc.getMap('map') }
  },
  supports: ops => ops.every(op => !op.amount),
  edit (h, ops) {
    h.doc.transact(() => {
      for (const op of ops) {
        if (op.text) {
          if (op.text.delete) h.text.delete(op.text.at, op.text.delete)
          if (op.text.insert) h.text.insert(op.text.at, op.text.insert)
        } else if (op.array) h.array.insert(op.array.at, op.array.values)
        else h.map.set(op.map.key, op.map.value)
      }
    })
  },
  text: h => h.text.toString(),
  apply: (h, m) => Y.applyUpdate(h.doc, m),
  // One transaction around all: Y.mergeUpdates is far slower.
  applyBatch: (h, ms) => h.doc.transact(() => { for (const m of ms) Y.applyUpdate(h.doc, m) }, null, false),
  save: h => Y.encodeStateAsUpdate(h.doc),
  load (n, state, emit) { const h = P.create(n, emit); Y.applyUpdate(h.doc, state); return h },
  version: h => Y.encodeStateVector(h.doc),
  since: (h, v) => Y.encodeStateAsUpdate(h.doc, v)
}
export default P
