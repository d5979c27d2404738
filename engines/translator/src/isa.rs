//! The target of the code.

use alloc::format;

use bareflow_portable::refusal::Refusal;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};

use crate::options::{Optimization, Options};

/// The extensions of each x86-64 level that Cranelift knows, of level 2 first.
const EXTENSIONS: [&[&str]; 3] = [
    &["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt", "has_cmpxchg16b"],
    &["has_avx", "has_avx2", "has_bmi1", "has_bmi2", "has_fma", "has_lzcnt"],
    &["has_avx512f", "has_avx512dq", "has_avx512vl"],
];

/// The settings that are always the same.
const SETTINGS: [(&str, &str); 10] = [
    ("enable_verifier", "false"),
    ("is_pic", "false"),
    // Rounding calls routines of the blob itself.
    ("use_colocated_libcalls", "true"),
    ("enable_multi_ret_implicit_sret", "true"),
    ("unwind_info", "false"),
    ("preserve_frame_pointers", "false"),
    // A frame larger than a page touches each page, so that an overflow hits the stack's guard page.
    ("enable_probestack", "true"),
    ("probestack_strategy", "inline"),
    ("probestack_size_log2", "12"),
    ("machine_code_cfg_info", "false"),
];

/// Returns the target for these options.
pub(crate) fn target(options: &Options) -> Result<OwnedTargetIsa, Refusal> {
    // All names and values are known to the library; a test makes each target.
    let failed = |what: &dyn core::fmt::Display| Refusal::bad_option(format!("the target could not be made: {what}"));
    let mut shared = settings::builder();
    let (level, algorithm) = match options.optimization {
        Optimization::Quick => ("none", "single_pass"),
        Optimization::Speed => ("speed", "backtracking"),
    };
    let guard = if options.spectre_guard { "true" } else { "false" };
    let chosen = [
        ("opt_level", level),
        ("regalloc_algorithm", algorithm),
        ("enable_heap_access_spectre_mitigation", guard),
        ("enable_table_access_spectre_mitigation", guard),
    ];
    for (name, value) in SETTINGS.into_iter().chain(chosen) {
        shared.set(name, value).map_err(|error| failed(&error))?;
    }
    let triple = "x86_64-unknown-unknown-elf".parse().map_err(|_| failed(&"no such processor"))?;
    let mut builder = isa::lookup(triple).map_err(|error| failed(&error))?;
    for (level, extensions) in (2..).zip(EXTENSIONS) {
        let value = if options.cpu_level >= level { "true" } else { "false" };
        for name in extensions {
            builder.set(name, value).map_err(|error| failed(&error))?;
        }
    }
    builder.finish(settings::Flags::new(shared)).map_err(|error| failed(&error))
}
