// Yjs. v1 updates are what its providers send; v2 are smaller.
import * as Y from 'yjs'
const make = v2 => {
  const event = v2 ? 'updateV2' : 'update'
  const apply = v2 ? Y.applyUpdateV2 : Y.applyUpdate
  const encode = v2 ? Y.encodeStateAsUpdateV2 : Y.encodeStateAsUpdate
  const P = {
    create (n, emit) {
      const doc = new Y.Doc()
      doc.clientID = n + 1
      if (emit) doc.on(event, (u, origin, _, t) => { if (t.local) emit(u) })
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
    sizes: h => [h.array.length, h.map.size, 0],
    text: h => h.text.toString(),
    apply: (h, m) => apply(h.doc, m),
    // One transaction around all: Y.mergeUpdates is far slower.
    applyBatch: (h, ms) => h.doc.transact(() => { for (const m of ms) apply(h.doc, m) }, null, false),
    save: h => encode(h.doc),
    load (n, state, emit) { const h = P.create(n, emit); apply(h.doc, state); return h },
    version: h => Y.encodeStateVector(h.doc),
    since: (h, v) => encode(h.doc, v)
  }
  return P
}
export const v2 = make(true)
export default make(false)
