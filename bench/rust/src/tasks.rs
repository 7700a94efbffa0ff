use crate::{measure::*, workloads, Op, Peer};
use serde_json::{json, Map, Value};
use std::{collections::HashSet, fs, io::Read, path::PathBuf};

pub struct Txn {
    pub parents: Vec<usize>,
    pub agent: usize,
    pub ops: Vec<Op>,
}

pub struct Trace {
    pub concurrent: bool,
    pub end: String,
    pub agents: usize,
    pub txns: Vec<Txn>,
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("set {name}"))
}

fn read_trace(name: &str) -> Trace {
    let file = fs::File::open(format!("{}/{name}.json.gz", env("TRACES"))).expect("trace");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let v: Value = serde_json::from_str(&text).unwrap();
    let n = |v: &Value| v.as_u64().unwrap_or(0) as usize;
    let txns = v["txns"].as_array().unwrap().iter();
    Trace {
        concurrent: v["kind"] == "concurrent",
        end: v["endContent"].as_str().unwrap().into(),
        agents: n(&v["numAgents"]).max(1),
        txns: txns
            .map(|t| Txn {
                parents: t["parents"].as_array().map(|p| p.iter().map(n).collect()).unwrap_or_default(),
                agent: n(&t["agent"]),
                ops: t["patches"].as_array().unwrap().iter().map(patch).collect(),
            })
            .collect(),
    }
}

fn patch(p: &Value) -> Op {
    let n = |i: usize| p[i].as_u64().unwrap() as usize;
    Op::Text { at: n(0), delete: n(1), insert: p[2].as_str().unwrap().into() }
}

fn artifact<P: Peer>(trace: &str, suffix: &str) -> PathBuf {
    let dir = PathBuf::from(env("WORK")).join(P::NAME);
    fs::create_dir_all(&dir).unwrap();
    dir.join(format!("{trace}{suffix}"))
}

fn read_messages<P: Peer>(trace: &str) -> Vec<Vec<u8>> {
    let all = fs::read(artifact::<P>(trace, ".messages")).expect("the task prep writes the messages");
    let (mut out, mut rest) = (Vec::new(), &all[..]);
    while !rest.is_empty() {
        let n = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        out.push(rest[4..4 + n].to_vec());
        rest = &rest[4 + n..];
    }
    out
}

fn total(messages: &[Vec<u8>]) -> usize {
    messages.iter().map(Vec::len).sum()
}

type Out = Map<String, Value>;

/// Runs what the command line asks for.
pub fn main<P: Peer>() {
    let args: Vec<String> = std::env::args().collect();
    let (task, name) = (args[1].as_str(), args.get(2).map(String::as_str).unwrap_or(""));
    let mut out = Out::new();
    out.insert("peer".into(), P::NAME.into());
    out.insert("task".into(), task.into());
    out.insert("trace".into(), name.into());
    match task {
        "prep" => prepare::<P>(name),
        "t1" => local::<P>(&read_trace(name), true, &mut out),
        "t1n" => local::<P>(&read_trace(name), false, &mut out),
        "t1b" => at_once::<P>(&read_trace(name), &mut out),
        "t2" | "t2b" => remote::<P>(name, task == "t2b", &mut out),
        "t4" => load::<P>(name, &mut out),
        "first" => first::<P>(name, &mut out),
        _ if task.starts_with("delta-") => diverge::<P>(name, task[6..].parse().unwrap(), &mut out),
        _ => workloads::measure::<P>(&format!("{}/{task}.json", env("WORK")), &mut out),
    }
    println!("{}", Value::Object(out));
}

fn local<P: Peer>(t: &Trace, emits: bool, out: &mut Out) {
    let (mut messages, mut bytes) = (0, 0);
    let before = memory();
    let mut p = P::new(0, emits);
    let clock = start();
    for op in t.txns.iter().flat_map(|x| &x.ops) {
        if let Some(m) = p.edit(std::slice::from_ref(op)) {
            messages += 1;
            bytes += m.len();
        }
    }
    let text = p.text();
    clock.stop(out);
    assert!(text == t.end, "the text is not the trace's");
    drop(text);
    before.grown(out);
    out.insert("messages".into(), json!(messages));
    out.insert("message_bytes".into(), json!(bytes));
    saved(&mut p, out);
}

/// Measures the first save, and later ones after an edit each.
fn saved<P: Peer>(p: &mut P, out: &mut Out) -> Vec<u8> {
    let clock = start();
    let state = p.save();
    out.insert("save_ms".into(), json!(clock.cpu_ms()));
    let (mut all, begin) = (Vec::new(), cpu());
    while all.is_empty() || all.len() < 6 && cpu() - begin < 2000.0 {
        p.edit(&[Op::Text { at: 0, delete: 0, insert: "x".into() }]);
        let clock = start();
        drop(p.save());
        all.push(clock.cpu_ms());
    }
    out.insert("save_again_ms".into(), json!(median(all)));
    sized(&state, out);
    state
}

fn at_once<P: Peer>(t: &Trace, out: &mut Out) {
    let ops: Vec<Op> = t.txns.iter().flat_map(|x| &x.ops).map(clone).collect();
    let before = memory();
    let mut p = P::new(0, true);
    let clock = start();
    let m = p.edit(&ops).unwrap();
    let text = p.text();
    clock.stop(out);
    assert!(text == t.end, "the text is not the trace's");
    drop(text);
    before.grown(out);
    out.insert("messages".into(), json!(1));
    out.insert("message_bytes".into(), json!(m.len()));
    drop(m);
    saved(&mut p, out);
}

fn clone(op: &Op) -> Op {
    match op {
        Op::Text { at, delete, insert } => Op::Text { at: *at, delete: *delete, insert: insert.clone() },
        _ => unreachable!("traces hold text"),
    }
}

/// Writes messages and state. In a concurrent trace each agent writes where it knows exactly the transaction's ancestors;
/// its replica is there from its first transaction to its last.
fn prepare<P: Peer>(name: &str) {
    let t = read_trace(name);
    let mut last = vec![0; t.agents];
    t.txns.iter().enumerate().for_each(|(i, x)| last[x.agent] = i);
    let mut replicas: Vec<Option<P>> = (0..t.agents).map(|_| None).collect();
    let mut known: Vec<HashSet<usize>> = vec![HashSet::new(); t.agents];
    let mut messages: Vec<Vec<Vec<u8>>> = Vec::with_capacity(t.txns.len());
    let mut written = None;
    for (i, x) in t.txns.iter().enumerate() {
        let (mut lacks, mut stack) = (Vec::new(), x.parents.clone());
        while let Some(j) = stack.pop() {
            if known[x.agent].insert(j) {
                lacks.push(j);
                stack.extend(&t.txns[j].parents);
            }
        }
        lacks.sort();
        let inbox: Vec<Vec<u8>> = lacks.iter().flat_map(|j| messages[*j].iter().cloned()).collect();
        let mut p = replicas[x.agent].take().unwrap_or_else(|| P::new(x.agent as u64, true));
        match inbox.len() {
            0 => {}
            1 => p.apply(&inbox[0]),
            _ => p.apply_batch(&inbox),
        }
        messages.push(x.ops.iter().filter_map(|op| p.edit(std::slice::from_ref(op))).collect());
        known[x.agent].insert(i);
        if i < last[x.agent] {
            replicas[x.agent] = Some(p);
        } else {
            written = Some(p);
        }
    }
    let messages: Vec<Vec<u8>> = messages.concat();
    let mut bytes = Vec::new();
    for m in &messages {
        bytes.extend((m.len() as u32).to_le_bytes());
        bytes.extend(m);
    }
    fs::write(artifact::<P>(name, ".messages"), bytes).unwrap();
    let mut p = written.unwrap();
    if t.concurrent {
        p = P::new(1 << 32, false);
        p.apply_batch(&messages);
    }
    compare(&t, &p.text(), &mut Out::new());
    fs::write(artifact::<P>(name, ".state"), p.save()).unwrap();
}

fn remote<P: Peer>(name: &str, batch: bool, out: &mut Out) {
    let t = read_trace(name);
    let before = memory();
    let messages = read_messages::<P>(name); // gone before the next look at the memory
    let clock = start();
    let mut p = P::new(1 << 32, false);
    if batch {
        p.apply_batch(&messages);
    } else {
        messages.iter().for_each(|m| p.apply(m));
    }
    let text = p.text();
    clock.stop(out);
    compare(&t, &text, out);
    out.insert("messages".into(), json!(messages.len()));
    out.insert("message_bytes".into(), json!(total(&messages)));
    drop((text, messages));
    before.grown(out);
    saved(&mut p, out);
}

/// Concurrent traces: libraries may order concurrent inserts differently, which is told; the length must be right.
fn compare(t: &Trace, text: &str, out: &mut Out) {
    if text != t.end {
        assert!(t.concurrent && text.len() == t.end.len(), "the text is not the trace's");
        out.insert("different".into(), json!(true));
    }
}

fn load<P: Peer>(name: &str, out: &mut Out) {
    let t = read_trace(name);
    let read = || fs::read(artifact::<P>(name, ".state")).expect("the task prep writes the state");
    let before = memory();
    let state = read();
    let clock = start();
    let p = P::load(1 << 32, &state);
    let text = p.text();
    clock.stop(out);
    compare(&t, &text, out);
    drop((text, state));
    before.grown(out);
    drop(p);
    let state = read();
    out.insert("warm_ms".into(), json!(again(6, || drop(P::load(1 << 32, &state).text()))));
    sized(&state, out);
}

fn first<P: Peer>(name: &str, out: &mut Out) {
    let middle = read_trace(name).end.chars().count() / 2;
    let state = fs::read(artifact::<P>(name, ".state")).expect("the task prep writes the state");
    let mut bytes = 0;
    let mut edit = || {
        let mut p = P::load(1 << 32, &state);
        bytes = p.edit(&[Op::Text { at: middle, delete: 0, insert: "x".into() }]).unwrap().len();
    };
    let clock = start();
    edit();
    clock.stop(out);
    out.insert("warm_ms".into(), json!(again(6, edit)));
    out.insert("messages".into(), json!(1));
    out.insert("message_bytes".into(), json!(bytes));
}

fn diverge<P: Peer>(name: &str, edits: usize, out: &mut Out) {
    let state = fs::read(artifact::<P>(name, ".state")).expect("the task prep writes the state");
    let file = fs::read(format!("{}/delta-{name}.json", env("WORK"))).unwrap();
    let script: Value = serde_json::from_slice(&file).unwrap();
    let side = |n: u64, ops: &Value| {
        let mut p = P::load((1 << 32) + n, &state);
        let base = p.version();
        for op in ops.as_array().unwrap().iter().take(edits) {
            p.edit(&[workloads::text_edit(op)]);
        }
        (p, base)
    };
    repeated(out, |_, out| {
        let (mut a, base) = side(1, &script["a"]);
        let (mut b, _) = side(2, &script["b"]);
        let clock = start();
        let (from_a, from_b) = (a.since(&base), b.since(&base));
        a.apply(&from_b);
        b.apply(&from_a);
        let same = a.text() == b.text();
        let time = clock.cpu_ms();
        assert!(same, "the two differ after the exchange");
        out.insert("messages".into(), json!(2));
        out.insert("message_bytes".into(), json!(from_a.len() + from_b.len()));
        vec![("cpu_ms", time)]
    });
}
