//! loro. The saved state is a snapshot: history and state.
use bench_peers::{tasks, Op, Peer};
use loro::{ExportMode, LoroDoc, LoroList, LoroMap, LoroText, LoroValue, Subscription, VersionVector};
use std::sync::{Arc, Mutex};

struct Doc {
    doc: LoroDoc,
    text: LoroText,
    array: LoroList,
    map: LoroMap,
    message: Arc<Mutex<Option<Vec<u8>>>>,
    _subscription: Option<Subscription>,
}

impl Peer for Doc {
    const NAME: &'static str = "loro";
    type Version = VersionVector;

    fn new(n: u64, emits: bool) -> Doc {
        let doc = LoroDoc::new();
        doc.set_peer_id(n + 1).unwrap();
        let message = Arc::new(Mutex::new(None));
        let slot = message.clone();
        let _subscription = emits.then(|| {
            doc.subscribe_local_update(Box::new(move |u| {
                *slot.lock().unwrap() = Some(u.clone());
                true
            }))
        });
        Doc { text: doc.get_text("text"), array: doc.get_list("array"), map: doc.get_map("map"), doc, message, _subscription }
    }
    fn load(n: u64, state: &[u8]) -> Doc {
        let d = Doc::new(n, true);
        d.doc.import(state).unwrap();
        d
    }
    fn supports(op: &Op) -> bool {
        !matches!(op, Op::Add(_))
    }
    fn edit(&mut self, ops: &[Op]) -> Option<Vec<u8>> {
        for op in ops {
            match op {
                Op::Text { at, delete, insert } => {
                    if *delete > 0 {
                        self.text.delete(*at, *delete).unwrap();
                    }
                    if !insert.is_empty() {
                        self.text.insert(*at, insert).unwrap();
                    }
                }
                Op::Array { at, values } => {
                    for (i, v) in values.iter().enumerate() {
                        self.array.insert(at + i, LoroValue::from(v.clone())).unwrap();
                    }
                }
                Op::Map { key, value } => self.map.insert(key, LoroValue::from(value.clone())).unwrap(),
                Op::Add(_) => unreachable!(),
            }
        }
        self.doc.commit();
        self.message.lock().unwrap().take()
    }
    fn text(&self) -> String {
        self.text.to_string()
    }
    fn sizes(&self) -> (usize, usize, i64) {
        (self.array.len(), self.map.len(), 0)
    }
    fn apply(&mut self, message: &[u8]) {
        self.doc.import(message).unwrap();
    }
    fn apply_batch(&mut self, messages: &[Vec<u8>]) {
        self.doc.import_batch(messages).unwrap();
    }
    fn save(&mut self) -> Vec<u8> {
        self.doc.export(ExportMode::Snapshot).unwrap()
    }
    fn version(&mut self) -> VersionVector {
        self.doc.oplog_vv()
    }
    fn since(&mut self, v: &VersionVector) -> Vec<u8> {
        self.doc.export(ExportMode::updates(v)).unwrap()
    }
}

fn main() {
    tasks::main::<Doc>()
}
