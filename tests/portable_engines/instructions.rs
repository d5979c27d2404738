//! The costs of portable modules in the kernel, in instructions: a load, the step to another tier, a call.
//!
//! With `--icount` a tick is an instruction, and every run of the same kernel counts the same, so a slowdown fails here.
//! Compilers differ a little, hence the margin.

use std::fs;

use bareflow::client::{Client, upload};
use bareflow_abi::memory::MEMORY_PAGE_SIZE;
use bareflow_builder::build_module;
use bareflow_builder::discover::module_at;
use bareflow_loader::Domain;
use bareflow_protocol::control::{LoadOverrides, Loaded, Push};
use bareflow_protocol::report::Module;
use bareflow_protocol::tier::Tier;
use bareflow_protocol::{Request, Response};

use super::common::kernel::with_kernel;
use super::common::root;
use super::{Files, push};

/// The margin for other compilers, in percent.
const MARGIN: u64 = 5;

/// Figures for comparison.
const NO_AIM: [u64; 2] = [u64::MAX; 2];

/// The figures: the recorded count in each domain, the kernel's first, and what was aimed at. A load into ring 3 makes page
/// tables, natively, too, and clears its stack, of 256 KiB for a module without a description.
const FIGURES: [(&str, [u64; 2], [u64; 2]); 10] = [
    ("an empty call of a native module", [35, 60], NO_AIM),
    ("an empty call in tier 0", [588, 613], NO_AIM),
    ("an empty call in tier 1", [65, 90], NO_AIM),
    ("an empty call in tier 2", [49, 74], NO_AIM),
    ("the step from tier 0 to 2, which stops calls", [135, 135], [150; 2]),
    ("to prepare 100 bytes of a compiled blob", [78, 83], [200; 2]),
    ("to prepare a native module", [1_021, 27_700], NO_AIM),
    ("to prepare a compiled blob besides", [3_984, 81_100], [5_000, u64::MAX]),
    ("to prepare a page of its memory", [10_064, 10_064], NO_AIM),
    ("to carry 8000 bytes of an instance", [1_004, 1_004], [1_000; 2]),
];

/// The number of loads of which the cheapest counts.
const TIMES: u32 = 5;

/// The pages and the bytes of constants of the modules whose difference is what one of them costs.
const PAGES: u64 = 16;
const CONSTANTS: usize = 1 << 18;

/// A module whose `run` returns 0 at once.
struct Empty {
    name: &'static str,
    /// The pages of its memory; `None` if it has none.
    pages: Option<u64>,
    /// The bytes of constants, which are never read.
    constants: usize,
}

const PLAIN: Empty = Empty { name: "plain", pages: None, constants: 0 };
const WITH_CONSTANTS: Empty = Empty { name: "constants", pages: None, constants: CONSTANTS };
const WITH_PAGE: Empty = Empty { name: "page", pages: Some(1), constants: 0 };
const WITH_PAGES: Empty = Empty { name: "pages", pages: Some(1 + PAGES), constants: 0 };

fn number(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    bareflow_abi::leb128::write(number, &mut |part| bytes.extend_from_slice(part));
    bytes
}

impl Empty {
    fn wasm(&self) -> Vec<u8> {
        let section = |kind: u8, bytes: &[u8]| [&[kind][..], &number(bytes.len() as u64), bytes].concat();
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        let mut add = |kind, bytes: &[u8]| module.extend(section(kind, bytes));
        add(1, b"\x01\x60\0\x01\x7f");
        add(3, b"\x01\0");
        if let Some(pages) = self.pages {
            add(5, &[&b"\x01\x01"[..], &number(pages), &number(pages)].concat());
        }
        add(7, b"\x01\x03run\0\0");
        add(10, b"\x01\x04\0\x41\0\x0b");
        if self.constants > 0 {
            // They stay where they are: the segment is passive.
            add(11, &[&b"\x01\x01"[..], &number(self.constants as u64), &vec![7; self.constants]].concat());
        }
        module
    }

    /// Loads it in a tier, and returns what preparing it took, and its blob's size. It takes the place of the one that is
    /// loaded.
    fn load(&self, client: &mut Client, domain: Domain, tier: &str) -> (u64, u64) {
        let loaded = load(client, &self.wasm(), self.name, domain, Tier::from_name(tier));
        (loaded.cycles.prepare, stats(client, self.name).blob_size)
    }

    /// Returns what it takes to prepare it in tier 2, afresh and with the instance that it has in tier 0, and the size of
    /// its blob.
    fn prepared(&self, client: &mut Client, domain: Domain) -> [u64; 3] {
        let mut least = [u64::MAX; 3];
        // The least has no tick of the timer in it.
        for _ in 0..TIMES {
            let (fresh, size) = self.load(client, domain, "2");
            unload(client, self.name);
            self.load(client, domain, "0");
            let (carried, _) = self.load(client, domain, "2");
            unload(client, self.name);
            least = [least[0].min(fresh), least[1].min(carried), size];
        }
        least
    }
}

fn load(client: &mut Client, bytes: &[u8], name: &str, domain: Domain, tier: Option<Tier>) -> Loaded {
    upload(client, bytes, &mut |_, _| ()).unwrap();
    let overrides = LoadOverrides { domain: Some(domain.name()), tier, ..LoadOverrides::default() };
    match client.ask(Request::Push(Push { label: name, overrides, beside: false, gate: None })) {
        Ok(Response::Loaded(loaded)) => loaded,
        other => panic!("{other:?}"),
    }
}

fn unload(client: &mut Client, module: &str) {
    assert!(matches!(client.ask(Request::Unload { module }), Ok(Response::Unloaded(_))));
}

fn stats(client: &mut Client, module: &str) -> Module {
    match client.ask(Request::Stats { module: Some(module) }) {
        Ok(Response::Modules(modules)) => modules.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Returns the instructions of the cheapest call, less the clock's.
fn shortest_call(client: &mut Client, module: &str) -> u64 {
    match client.ask(Request::Call { module, input: b"", repeat: 100 }) {
        Ok(Response::Called(_)) => stats(client, module).corrected.min.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Measures all figures in a domain.
fn measure(client: &mut Client, empty: &[u8], domain: Domain) -> [u64; 10] {
    load(client, empty, "empty", domain, None);
    unload(client, "empty");
    let native_load = load(client, empty, "empty", domain, None).cycles.prepare;
    let native = shortest_call(client, "empty");
    unload(client, "empty");
    let mut calls = [0; 3];
    for (tier, call) in ["0", "1", "2"].into_iter().zip(&mut calls) {
        PLAIN.load(client, domain, tier);
        *call = shortest_call(client, PLAIN.name);
    }
    unload(client, PLAIN.name);
    PLAIN.load(client, domain, "0");
    let step = load(client, &PLAIN.wasm(), PLAIN.name, domain, Some(Tier::Fast));
    assert_eq!(step.state, "carried");
    unload(client, PLAIN.name);
    let [plain, constants, page, pages] =
        [&PLAIN, &WITH_CONSTANTS, &WITH_PAGE, &WITH_PAGES].map(|module| module.prepared(client, domain));
    let per_byte = |instructions: u64| instructions as f64 / (constants[2] - plain[2]) as f64;
    let hundred = (100.0 * per_byte(constants[0] - plain[0])) as u64;
    let besides = plain[0] - (plain[2] as f64 * per_byte(constants[0] - plain[0])) as u64;
    let a_page = (pages[0] - page[0]) / PAGES;
    let carried = (pages[1] - pages[0]) - (page[1] - page[0]);
    let carry = carried * 8000 / (PAGES * MEMORY_PAGE_SIZE);
    [native, calls[0], calls[1], calls[2], step.cycles.switch, hundred, native_load, besides, a_page, carry]
}

#[test]
fn no_cost_of_portable_modules_grows() {
    let files = Files::new();
    let empty = module_at(&root().join("tests/modules/empty/Cargo.toml")).unwrap();
    let empty = build_module(&empty, &empty.target.join("test-modules")).unwrap().bytes;
    let measured = with_kernel(
        |machine| (machine.memory_megabytes, machine.icount) = (1024, true),
        |client| {
            for (_, _, file) in files.engines() {
                push(client, &fs::read(file).unwrap(), LoadOverrides::default()).unwrap();
            }
            Domain::ALL.map(|domain| measure(client, &empty, domain))
        },
    );
    let mut slower = Vec::new();
    for (number, (name, counted, aim)) in FIGURES.into_iter().enumerate() {
        for (place, domain) in Domain::ALL.into_iter().enumerate() {
            let (found, bound) = (measured[place][number], counted[place] + counted[place] * MARGIN / 100);
            let aim = if aim[place] == u64::MAX { String::new() } else { format!("; aimed at {}", aim[place]) };
            println!("{name}, {} domain: {found} instructions, at most {bound}{aim}", domain.name());
            if found > bound {
                slower.push(format!("{name}, {} domain: {found}, expected {bound} at most", domain.name()));
            }
        }
    }
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}
