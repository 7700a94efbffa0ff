//! automerge. Every replica starts from one change that makes the objects; a message is the change of a commit.
use automerge::{transaction::Transactable, ActorId, AutoCommit, ChangeHash, ObjId, ObjType, ReadDoc, ScalarValue, ROOT};
use bench_peers::{tasks, Op, Peer};

struct Doc {
    doc: AutoCommit,
    text: ObjId,
    array: ObjId,
    map: ObjId,
    emits: bool,
}

fn start() -> Vec<u8> {
    let mut doc = AutoCommit::new().with_actor(ActorId::from([0u8; 16]));
    doc.put_object(ROOT, "text", ObjType::Text).unwrap();
    doc.put_object(ROOT, "array", ObjType::List).unwrap();
    doc.put_object(ROOT, "map", ObjType::Map).unwrap();
    doc.put(ROOT, "counter", ScalarValue::counter(0)).unwrap();
    doc.save()
}

/// Numbers and strings as they are; an object as its JSON, which makes it one value as in the other libraries.
fn scalar(v: &serde_json::Value) -> ScalarValue {
    match v {
        serde_json::Value::Number(n) => ScalarValue::Int(n.as_i64().unwrap()),
        serde_json::Value::String(s) => ScalarValue::Str(s.as_str().into()),
        other => ScalarValue::Str(other.to_string().into()),
    }
}

impl Peer for Doc {
    const NAME: &'static str = "automerge";
    type Version = Vec<ChangeHash>;

    fn new(n: u64, emits: bool) -> Doc {
        Doc { emits, ..Doc::load(n, &start()) }
    }
    fn load(n: u64, state: &[u8]) -> Doc {
        let mut actor = [1u8; 16];
        actor[..8].copy_from_slice(&(n + 1).to_be_bytes());
        let doc = AutoCommit::load(state).unwrap().with_actor(ActorId::from(actor));
        let id = |name: &str| doc.get(ROOT, name).unwrap().unwrap().1;
        Doc { text: id("text"), array: id("array"), map: id("map"), doc, emits: true }
    }
    fn edit(&mut self, ops: &[Op]) -> Option<Vec<u8>> {
        for op in ops {
            match op {
                Op::Text { at, delete, insert } => self.doc.splice_text(&self.text, *at, *delete as isize, insert).unwrap(),
                Op::Array { at, values } => {
                    for (i, v) in values.iter().enumerate() {
                        self.doc.insert(&self.array, at + i, scalar(v)).unwrap();
                    }
                }
                Op::Map { key, value } => self.doc.put(&self.map, key.as_str(), scalar(value)).unwrap(),
                Op::Add(n) => self.doc.increment(ROOT, "counter", *n).unwrap(),
            }
        }
        self.doc.commit();
        self.emits.then(|| self.doc.get_last_local_change().unwrap().raw_bytes().to_vec())
    }
    fn text(&self) -> String {
        self.doc.text(&self.text).unwrap()
    }
    fn sizes(&self) -> (usize, usize, i64) {
        let counter = self.doc.get(ROOT, "counter").unwrap().unwrap().0.to_i64().unwrap();
        (self.doc.length(&self.array), self.doc.length(&self.map), counter)
    }
    fn apply(&mut self, message: &[u8]) {
        self.doc.load_incremental(message).unwrap();
    }
    fn apply_batch(&mut self, messages: &[Vec<u8>]) {
        self.doc.load_incremental(&messages.concat()).unwrap();
    }
    fn save(&mut self) -> Vec<u8> {
        self.doc.save()
    }
    fn version(&mut self) -> Vec<ChangeHash> {
        self.doc.get_heads()
    }
    fn since(&mut self, v: &Vec<ChangeHash>) -> Vec<u8> {
        self.doc.save_after(v)
    }
}

fn main() {
    tasks::main::<Doc>()
}
