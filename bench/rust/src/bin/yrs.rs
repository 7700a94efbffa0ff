//! yrs: Yjs in Rust, v1 updates.
use bench_peers::{tasks, Op, Peer};
use yrs::updates::decoder::Decode;
use yrs::{Any, Array, ArrayRef, ClientID, GetString, Map, MapRef, OffsetKind, Options, ReadTxn, StateVector, Text, TextRef, Transact, Update};

struct Doc {
    doc: yrs::Doc,
    text: TextRef,
    array: ArrayRef,
    map: MapRef,
    emits: bool,
}

fn any(v: &serde_json::Value) -> Any {
    Any::from_json(&v.to_string()).unwrap()
}

impl Peer for Doc {
    const NAME: &'static str = "yrs";
    type Version = StateVector;

    fn new(n: u64, emits: bool) -> Doc {
        let options = Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(ClientID::new(n + 1)) };
        let doc = yrs::Doc::with_options(options);
        let (text, array, map) = (doc.get_or_insert_text("text"), doc.get_or_insert_array("array"), doc.get_or_insert_map("map"));
        Doc { doc, text, array, map, emits }
    }
    fn load(n: u64, state: &[u8]) -> Doc {
        let mut d = Doc::new(n, true);
        d.apply(state);
        d
    }
    fn supports(op: &Op) -> bool {
        !matches!(op, Op::Add(_))
    }
    fn edit(&mut self, ops: &[Op]) -> Option<Vec<u8>> {
        let mut t = self.doc.transact_mut();
        for op in ops {
            match op {
                Op::Text { at, delete, insert } => {
                    if *delete > 0 {
                        self.text.remove_range(&mut t, *at as u32, *delete as u32);
                    }
                    if !insert.is_empty() {
                        self.text.insert(&mut t, *at as u32, insert);
                    }
                }
                Op::Array { at, values } => {
                    self.array.insert_range(&mut t, *at as u32, values.iter().map(any));
                }
                Op::Map { key, value } => {
                    self.map.insert(&mut t, key.as_str(), any(value));
                }
                Op::Add(_) => unreachable!(),
            }
        }
        t.commit();
        self.emits.then(|| t.encode_update_v1())
    }
    fn text(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }
    fn sizes(&self) -> (usize, usize, i64) {
        let t = self.doc.transact();
        (self.array.len(&t) as usize, self.map.len(&t) as usize, 0)
    }
    fn apply(&mut self, message: &[u8]) {
        self.doc.transact_mut().apply_update(Update::decode_v1(message).unwrap()).unwrap();
    }
    fn apply_batch(&mut self, messages: &[Vec<u8>]) {
        let mut t = self.doc.transact_mut();
        for m in messages {
            t.apply_update(Update::decode_v1(m).unwrap()).unwrap();
        }
    }
    fn save(&mut self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }
    fn version(&mut self) -> StateVector {
        self.doc.transact().state_vector()
    }
    fn since(&mut self, v: &StateVector) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(v)
    }
}

fn main() {
    tasks::main::<Doc>()
}
