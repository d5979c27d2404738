//! What a profiled call costs over the two clock reads it can't do without.

use std::error::Error;
use std::hint::black_box;

use bareflow_abi::header::{HEADER_SIZE, Header, checksum_of};
use bareflow_builder::discover::module_at;
use bareflow_builder::{Workspace, build_module};
use bareflow_host::HostPlatform;
use bareflow_loader::{ModuleId, ModuleManager, Timing};

use crate::measure::plain;
use crate::{table, verdict};

/// How many modules are loaded.
const LOADED: [usize; 3] = [4, 16, 1000];

/// Calls in a block, and blocks of each kind, in turns.
const CALLS: u64 = 20_000;
const BLOCKS: usize = 60;

/// At most this many times the bare pair.
const BOUND: f64 = 1.1;

/// Shows the table.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let manifest = workspace.root.join("tests/modules/empty/Cargo.toml");
    let blob = build_module(&module_at(&manifest)?, &workspace.target.join("test-modules"))?;
    let mut rows = table(&["modules loaded", "bare rdtsc pair", "profiled call", "ratio", "at most", ""]);
    for loaded in LOADED {
        let manager = ModuleManager::new(HostPlatform::new(Box::new(|line| println!("{line}")))?, Timing::Fast);
        let ids = (0..loaded)
            .map(|number| manager.load(&renamed(&blob.bytes, &format!("empty-{number}"))))
            .collect::<Result<Vec<_>, _>>()?;
        let (pair, call) = measure(&manager, ids[loaded / 2]);
        let ratio = call / pair;
        rows.add_row([
            loaded.to_string(),
            format!("{pair:.1}"),
            format!("{call:.1}"),
            format!("{ratio:.2}"),
            BOUND.to_string(),
            verdict(ratio, BOUND),
        ]);
    }
    println!("## Profiled calls of an empty module, fast mode, by handle, ticks\n\n{rows}\n");
    println!("Median over {BLOCKS} blocks of {CALLS} calls each, blocks of both kinds in turns.\n");
    Ok(())
}

/// Ticks of a bare pair and of a profiled call.
fn measure(manager: &ModuleManager<HostPlatform>, id: ModuleId) -> (f64, f64) {
    let mut pairs = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..BLOCKS {
        pairs.push(block(|| {
            let start = plain();
            black_box(plain() - start);
        }));
        calls.push(block(|| match manager.execute(black_box(id)) {
            Ok(result) => _ = black_box(result),
            Err(error) => panic!("{error}"),
        }));
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[BLOCKS / 2]
    };
    (median(&mut pairs), median(&mut calls))
}

/// Ticks that `work` takes, on average over a block.
#[inline(always)]
fn block(mut work: impl FnMut()) -> f64 {
    let start = plain();
    for _ in 0..CALLS {
        work();
    }
    (plain() - start) as f64 / CALLS as f64
}

/// The same blob under another name.
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
