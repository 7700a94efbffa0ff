// Automerge through its wasm package. Every replica starts from one change that makes the objects; a message is the change
// of one transaction.
import * as A from '@automerge/automerge'
const START = A.save(A.change(A.init({ actor: '00'.repeat(16) }), { time: 0 }, d => {
  d.text = ''
  d.array = []
  d.map = {}
  d.counter = new A.Counter(0)
}))
const actor = n => (n + 1).toString(16).padStart(16, '0') + '01'.repeat(8)
const P = {
  create: (n, emit) => P.load(n, START, emit),
  supports: () => true,
  edit (h, ops) {
    h.doc = A.change(h.doc, d => {
      for (const op of ops) {
        if (op.text) A.splice(d, ['text'], op.text.at, op.text.delete || 0, op.text.insert || '')
        else if (op.array) d.array.insertAt(op.array.at, ...op.array.values)
        else if (op.map) d.map[op.map.key] = op.map.value
        else d.counter.increment(op.amount)
      }
    })
    if (h.emit) h.emit(A.getLastLocalChange(h.doc))
  },
  sizes: h => [h.doc.array.length, Object.keys(h.doc.map).length, h.doc.counter.value],
  text: h => h.doc.text,
  apply: (h, m) => { h.doc = A.loadIncremental(h.doc, m) },
  applyBatch: (h, ms) => { h.doc = A.applyChanges(h.doc, ms)[0] },
  save: h => A.save(h.doc),
  load: (n, state, emit) => ({ doc: A.load(state, { actor: actor(n) }), emit }),
  version: h => A.getHeads(h.doc),
  since: (h, v) => A.saveSince(h.doc, v)
}
export default P
