//! Measures one task of one library on one trace: `NAME TASK TRACE`, one JSON line on stdout.
//!
//! The tasks are those of `weft bench`; the fields are those that it prints. A library is added by implementing [`Peer`] in
//! src/bin. Environment: TRACES (directory of the traces), WORK (where `weft bench -workloads` wrote, and where messages
//! and saved states are kept, in WORK/NAME).

pub mod measure;
pub mod tasks;
pub mod workloads;

/// One edit. Positions count code points.
pub enum Op {
    Text { at: usize, delete: usize, insert: String },
    Array { at: usize, values: Vec<serde_json::Value> },
    Map { key: String, value: serde_json::Value },
    Add(i64),
}

/// A replica of a document with a text, an array, a map and a counter.
pub trait Peer: Sized {
    const NAME: &'static str;
    /// What [`Peer::since`] starts from.
    type Version;

    /// Makes replica n. One that emits returns the message of each edit.
    fn new(n: u64, emits: bool) -> Self;
    fn load(n: u64, state: &[u8]) -> Self;
    fn supports(_op: &Op) -> bool {
        true
    }
    /// Makes all ops in one transaction.
    fn edit(&mut self, ops: &[Op]) -> Option<Vec<u8>>;
    fn text(&self) -> String;
    /// Values of the array, keys of the map, and the counter.
    fn sizes(&self) -> (usize, usize, i64);
    fn apply(&mut self, message: &[u8]);
    fn apply_batch(&mut self, messages: &[Vec<u8>]);
    fn save(&mut self) -> Vec<u8>;
    fn version(&mut self) -> Self::Version;
    fn since(&mut self, v: &Self::Version) -> Vec<u8>;
}
