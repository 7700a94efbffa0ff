// Loro through its wasm package. The saved state is a snapshot: history and state.
import { LoroDoc } from 'loro-crdt'
const P = {
  create (n, emit) {
    const doc = new LoroDoc()
    doc.setPeerId(String(n + 1))
    if (emit) doc.subscribeLocalUpdates(u => emit(u))
    return { doc, text: doc.getText('text'), array: doc.getList('array'), map: doc.getMap('map') }
  },
  supports: ops => ops.every(op => !op.amount),
  edit (h, ops) {
    for (const op of ops) {
      if (op.text) {
        if (op.text.delete) h.text.delete(op.text.at, op.text.delete)
        if (op.text.insert) h.text.insert(op.text.at, op.text.insert)
      } else if (op.array) op.array.values.forEach((v, i) => h.array.insert(op.array.at + i, v))
      else h.map.set(op.map.key, op.map.value)
    }
    h.doc.commit()
  },
  sizes: h => [h.array.length, h.map.size, 0],
  text: h => h.text.toString(),
  apply: (h, m) => h.doc.import(m),
  applyBatch: (h, ms) => h.doc.importBatch(ms),
  save: h => h.doc.export({ mode: 'snapshot' }),
  load (n, state, emit) { const h = P.create(n, emit); h.doc.import(state); return h },
  version: h => h.doc.oplogVersion(),
  since: (h, v) => h.doc.export({ mode: 'update', from: v })
}
export default P
