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
    let start_text = w["start"].as_str().unwrap_or("").to_string();
    let shape = w["shape"].as_str().unwrap().to_string();
    drop(w);
    repeated(out, |first, out| once::<P>(&shape, &start_text, &a, &b, first, out));
}

fn once<P: Peer>(shape: &str, begin: &str, a: &[Op], b: &[Op], first: bool, out: &mut Map<String, Value>) -> Vec<(&'static str, f64)> {
    let mut one = P::new(1, true);
    let mut other = P::new(2, true);
    let messages;
    let time;
    match shape {
        "alone" => {
            let clock = start();
            messages = each(&mut one, a);
            time = clock.cpu_ms();
            messages.iter().for_each(|m| other.apply(m));
        }
        "pair" => {
            let known = one.edit(&[Op::Text { at: 0, delete: 0, insert: begin.into() }]).unwrap();
            other.apply(&known);
            let clock = start();
            messages = vec![one.edit(a).unwrap(), other.edit(b).unwrap()];
            one.apply(&messages[1]);
            other.apply(&messages[0]);
            time = clock.cpu_ms();
        }
        _ => {
            messages = a.iter().enumerate().flat_map(|(i, op)| P::new(10 + i as u64, true).edit(std::slice::from_ref(op))).collect::<Vec<_>>();
            one.apply_batch(&messages);
            let clock = start();
            other.apply_batch(&messages);
            time = clock.cpu_ms();
        }
    }
    check(&one, a, b);
    check(&other, a, b);
    assert!(one.text() == other.text(), "the two clients differ");
    let clock = start();
    let state = one.save();
    let save = clock.cpu_ms();
    if first {
        out.insert("messages".into(), json!(messages.len()));
        out.insert("message_bytes".into(), json!(messages.iter().map(Vec::len).sum::<usize>()));
        sized(&state, out);
    }
    drop((one, other, messages));
    let before = memory();
    let clock = start();
    let back = P::load(3, &state);
    let load = clock.cpu_ms();
    if first {
        before.grown(out);
    }
    check(&back, a, b);
    vec![("cpu_ms", time), ("save_ms", save), ("load_ms", load)]
}

/// Sees that a replica has all that was written.
fn check<P: Peer>(p: &P, a: &[Op], b: &[Op]) {
    let (mut values, mut keys, mut counter) = (0, std::collections::HashSet::new(), 0);
    for op in a.iter().chain(b) {
        match op {
            Op::Array { values: v, .. } => values += v.len(),
            Op::Map { key, .. } => drop(keys.insert(key)),
            Op::Add(n) => counter += n,
            Op::Text { .. } => {}
        }
    }
    assert_eq!(p.sizes(), (values, keys.len(), counter), "values, keys and counter");
}
