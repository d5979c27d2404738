//! Builds the runner, and finds the places in its blob that are filled in for each program.

use std::error::Error;
use std::path::{Path, PathBuf};

use bareflow_abi::header::{HEADER_SIZE, Header};
use bareflow_abi::traps::{TrapKind, TrapSite};
use bareflow_builder::build_module;
use bareflow_builder::discover::{all_beside, module_at};
use bareflow_builder::toolchain::MODULE_TOOLCHAIN;
use bareflow_portable::program::{ATTACHMENT_MARK, TRAP_MARK};

/// The size of the instruction at a trap's site, which lies before its mark.
const TRAP_INSTRUCTION_BYTES: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={MODULE_TOOLCHAIN}");
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut module = module_at(&folder.with_file_name("runner").join("Cargo.toml"))?;
    for beside in all_beside(&module)?.iter().map(PathBuf::as_path).chain([module.folder()]) {
        println!("cargo::rerun-if-changed={}", beside.display());
    }
    // Cargo holds the lock of the surrounding build's folder.
    module.target.clone_from(&out);
    // Names of the interpreter's own functions say nothing about a program.
    module.settings.strip = true;
    let runner = build_module(&module, &out)?.bytes;
    write_places(&runner, &out)
}

/// Writes the places as constants of Rust.
fn write_places(runner: &[u8], out: &Path) -> Result<(), Box<dyn Error>> {
    let header = Header::from_bytes(runner.first_chunk::<HEADER_SIZE>().ok_or("the runner's blob is cut off")?);
    let segments = &runner[HEADER_SIZE..];
    let (text, rest) = segments.split_at(header.text_size as usize);
    let data = &rest[header.rodata_size as usize..][..header.data_size as usize];
    let [attachment] = find(data, &ATTACHMENT_MARK)[..] else {
        return Err("the mark of the attachment is not in the runner's data exactly once".into());
    };
    let mut sites = Vec::new();
    for at in find(text, TRAP_MARK) {
        let digit = text[at + TRAP_MARK.len()].wrapping_sub(b'0');
        let kind = *TrapKind::ALL.get(usize::from(digit)).ok_or("a trap of the runner has an unknown number")?;
        sites.push(TrapSite { offset: u32::try_from(at - TRAP_INSTRUCTION_BYTES)?, kind });
    }
    for kind in TrapKind::ALL {
        let count = sites.iter().filter(|site| site.kind == *kind).count();
        if count != 1 {
            return Err(format!("the runner has {count} sites of {kind:?}, expected one").into());
        }
    }
    let (mut traps, mut before) = (Vec::new(), 0);
    for site in sites {
        site.encode(before, &mut |bytes| traps.extend_from_slice(bytes));
        before = site.offset;
    }
    let text = format!(
        "/// The offset of the attachment's mark in the runner's data.\n\
         pub const ATTACHMENT: u32 = {attachment};\n\
         /// The record of the runner's trap sites.\n\
         pub const TRAPS: &[u8] = &{traps:?};\n\
         /// The runner's blob.\n\
         pub const RUNNER: &[u8] = include_bytes!({:?});\n",
        out.join("bareflow-runner.mod")
    );
    Ok(std::fs::write(out.join("runner.rs"), text)?)
}

/// Returns all places of `mark` in `bytes`.
fn find(bytes: &[u8], mark: &[u8]) -> Vec<usize> {
    bytes.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark).map(|(at, _)| at).collect()
}
