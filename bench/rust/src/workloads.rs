use crate::{measure::*, Op, Peer};
use serde_json::{json, Map, Value};

fn op(v: &Value) -> Op {
    let n = |v: &Value| v.as_u64().unwrap_or(0) as usize;
    if v["text"].is_object() {
        return text_edit(&v["text"]);
    }
    if v["array"].is_object() {
        return Op::Array { at: n(&v["array"]["at"]), values: v["array"]["values"].as_array().unwrap().clone() };
    }
    if v["map"].is_object() {
        return Op::Map { key: v["map"]["key"].as_str().unwrap().into(), value: v["map"]["value"].clone() };
    }
    Op::Add(v["amount"].as_i64().unwrap())
}

pub fn text_edit(v: &Value) -> Op {
    let n = |v: &Value| v.as_u64().unwrap_or(0) as usize;
    Op::Text { at: n(&v["at"]), delete: n(&v["delete"]), insert: v["insert"].as_str().unwrap_or("").into() }
}

fn ops(v: &Value) -> Vec<Op> {
    v.as_array().map(|a| a.iter().map(op).collect()).unwrap_or_default()
}

fn each<P: Peer>(p: &mut P, ops: &[Op]) -> Vec<Vec<u8>> {
    ops.iter().filter_map(|op| p.edit(std::slice::from_ref(op))).collect()
}

/// Measures a workload that `weft bench -workloads` wrote; the shapes are explained there.
pub fn measure<P: Peer>(path: &str, out: &mut Map<String, Value>) {
    let w: Value = serde_json::from_slice(&std::fs::read(path).expect("workload")).unwrap();
    let (a, b) = (ops(&w["a"]), ops(&w["b"]));
    if !a.iter().chain(&b).all(P::supports) {
        out.insert("skipped".into(), "no such type".into());
        return;
    }
    let mut one = P::new(1, true);
    let mut other = P::new(2, true);
    let mut messages;
    match w["shape"].as_str().unwrap() {
        "alone" => {
            let clock = start();
            messages = each(&mut one, &a);
            clock.stop(out);
            messages.iter().for_each(|m| other.apply(m));
        }
        "pair" => {
            let first = one.edit(&[Op::Text { at: 0, delete: 0, insert: w["start"].as_str().unwrap().into() }]).unwrap();
            other.apply(&first);
            let clock = start();
            messages = vec![one.edit(&a).unwrap(), other.edit(&b).unwrap()];
            one.apply(&messages[1]);
            other.apply(&messages[0]);
            clock.stop(out);
        }
        _ => {
            messages = Vec::new();
            for (i, op) in a.iter().enumerate() {
                let mut p = P::new(10 + i as u64, true);
                messages.extend(p.edit(std::slice::from_ref(op)));
            }
            one.apply_batch(&messages);
            let clock = start();
            other.apply_batch(&messages);
            clock.stop(out);
        }
    }
    assert!(one.text() == other.text(), "the two clients differ");
    out.insert("messages".into(), json!(messages.len()));
    out.insert("message_bytes".into(), json!(messages.iter().map(Vec::len).sum::<usize>()));
    messages.clear();
    let clock = start();
    let state = one.save();
    out.insert("save_ms".into(), json!(clock.cpu_ms()));
    sized(&state, out);
    drop((one, other, a, b, w));
    let before = memory();
    let clock = start();
    let back = P::load(3, &state);
    out.insert("warm_ms".into(), json!(clock.cpu_ms()));
    before.grown(out);
    drop(back);
}
