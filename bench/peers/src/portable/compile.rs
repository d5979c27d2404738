//! The compilations: their time, the size of the code, the heap that they take.

use std::time::{Duration, Instant};

use bareflow_builder::Workspace;
use bareflow_loader::Domain;
use bareflow_translator::translate;

use super::bound::{Bound, Verdicts, mean};
use super::engines::{Blobs, CHECKED_FAST, Code, Engines, FAST, QUICKLY, text_size};
use super::rivals::Compiler;
use super::subjects::{LARGE, Subject, all};
use crate::measure::{ratio, titled};
use crate::peers::BoxError;

/// The time for which each compilation is repeated, of which the fastest counts, and the fewest and the most repetitions.
const REPEATED: Duration = Duration::from_millis(300);
const REPETITIONS: (u32, u32) = (3, 50);

/// The pairs that make code of the same kind.
const PAIRS: [(Code, Compiler); 3] =
    [(FAST, Compiler::Window), (CHECKED_FAST, Compiler::Checked), (QUICKLY, Compiler::Winch)];

/// The heap that a compilation may take: so many times the WebAssembly's size, and so many bytes more.
const HEAP: (u64, u64) = (64, 4 << 20);

/// A compilation, ours and theirs: seconds, and bytes of text.
struct Pair {
    name: String,
    bytes: usize,
    ours: (f64, usize),
    theirs: Option<(f64, usize)>,
}

impl Pair {
    fn rate(&self) -> f64 {
        self.bytes as f64 / self.ours.0 / 1e6
    }
}

/// Compares all compilations.
pub fn show(workspace: &Workspace) -> Result<String, BoxError> {
    let subjects = all(workspace)?;
    let mut text = String::from("## Portable modules: compilations\n\n");
    let mut verdicts = Verdicts::new();
    for (code, compiler) in PAIRS {
        let engine = compiler.engine()?;
        let mut shown = titled(&[
            "module",
            "wasm",
            "ms",
            "MB/s",
            "text",
            "their ms",
            "their text",
            "time / theirs",
            "text / theirs",
        ]);
        let mut pairs = Vec::new();
        for subject in &subjects {
            let pair = pair(&code, &engine, subject)?;
            let [their_ms, their_text, time, size] = pair.theirs.map_or(["-"; 4].map(str::to_owned), |theirs| {
                let times = [pair.ours.0 / theirs.0, pair.ours.1 as f64 / theirs.1 as f64].map(ratio);
                let [time, size] = times;
                [ms(theirs.0), theirs.1.to_string(), time, size]
            });
            let ours =
                [pair.bytes.to_string(), ms(pair.ours.0), format!("{:.2}", pair.rate()), pair.ours.1.to_string()];
            shown.add_row([pair.name.clone()].into_iter().chain(ours).chain([their_ms, their_text, time, size]));
            pairs.push(pair);
        }
        text += &format!("### {}, beside {}\n\n{shown}\n\n", code.name, compiler.name());
        judge(&mut verdicts, &code, compiler, &pairs);
    }
    text += "One thread each, in one process, by the thread's own clock; `wasm` and `text` are bytes, and the fastest of several \
             compilations counts. \
             wasmtime's time and text include what its host's calls go through.\n\n";
    let (by_module, heap) = by_module(workspace, &subjects)?;
    verdicts.add("heap of the compiler's module / what is allowed, most", heap, 2, Bound::AtMost(1.0));
    Ok(format!("{text}{by_module}\n{verdicts}\n"))
}

fn judge(verdicts: &mut Verdicts, code: &Code, compiler: Compiler, pairs: &[Pair]) {
    let (all, large): (_, Vec<_>) = (pairs, pairs.iter().filter(|pair| pair.name == LARGE).collect());
    let asked = if code.name == QUICKLY.name { 3.0 } else { 1.2 };
    let (name, theirs) = (code.name, compiler.name());
    for pair in &large {
        verdicts.add(&format!("{name}, {LARGE}, MB/s"), pair.rate(), 2, Bound::AtLeast(asked));
    }
    let times = |pair: &Pair| Some(pair.ours.0 / pair.theirs?.0);
    let sizes = |pair: &Pair| Some(pair.ours.1 as f64 / pair.theirs?.1 as f64);
    let mut add = |what: &str, found| verdicts.add(&format!("{name}, {what} / {theirs}"), found, 2, Bound::AtMost(1.0));
    if compiler != Compiler::Winch {
        large.iter().filter_map(|pair| times(pair)).for_each(|found| add("time of large", found));
        add("time, mean", mean(all.iter().filter_map(times)));
        large.iter().filter_map(|pair| sizes(pair)).for_each(|found| add("text of large", found));
        add("text, mean", mean(all.iter().filter_map(sizes)));
    }
}

fn ms(seconds: f64) -> String {
    let ms = seconds * 1e3;
    if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}

fn pair(code: &Code, engine: &wasmtime::Engine, subject: &Subject) -> Result<Pair, BoxError> {
    let (wasm, options) = (&subject.wasm, code.library_options());
    let (seconds, blob) =
        fastest(of_thread, || translate(&options, &subject.name, wasm).map_err(|refusal| refusal.text))?;
    let theirs = match fastest(of_thread, || wasmtime::Module::new(engine, wasm)) {
        Ok((seconds, module)) => Some((seconds, module.text().len())),
        Err(error) if code.name == QUICKLY.name => {
            eprintln!("Winch, {}: {error}", subject.name);
            None
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Pair { name: subject.name.clone(), bytes: wasm.len(), ours: (seconds, text_size(&blob) as usize), theirs })
}

/// Returns the shortest time by a clock, in seconds, and what was made.
fn fastest<T, E>(clock: fn() -> Duration, mut make: impl FnMut() -> Result<T, E>) -> Result<(f64, T), E> {
    let (begin, mut best, mut count) = (Instant::now(), f64::INFINITY, 0);
    loop {
        let start = clock();
        let made = make()?;
        best = best.min((clock() - start).as_secs_f64());
        count += 1;
        if count >= REPETITIONS.1 || (count >= REPETITIONS.0 && begin.elapsed() >= REPEATED) {
            return Ok((best, made));
        }
    }
}

/// Returns the time that this thread had a processor, which others on the machine do not lengthen.
fn of_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists since Linux 2.6.12, and the time is written to a place of its type.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Returns the time of the system's clock, which runs while another process works.
fn of_system() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// Measures the compiler's module in the user domain, which is a process of its own, and the heap that it takes there.
fn by_module(workspace: &Workspace, subjects: &[Subject]) -> Result<(String, f64), BoxError> {
    let mut shown =
        titled(&["module", "wasm", "tier 1 ms", "MB/s", "heap", "tier 2 ms", "MB/s", "heap", "heap / allowed"]);
    let (blobs, mut most) = (Blobs::build(workspace)?, 0.0_f64);
    for subject in subjects {
        let bytes = subject.wasm.len();
        let mut row = vec![subject.name.clone(), bytes.to_string()];
        let mut share: f64 = 0.0;
        for code in [QUICKLY, FAST] {
            let engines = Engines::load(&blobs, Domain::User)?;
            let (seconds, _) = fastest(of_system, || engines.compile(&code, &subject.name, &subject.wasm))?;
            let heap = engines.peak_heap(&code).ok_or("the compiler does not note its heap")?;
            share = share.max(heap as f64 / (HEAP.0 * bytes as u64 + HEAP.1) as f64);
            row.extend([ms(seconds), format!("{:.2}", bytes as f64 / seconds / 1e6), heap.to_string()]);
        }
        shown.add_row(row.into_iter().chain([ratio(share)]));
        most = most.max(share);
    }
    let text = format!(
        "### By the compiler's module, in a process of its own\n\n{shown}\n\n\
         From the loader's call to the whole blob back in the caller's memory; `heap` is the most that was allocated at one \
         time, in bytes, of which {} for each byte of WebAssembly and {} MiB are allowed.\n",
        HEAP.0,
        HEAP.1 >> 20
    );
    Ok((text, most))
}
