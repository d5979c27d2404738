//! The four modules, compared with their C twins.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use bareflow_builder::subprocess::{command, output};
use bareflow_builder::{Workspace, build_module, build_with};
use bareflow_host::{HostPlatform, cpu_level};
use bareflow_loader::{ModuleManager, RawModule, Timing};
use libloading::Library;

use crate::OUR_OWN;
use crate::measure::{Code, entry, measure};
use crate::table;

/// The modules with their results, the required speed relative to gcc's code, and the bound for the blob in bytes.
const MODULES: [(&str, i32, f64, u64); 4] = [
    ("fibonacci", 6765, 1.0, 160),
    ("sum", 5050, 1.0, 160),
    ("compute", 4_488_500, 5.0, 704),
    ("primes", 168, 1.4, 288),
];

/// The C compilers.
const COMPILERS: [&str; 2] = ["gcc", "clang"];

/// The required speed, relative to gcc's code, of the variants for higher levels: the module, and the lowest level.
const VARIANTS: [(&str, u8, f64); 1] = [("compute", 3, 9.5)];

/// Differences below this part of a tick count are the clock's.
const RESOLUTION: f64 = 0.5;

/// Prints the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let mut twins = Vec::new();
    for compiler in COMPILERS {
        match compile(workspace, compiler)? {
            Some(library) => twins.push((compiler, library)),
            None => println!("{compiler} is not here: its twins are left out\n"),
        }
    }
    let manager = ModuleManager::with_kernel_domain(
        HostPlatform::new(Box::new(|line| println!("{line}")))?,
        Timing::Fast,
        OUR_OWN,
    );
    let mut times = table(&[
        "module",
        "code",
        "single median",
        "single min",
        "batch median",
        "batch min",
        "times as fast",
        "bound",
    ]);
    let mut sizes = table(&["module", "blob bytes", "bound", ""]);
    for (name, expected, factor, bound) in MODULES {
        let module = workspace.modules.iter().find(|module| module.name == name).ok_or("a module is missing")?;
        let blob = build_module(module, &workspace.target.join("modules"))?;
        for codegen in module.codegen_options()?.into_iter().filter(|codegen| codegen.cpu_level <= cpu_level()) {
            let level = codegen.cpu_level;
            // The code of each level is packed as a blob of its own.
            let folder = workspace.target.join(format!("bench/v{level}"));
            let id = manager.load(&build_with(module, &[codegen], &folder)?.bytes)?;
            assert_eq!(manager.execute(id)?, expected, "{name}");
            let address = manager.stats(id).ok_or("not loaded")?.entry_address;
            let mut codes = vec![("module", entry(address))];
            for (compiler, library) in &twins {
                codes.push((compiler, function(library, name, expected)?));
            }
            let ticks = measure(&codes.iter().map(|(_, code)| *code).collect::<Vec<_>>());
            let ours = ticks[0];
            let variant = VARIANTS.iter().find(|(module, from, _)| *module == name && level >= *from);
            let factor = variant.map_or(factor, |(_, _, factor)| *factor);
            for ((label, _), theirs) in codes.iter().zip(&ticks) {
                let ratio = theirs.batch_median / ours.batch_median;
                let needed = if *label == "gcc" { factor } else { 1.0 };
                let met = ratio >= needed || ours.batch_median <= theirs.batch_median + RESOLUTION && needed <= 1.0;
                let bound = match *label {
                    "module" => String::new(),
                    _ if met => format!("{needed}: met"),
                    _ => format!("{needed}: missed by {:.0} %", (needed / ratio - 1.0) * 100.0),
                };
                times.add_row([
                    format!("{name} v{level}"),
                    (*label).to_owned(),
                    theirs.single_median.to_string(),
                    theirs.single_min.to_string(),
                    format!("{:.1}", theirs.batch_median),
                    format!("{:.1}", theirs.batch_min),
                    format!("{ratio:.2}"),
                    bound,
                ]);
            }
            manager.unload(id)?;
        }
        let size = blob.bytes.len() as u64 - u64::from(RawModule::parse(&blob.bytes)?.header().record_size);
        sizes.add_row([
            name.to_owned(),
            size.to_string(),
            bound.to_string(),
            crate::verdict(size as f64, bound as f64),
        ]);
    }
    println!("## Modules against C twins (-O2), ticks per call\n\n{times}\n");
    println!("A module's \"times as fast\" is the twin's batch median over its own.\n");
    println!("## Blob sizes\n\n{sizes}\n");
    Ok(())
}

/// Compiles the twins into a library; `None` if there is no such compiler.
fn compile(workspace: &Workspace, compiler: &str) -> Result<Option<Library>, Box<dyn Error>> {
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder)?;
    let library: PathBuf = folder.join(format!("twins-{compiler}.so"));
    let mut cc = command(compiler);
    cc.args(["-O2", "-fPIC", "-shared", "-o"]).arg(&library).arg(workspace.root.join("bench/twins/twins.c"));
    let Ok(said) = output(&mut cc) else { return Ok(None) };
    if !said.status.success() {
        return Err(format!("{compiler} can't compile the twins: {}", String::from_utf8_lossy(&said.stderr)).into());
    }
    // SAFETY: the library was just made of four functions without constructors.
    Ok(Some(unsafe { Library::new(&library) }?))
}

fn function(library: &Library, name: &str, expected: i32) -> Result<Code, Box<dyn Error>> {
    // SAFETY: every twin is an `int name(void)`.
    let function = unsafe { *library.get::<extern "C" fn() -> i32>(name.as_bytes())? };
    assert_eq!(function(), expected, "the twin of {name}");
    Ok(Code::C(function))
}
