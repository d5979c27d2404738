//! The subjects of the comparison, with one table each, and their plots.

use bareflow_builder::Workspace;

use crate::measure::{Contender, Figure, clock, compare, ratio, table, ticks, titled};
use crate::ours::{self, blob, by_hand, manager, padded, renamed};
use crate::peers::{self, BoxError, Twins};
use crate::plot::Series;
use crate::programs::{EMPTY, FOUR, Program};

/// The C compilers; one that is not installed is left out.
const COMPILERS: [&str; 2] = ["gcc", "clang"];

/// The figures of one program.
pub type Group = (String, Vec<Figure>);

/// The number of rounds of each comparison.
const ROUNDS: usize = 201;

/// The numbers of loaded modules.
const LOADED: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// The sizes of constants in the blobs whose loads are timed, in bytes.
const SIZES: [usize; 6] = [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// The bounds for a load, a call and an unload, in ticks: on Intel's processors, and on others.
const LOAD: (f64, f64) = (700.0, 500.0);

/// Compares loading from memory, one call and unloading: the work of `sum`.
pub fn loads(workspace: &Workspace) -> Result<String, BoxError> {
    let (sum, manager) = (blob(workspace, "sum")?, manager()?);
    let program = program("sum")?;
    let twins = Twins::compile(workspace, "gcc", 0)?.ok_or("gcc is not here; run `make setup`")?;
    let mut contenders = vec![ours::loading(&manager, &sum), by_hand(&sum)?];
    contenders.push(twins.loading_by_dlopen(program));
    contenders.push(twins.reopening(program)?);
    contenders.push(twins.loading_by_elf_loader(program));
    contenders.extend(peers::loading(program)?);
    let figures = compare(&mut contenders, program.expected, ROUNDS, 16);
    let alone = compare(&mut contenders[..1], program.expected, ROUNDS, 16);
    let bound = if bareflow_host::is_intel() { LOAD.0 } else { LOAD.1 };
    Ok(format!(
        "## Load from memory, call once, unload: `sum`\n\n{}\n\
         Behind the turns of others the caches hold what those needed. With nothing between its \
         turns, BareFlow takes {} ticks (min {}); at most {bound} were asked for: {}.\n\n\
         Each starts with the module's bytes in memory and ends with nothing left of it. `dlopen` takes no bytes, so \
         they are written to a memory file (`memfd_create`), which is part of the work but where the file \
         is said to be there. wasmtime's bytes are machine \
         code it compiled before; wasmi and rbpf translate theirs. Only BareFlow checks a checksum, contains faults \
         and keeps figures.\n",
        table("", &figures),
        ticks(alone[0].median),
        ticks(alone[0].min),
        if alone[0].median <= bound { "met" } else { "missed" },
    ))
}

/// Compares calls that do the work of the four modules.
pub fn work(workspace: &Workspace) -> Result<(String, Vec<Group>), BoxError> {
    let mut text = String::from("## The work of the four modules, ticks per call\n\n");
    let mut all = Vec::new();
    let compiled = twins(workspace)?;
    for program in &FOUR {
        let (bytes, manager) = (blob(workspace, program.name)?, manager()?);
        let id = manager.load(&bytes)?;
        let mut contenders = vec![Contender::new("BareFlow, by handle, all figures kept", || {
            manager.execute(id).unwrap_or_else(|error| panic!("{error}"))
        })];
        for twins in &compiled {
            contenders.push(twins.calling(program)?);
        }
        contenders.extend(peers::calling(program)?);
        let figures = compare(&mut contenders, program.expected, ROUNDS, 20);
        text += &format!("{}\n", table(program.name, &figures));
        all.push((program.name.to_owned(), figures));
    }
    text += "The same algorithms everywhere (`bench/twins/twins.c`, `bench/peers/src/programs.rs`); what a compiler \
             makes of them is its own: a few ticks for `sum` or `fibonacci` mean that it is a constant by then.\n";
    Ok((text, all))
}

/// Compares calls of a loaded program that does nothing.
pub fn calls(workspace: &Workspace) -> Result<String, BoxError> {
    let (bytes, manager) = (blob(workspace, "empty")?, manager()?);
    let id = manager.load(&bytes)?;
    let by_handle = || manager.execute(id).unwrap_or_else(|error| panic!("{error}"));
    let pair = || {
        std::hint::black_box((plain(), plain()));
        0
    };
    let compiled = twins(workspace)?;
    let mut contenders =
        vec![Contender::new("BareFlow, by handle, all figures kept", by_handle), Contender::new("rdtsc; rdtsc", pair)];
    for twins in &compiled {
        contenders.push(twins.calling(&EMPTY)?);
    }
    contenders.extend(peers::calling(&EMPTY)?);
    let figures = compare(&mut contenders, 0, ROUNDS, 2_000);
    Ok(format!(
        "## A call of a module that does nothing\n\n{}\n\
         BareFlow reads the clock twice, contains faults and counts; the others only call.\n",
        table("", &figures)
    ))
}

/// Measures a call and a load with more and more modules loaded.
pub fn numbers(workspace: &Workspace) -> Result<(String, Vec<Series>), BoxError> {
    let (bytes, manager) = (blob(workspace, "empty")?, manager()?);
    let mut rows = titled(&[
        "modules loaded",
        "call by handle",
        "call by name",
        "load one more, unload it",
        "ticks per load so far",
    ]);
    let [mut handle, mut name, mut load] =
        ["by handle", "by name", "load and unload"].map(|name| Series { name: name.to_owned(), points: Vec::new() });
    let (mut ids, mut spent, mut stopped) = (Vec::new(), 0, String::new());
    let another = renamed(&bytes, "another");
    'loads: for loaded in LOADED {
        while ids.len() < loaded {
            let next = renamed(&bytes, &format!("empty-{}", ids.len()));
            let start = clock();
            let id = manager.load(&next);
            spent += clock() - start;
            match id {
                Ok(id) => ids.push(id),
                Err(error) => {
                    stopped = format!("\nModule {} was refused: {error}\n", ids.len());
                    break 'loads;
                }
            }
        }
        let (id, called) = (ids[loaded / 2], format!("empty-{}", loaded / 2));
        let execute = |id| manager.execute(id).unwrap_or_else(|error| panic!("{error}"));
        let by_name = || execute(manager.find(&called).unwrap_or_else(|| panic!("{called} is not there")));
        let mut calls = [Contender::new("", || execute(id)), Contender::new("", by_name)];
        let calls = compare(&mut calls, 0, ROUNDS, 500);
        let mut loads = [Contender::new("", || {
            let id = manager.load(&another).unwrap_or_else(|error| panic!("{error}"));
            manager.unload(id).unwrap_or_else(|error| panic!("{error}"));
            0
        })];
        let loads = compare(&mut loads, 0, ROUNDS, 4);
        let x = loaded as f64;
        handle.points.push((x, calls[0].median));
        name.points.push((x, calls[1].median));
        load.points.push((x, loads[0].median));
        let figures = [calls[0].median, calls[1].median, loads[0].median, spent as f64 / x];
        rows.add_row([loaded.to_string()].into_iter().chain(figures.map(ticks)));
    }
    let text = format!("## Calls and loads against the number of loaded modules, ticks, median\n\n{rows}\n{stopped}");
    Ok((text, vec![handle, name, load]))
}

/// Measures loads of larger and larger modules.
pub fn sizes(workspace: &Workspace) -> Result<(String, Vec<Series>), BoxError> {
    let (bytes, manager) = (blob(workspace, "empty")?, manager()?);
    let mut rows = titled(&["bytes", "who", "ticks, median", "ticks, min", "bytes per tick", "times ours"]);
    let mut series: Vec<Series> = Vec::new();
    for size in SIZES {
        let large = padded(&bytes, size);
        let mut target = vec![0; large.len()];
        let twins = Twins::compile(workspace, "gcc", size)?.ok_or("gcc is not here; run `make setup`")?;
        let mut contenders = vec![ours::loading(&manager, &large)];
        contenders.push(Contender::new("copying the bytes, no more", || {
            target.copy_from_slice(std::hint::black_box(&large));
            std::hint::black_box(&mut target);
            0
        }));
        contenders.push(twins.loading_by_dlopen(&EMPTY));
        contenders.push(twins.loading_by_elf_loader(&EMPTY));
        let figures = compare(&mut contenders, 0, ROUNDS / 4, 2);
        for (index, figure) in figures.iter().enumerate() {
            rows.add_row([
                size.to_string(),
                figure.name.clone(),
                ticks(figure.median),
                ticks(figure.min),
                format!("{:.2}", size as f64 / figure.median),
                ratio(figure.median / figures[0].median),
            ]);
            if series.len() <= index {
                series.push(Series { name: figure.name.clone(), points: Vec::new() });
            }
            series[index].points.push((size as f64, figure.median));
        }
    }
    let text = format!(
        "## Load, call, unload against the module's size\n\n{rows}\n\nThe bytes are constants of the module.\n"
    );
    Ok((text, series))
}

/// Reads the clock, without ordering.
fn plain() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets processes use it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

fn program(name: &str) -> Result<&'static Program, BoxError> {
    Ok(FOUR.iter().find(|program| program.name == name).ok_or("no such program")?)
}

fn twins(workspace: &Workspace) -> Result<Vec<Twins>, BoxError> {
    let compiled = COMPILERS.into_iter().map(|compiler| Twins::compile(workspace, compiler, 0));
    Ok(compiled.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}
