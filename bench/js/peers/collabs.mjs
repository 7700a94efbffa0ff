// Collabs. A single insert of very many characters overflows its stack: insert in pieces.
import { CRuntime, CText, CValueList, CValueMap } from '@collabs/collabs'
const PIECE = 8192
const P = {
  create (n, emit) {
    const rt = new CRuntime({ debugReplicaID: 'r' + n })
    if (emit) rt.on('Send', e => emit(e.message))
    return {
      rt,
      text: rt.registerCollab('text', init => new CText(init)),
      array: rt.registerCollab('array', init => new CValueList(init)),
      map: rt.registerCollab('map', init => new CValueMap(init))
    }
  },
  supports: ops => ops.every(op => !op.amount),
  edit (h, ops) {
    h.rt.transact(() => {
      for (const op of ops) {
        if (op.text) {
          const { at, delete: del, insert: s = '' } = op.text
          if (del) h.text.delete(at, del)
          for (let i = 0; i < s.length; i += PIECE) h.text.insert(at + i, s.slice(i, i + PIECE))
        } else if (op.array) h.array.insert(op.array.at, ...op.array.values)
        else h.map.set(op.map.key, op.map.value)
      }
    })
  },
  sizes: h => [h.array.length, h.map.size, 0],
  text: h => h.text.toString(),
  apply: (h, m) => h.rt.receive(m),
  save: h => h.rt.save(),
  load (n, state, emit) { const h = P.create(n, emit); h.rt.load(state); return h }
}
export default P
