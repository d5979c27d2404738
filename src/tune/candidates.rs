//! The candidates: the builds of a module that are compared.

use std::path::Path;

use anyhow::Result;
use bareflow_abi::header::{HEADER_SIZE, Header, checksum_of};
use bareflow_builder::discover::ModuleCrate;
use bareflow_builder::pgo::profile;
use bareflow_builder::{CodegenOptions, build_with};
use indicatif::ProgressBar;

use super::TuneRun;
use crate::options::TuneOptions;

/// The number of calls for a profile.
const PROFILED_CALLS: u32 = 20;

/// One build, and its figures.
pub(super) struct Candidate {
    /// The options that it was built with.
    pub codegen: CodegenOptions,
    /// The blob, with a name of its own.
    pub blob: Vec<u8>,
    /// The ticks of a call in this process, if its processor can run it.
    pub ticks: Option<Ticks>,
    /// The instructions of a call in the kernel, if QEMU's processor can run it.
    pub instructions: Option<u64>,
}

/// The ticks of a call, less the cost of measuring.
#[derive(Clone, Copy)]
pub(super) struct Ticks {
    pub median: u64,
    pub min: u64,
}

impl Candidate {
    /// Returns the label of the candidate's bar.
    pub fn short(&self) -> String {
        let with = if self.codegen.profile.is_some() { " profile" } else { "" };
        format!("v{} {}{with}", self.codegen.cpu_level, self.codegen.opt_level)
    }

    /// Returns the candidate's name in messages.
    pub fn label(&self) -> String {
        let with = if self.codegen.profile.is_some() { " with a profile" } else { "" };
        format!("x86-64-v{} at opt-level {}{with}", self.codegen.cpu_level, self.codegen.opt_level)
    }
}

/// Builds all candidates. If there can't be a profile, adds a note that says why, and builds only those without.
pub(super) fn build(
    module: &ModuleCrate,
    work: &TuneRun<'_>,
    options: &TuneOptions,
    notes: &mut Vec<String>,
    progress: &ProgressBar,
) -> Result<Vec<Candidate>> {
    let folder = module.target.join("tune").join(&module.name);
    let mut candidates = Vec::new();
    let codegen = |cpu_level, opt_level: &str, seen: Option<&Path>| CodegenOptions {
        cpu_level,
        opt_level: opt_level.to_owned(),
        profile: seen.map(Path::to_owned),
    };
    progress.set_message("running it for its profile");
    let mut profiles = vec![None];
    if !options.no_profile {
        let plain = build_with(module, &[codegen(1, "2", None)], &folder)?;
        match profile(module, &plain.bytes, &work.input, PROFILED_CALLS) {
            Ok(seen) => profiles.push(Some(seen)),
            Err(missing) => notes.push(format!("not built with a profile: {missing}")),
        }
    }
    for seen in profiles {
        for &cpu_level in &options.cpu_levels {
            for opt_level in &options.opt_levels {
                let codegen = codegen(cpu_level, opt_level, seen.as_deref());
                progress.set_message(format!("{} v{cpu_level} {opt_level}", module.name));
                let bytes = build_with(module, std::slice::from_ref(&codegen), &folder)?.bytes;
                let blob = under_name(bytes, &super::label(candidates.len()));
                candidates.push(Candidate { codegen, blob, ticks: None, instructions: None });
                progress.inc(1);
            }
        }
    }
    Ok(candidates)
}

/// Returns the blob with another name in its header, so that all can be loaded at the same time.
fn under_name(mut blob: Vec<u8>, name: &str) -> Vec<u8> {
    if let Some(start) = blob.first_chunk_mut::<HEADER_SIZE>() {
        let mut header = Header::from_bytes(start);
        header.name = [0; 32];
        for (target, byte) in header.name.iter_mut().zip(name.bytes()) {
            *target = byte;
        }
        *start = header.to_bytes();
        if let Some((checksum, field)) = checksum_of(&blob).zip(blob.get_mut(HEADER_SIZE - 4..HEADER_SIZE)) {
            field.copy_from_slice(&checksum.to_le_bytes());
        }
    }
    blob
}
