use serde_json::{json, Map, Value};
use std::io::Write;

/// CPU time of this process in milliseconds, all threads.
pub fn cpu() -> f64 {
    let mut u: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut u) };
    let ms = |t: libc::timeval| t.tv_sec as f64 * 1e3 + t.tv_usec as f64 / 1e3;
    ms(u.ru_utime) + ms(u.ru_stime)
}

fn round(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// A span of time that is being measured.
pub struct Interval {
    cpu: f64,
    wall: std::time::Instant,
}

pub fn start() -> Interval {
    Interval { wall: std::time::Instant::now(), cpu: cpu() }
}

impl Interval {
    pub fn cpu_ms(&self) -> f64 {
        round(cpu() - self.cpu)
    }
    pub fn stop(&self, out: &mut Map<String, Value>) {
        out.insert("cpu_ms".into(), json!(self.cpu_ms()));
        out.insert("ms".into(), json!(round(self.wall.elapsed().as_secs_f64() * 1e3)));
    }
}

/// How much CPU time, in milliseconds, repeats of a task may take.
const ENOUGH: f64 = 2000.0;

/// The median CPU time of up to n times f.
pub fn again(n: usize, mut f: impl FnMut()) -> f64 {
    let begin = cpu();
    let mut all = Vec::new();
    while all.is_empty() || all.len() < n && cpu() - begin < ENOUGH {
        let t = start();
        f();
        all.push(t.cpu_ms());
    }
    median(all)
}

pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[(all.len() - 1) / 2]
}

/// Does a whole task once, and up to six times more as long as all takes no more than enough. Each gives its times by name:
/// those of the first are put in under that name, the medians of the others under the name for later ones.
pub fn repeated(out: &mut Map<String, Value>, mut task: impl FnMut(bool, &mut Map<String, Value>) -> Vec<(&'static str, f64)>) {
    let begin = cpu();
    let first = task(true, out);
    let one = cpu() - begin;
    let mut later = Vec::new();
    while later.len() < 6 && cpu() - begin + one < ENOUGH {
        later.push(task(false, &mut Map::new()));
    }
    for (i, (name, ms)) in first.into_iter().enumerate() {
        out.insert(name.into(), json!(ms));
        if !later.is_empty() {
            let again = match name {
                "cpu_ms" => "warm_ms",
                "save_ms" => "save_again_ms",
                _ => "load_again_ms",
            };
            out.insert(again.into(), json!(median(later.iter().map(|times| times[i].1).collect())));
        }
    }
}

/// Memory of this process: what malloc has given out, and what is resident once malloc has given back what it can.
pub struct Footprint {
    heap: i64,
    rss: i64,
}

pub fn memory() -> Footprint {
    let m = unsafe {
        libc::malloc_trim(0);
        libc::mallinfo2()
    };
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    Footprint { heap: (m.uordblks + m.hblkhd) as i64, rss: pages * 4096 }
}

impl Footprint {
    pub fn grown(&self, out: &mut Map<String, Value>) {
        let now = memory();
        out.insert("heap_bytes".into(), json!(now.heap - self.heap));
        out.insert("rss_bytes".into(), json!(now.rss - self.rss));
    }
}

/// Puts the size of a saved state in, as it is and compressed by gzip.
pub fn sized(state: &[u8], out: &mut Map<String, Value>) {
    let mut z = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    z.write_all(state).unwrap();
    out.insert("save_bytes".into(), json!(state.len()));
    out.insert("save_gzip".into(), json!(z.finish().unwrap().len()));
}
