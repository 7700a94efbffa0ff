use serde_json::{json, Map, Value};
use std::io::Write;

/// CPU time of this thread in milliseconds; all libraries measured here work in it. (That of the process is coarse where the
/// process may use only so much of it.)
fn cpu() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
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

pub fn again(n: usize, mut f: impl FnMut()) -> f64 {
    let mut all: Vec<f64> = (0..n)
        .map(|_| {
            let t = start();
            f();
            t.cpu_ms()
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[(n - 1) / 2]
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
