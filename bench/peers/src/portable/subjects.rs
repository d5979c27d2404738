//! The modules that are compared: each natively and as WebAssembly, with the input of its calls.

use bareflow_abi::header::{FLAG_INIT, FLAG_NO_RUN, HEADER_SIZE, Header};
use bareflow_builder::discover::{gallery, module_at};
use bareflow_builder::{ModuleCrate, Workspace, build_module, build_with};
use iced_x86::{Decoder, DecoderOptions, Mnemonic};

use crate::peers::BoxError;

/// The names of the gallery's wrappers of crates that others wrote begin with it. They run without services.
const WRAPPER: &str = "gallery-";

/// The wrapper that does not build as WebAssembly.
const NATIVE_ONLY: &str = "gallery-linkme";

/// The large module, which is built for this alone.
pub const LARGE: &str = "large";

/// A module.
pub struct Subject {
    /// The name in tables.
    pub name: String,
    /// The blob of native code, for any processor.
    pub native: Vec<u8>,
    /// The same crate as WebAssembly.
    pub wasm: Vec<u8>,
    /// The input of each call.
    pub input: Vec<u8>,
}

/// Builds all of them: the four modules, those of the gallery, and the large one.
pub fn all(workspace: &Workspace) -> Result<Vec<Subject>, BoxError> {
    let mut subjects = Vec::new();
    for module in &workspace.modules {
        subjects.push(subject(module, &module.name, Vec::new(), workspace)?);
    }
    let gallery = gallery(&workspace.root.join("Cargo.toml"))?;
    for module in gallery.modules.iter().filter(|module| module.name != NATIVE_ONLY) {
        let Some(name) = module.name.strip_prefix(WRAPPER) else { continue };
        let examples = module.examples()?;
        // The first of the examples with the longest input: later ones may be refused at once.
        let example = examples.into_iter().rev().max_by_key(|example| example.input.len());
        subjects.push(subject(module, name, example.ok_or("a module without an example")?.input, workspace)?);
    }
    let large = module_at(&workspace.root.join("bench/large/Cargo.toml"))?;
    subjects.push(subject(&large, LARGE, Vec::new(), workspace)?);
    Ok(subjects)
}

fn subject(module: &ModuleCrate, name: &str, input: Vec<u8>, workspace: &Workspace) -> Result<Subject, BoxError> {
    let target = &workspace.target;
    let mut module = module.clone();
    module.target.clone_from(target);
    let codegen: Vec<_> = module.codegen_options()?.into_iter().take(1).collect();
    let native = build_with(&module, &codegen, &target.join("bench/native"))?.bytes;
    let header = native.first_chunk::<HEADER_SIZE>().map(Header::from_bytes).ok_or("a blob without a header")?;
    if header.flags & (FLAG_INIT | FLAG_NO_RUN) != 0 {
        return Err(format!("{name} has an init or no run, expected one that is only called").into());
    }
    module.settings.portable = true;
    let wasm = build_module(&module, &target.join("bench/portable"))?.bytes;
    Ok(Subject { name: name.to_owned(), native, wasm, input })
}

impl Subject {
    /// Returns the share of the native code's instructions that calculate with several numbers at once, in percent.
    ///
    /// WebAssembly has none of them without SIMD, so code that consists of them can't be as fast there.
    pub fn simd(&self) -> f64 {
        let header = self.native.first_chunk::<HEADER_SIZE>().map(Header::from_bytes);
        let length = header.map_or(0, |header| header.text_size as usize);
        let text = self.native.get(HEADER_SIZE..HEADER_SIZE + length).unwrap_or_default();
        let (mut all, mut packed) = (0, 0);
        for instruction in Decoder::new(64, text, DecoderOptions::NONE) {
            all += 1;
            packed += u32::from(is_packed(instruction.mnemonic()));
        }
        100.0 * f64::from(packed) / f64::from(all.max(1))
    }
}

/// Whether an instruction calculates with several numbers at once. Copies and logic are left out, which compilers use for
/// single numbers and for memory.
fn is_packed(mnemonic: Mnemonic) -> bool {
    let name = format!("{mnemonic:?}");
    let name = name.strip_prefix('V').unwrap_or(&name);
    let starts =
        ["Padd", "Psub", "Pmul", "Pmadd", "Psll", "Psrl", "Psra", "Pcmp", "Pshufb", "Pmin", "Pmax", "Sha", "Aes"];
    let ends = ["ps", "pd"];
    let kinds = ["Add", "Sub", "Mul", "Div", "Sqrt", "Min", "Max"];
    starts.iter().any(|start| name.starts_with(start))
        || kinds.iter().any(|kind| name.strip_prefix(kind).is_some_and(|end| ends.contains(&end)))
}
