//! diamond-types: text only. Messages are patches of its operation log, encoded without compression.
use bench_peers::{tasks, Op, Peer};
use diamond_types::list::encoding::{EncodeOptions, ENCODE_FULL, ENCODE_PATCH};
use diamond_types::list::ListCRDT;

const MESSAGE: EncodeOptions<'static> = EncodeOptions { compress_content: false, ..ENCODE_PATCH };

struct Doc {
    list: ListCRDT,
    agent: u32,
    emits: bool,
}

impl Doc {
    fn of(mut list: ListCRDT, n: u64, emits: bool) -> Doc {
        let agent = list.get_or_create_agent_id(&format!("{n:08}"));
        Doc { list, agent, emits }
    }
}

impl Peer for Doc {
    const NAME: &'static str = "diamond-types";
    type Version = Vec<usize>;

    fn new(n: u64, emits: bool) -> Doc {
        Doc::of(ListCRDT::new(), n, emits)
    }
    fn load(n: u64, state: &[u8]) -> Doc {
        Doc::of(ListCRDT::load_from(state).unwrap(), n, true)
    }
    fn supports(op: &Op) -> bool {
        matches!(op, Op::Text { .. })
    }
    fn edit(&mut self, ops: &[Op]) -> Option<Vec<u8>> {
        let before = if self.emits { self.version() } else { Vec::new() };
        for op in ops {
            let Op::Text { at, delete, insert } = op else { unreachable!() };
            if *delete > 0 {
                self.list.delete_without_content(self.agent, *at..at + delete);
            }
            if !insert.is_empty() {
                self.list.insert(self.agent, *at, insert);
            }
        }
        self.emits.then(|| self.list.oplog.encode_from(MESSAGE, &before))
    }
    fn text(&self) -> String {
        self.list.branch.content().to_string()
    }
    fn sizes(&self) -> (usize, usize, i64) {
        (0, 0, 0)
    }
    fn apply(&mut self, message: &[u8]) {
        self.list.merge_data_and_ff(message).unwrap();
    }
    fn apply_batch(&mut self, messages: &[Vec<u8>]) {
        for m in messages {
            self.list.oplog.decode_and_add(m).unwrap();
        }
        let tip = self.list.oplog.local_version();
        self.list.branch.merge(&self.list.oplog, &tip);
    }
    fn save(&mut self) -> Vec<u8> {
        self.list.oplog.encode(ENCODE_FULL)
    }
    fn version(&mut self) -> Vec<usize> {
        self.list.oplog.local_version_ref().to_vec()
    }
    fn since(&mut self, v: &Vec<usize>) -> Vec<u8> {
        self.list.oplog.encode_from(ENCODE_PATCH, v)
    }
}

fn main() {
    tasks::main::<Doc>()
}
