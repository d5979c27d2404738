//! The cost of a profiled call, beyond the clock readings that it needs.

use std::error::Error;
use std::hint::black_box;
use std::num::NonZeroU32;

use bareflow_abi::header::{HEADER_SIZE, Header, checksum_of};
use bareflow_builder::discover::module_at;
use bareflow_builder::{Workspace, build_module};
use bareflow_host::HostPlatform;
use bareflow_loader::{ExecuteError, ModuleManager, Timing};

use crate::OUR_OWN;
use crate::measure::{Code, entry, fence, fenced, plain};
use crate::{table, verdict};

/// The numbers of loaded modules.
const LOADED: [usize; 4] = [4, 16, 1000, 100_000];

/// The number of calls in a block, and of blocks of each kind, by turns.
const CALLS: u64 = 20_000;
const BLOCKS: usize = 61;

/// The sampling interval where calls are sampled: one in this number is timed.
const SAMPLED: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// The bound of a figure, relative to its reference.
#[derive(Clone, Copy)]
enum Bound {
    /// At most this multiple of the reference.
    Times(f64),
    /// At most this many ticks more than the reference.
    More(f64),
    /// At most this many ticks.
    Ticks(f64),
    /// No bound; the figure is only shown.
    Shown,
}

/// Prints the table.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let manifest = workspace.root.join("tests/modules/empty/Cargo.toml");
    let blob = build_module(&module_at(&manifest)?, &workspace.target.join("test-modules"))?.bytes;
    let mut rows =
        table(&["profiled calls of an empty module", "modules", "ticks", "compared with", "ticks", "bound", ""]);
    for loaded in LOADED {
        let [fast, precise] = [Timing::Fast, Timing::Precise].map(|timing| loaded_with(&blob, loaded, timing));
        let (fast, precise) = (fast?, precise?);
        let name = format!("empty-{}", loaded / 2);
        for (label, against, bound, [reference, ours]) in measure(&fast, &precise, &name)? {
            let (most, text) = match bound {
                Bound::Times(times) => (Some(reference * times), format!("{times} times")),
                Bound::More(ticks) => (Some(reference + ticks), format!("{ticks} more")),
                Bound::Ticks(ticks) => (Some(ticks), format!("{ticks}")),
                Bound::Shown => (None, String::new()),
            };
            let numbers = [ours, reference].map(|ticks| format!("{ticks:.1}"));
            let [ours_text, reference_text] = numbers;
            let loaded = loaded.to_string();
            rows.add_row([
                label.to_owned(),
                loaded,
                ours_text,
                against.to_owned(),
                reference_text,
                text,
                most.map(|most| verdict(ours, most)).unwrap_or_default(),
            ]);
        }
    }
    println!("## Profiled calls, ticks per call\n\n{rows}\n");
    println!(
        "Medians over {BLOCKS} blocks of {CALLS} calls each, blocks of both kinds in turns. Sampled: one in {SAMPLED} is timed.\n"
    );
    Ok(())
}

type Manager = ModuleManager<HostPlatform>;
type Row = (&'static str, &'static str, Bound, [f64; 2]);

fn loaded_with(blob: &[u8], count: usize, timing: Timing) -> Result<Manager, Box<dyn Error>> {
    let manager =
        ModuleManager::with_kernel_domain(HostPlatform::new(Box::new(|line| println!("{line}")))?, timing, OUR_OWN);
    for number in 0..count {
        manager.load(&renamed(blob, &format!("empty-{number}")))?;
    }
    Ok(manager)
}

fn measure(fast: &Manager, precise: &Manager, name: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let find = |manager: &Manager| manager.find(name).ok_or("a module is missing");
    let (id, precise_id) = (find(fast)?, find(precise)?);
    let Code::Module(bare) = entry(fast.stats(id).ok_or("not loaded")?.entry_address) else {
        return Err("no module".into());
    };
    let pair = || {
        let start = plain();
        black_box(plain() - start);
    };
    let fenced_pair = || {
        let start = fenced();
        black_box(fenced() - start);
    };
    let by_id = || done(fast.execute(id));
    let fenced_by_id = || done(precise.execute(precise_id));
    let by_name = || fast.find(black_box(name)).into_iter().for_each(|id| done(fast.execute(id)));
    let (mut first, mut second, mut third) = (fast.pin(id)?, fast.pin(id)?, precise.pin(precise_id)?);
    let (by_handle, fenced_by_handle) = (|| done(first.execute()), || done(third.execute()));
    let behind_fence = || {
        fence();
        done(second.execute());
    };
    // Clock readings hide less of what surrounds them on Intel's processors.
    let intel = bareflow_host::is_intel();
    let (pinned, handle) = if intel { (1.2, 1.3) } else { (1.1, 1.15) };
    let chain = if intel { Bound::Times(1.35) } else { Bound::Ticks(28.0) };
    let mut rows = vec![
        ("fast, pinned", "rdtsc pair", Bound::Times(pinned), both(pair, by_handle)),
        ("fast, by handle", "rdtsc pair", Bound::Times(handle), both(pair, by_id)),
        ("fast, by name", "by handle", Bound::More(25.0), both(by_id, by_name)),
        ("one fast call behind an lfence", "lfence", Bound::Ticks(84.0), both(fence, behind_fence)),
        ("precise, pinned", "fenced pair", Bound::Times(pinned), both(fenced_pair, fenced_by_handle)),
        ("precise, by handle", "fenced pair", Bound::Shown, both(fenced_pair, fenced_by_id)),
    ];
    let one = both(|| _ = black_box(plain()), || ())[0];
    let mut chained = || {
        let start = plain();
        let done = second.execute_chained(CALLS);
        done.map(|_| (plain() - start) as f64 / CALLS as f64)
    };
    let chained = (0..BLOCKS).map(|_| chained()).collect::<Result<_, _>>()?;
    rows.push(("a run with chained stamps", "one rdtsc", chain, [one, median(chained)]));
    fast.sample(id, SAMPLED);
    let indirect = || _ = black_box(black_box(bare)(std::ptr::null_mut(), 0));
    let sampled = || done(second.execute());
    rows.push(("sampled, pinned", "bare indirect call", Bound::Times(3.0), both(indirect, sampled)));
    fast.sample(id, NonZeroU32::MIN);
    Ok(rows)
}

/// Checks and discards a call's result.
#[inline(always)]
fn done(result: Result<i32, ExecuteError>) {
    match result {
        Ok(result) => _ = black_box(result),
        Err(error) => panic!("{error}"),
    }
}

/// Measures the ticks of two functions, in blocks of both by turns.
#[inline(always)]
fn both(mut first: impl FnMut(), mut second: impl FnMut()) -> [f64; 2] {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        one.push(block(&mut first));
        other.push(block(&mut second));
    }
    [median(one), median(other)]
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[BLOCKS / 2]
}

/// Measures the average ticks of `work` over a block.
#[inline(always)]
fn block(work: &mut impl FnMut()) -> f64 {
    let start = plain();
    for _ in 0..CALLS {
        work();
    }
    (plain() - start) as f64 / CALLS as f64
}

/// Returns the blob with another module name.
fn renamed(blob: &[u8], name: &str) -> Vec<u8> {
    let mut bytes = blob.to_vec();
    if let Some(start) = bytes.first_chunk_mut::<HEADER_SIZE>() {
        let mut header = Header::from_bytes(start);
        header.name = [0; 32];
        header.name[..name.len()].copy_from_slice(name.as_bytes());
        *start = header.to_bytes();
    }
    if let Some(checksum) = checksum_of(&bytes) {
        bytes[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes
}
