//! The size of the loader in a kernel, by its parts.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use bareflow_builder::Workspace;
use bareflow_builder::build_module;
use bareflow_builder::discover::module_at;
use bareflow_builder::kernel::{Binary, build_binary};
use bareflow_builder::toolchain::KernelToolchain;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

use crate::{table, verdict};

/// The bound for the loader's text, in bytes.
const BOUND: u64 = 8 << 10;

/// The loader's own modules on the path of a blob to its figures: parse, validate, place, register, execute and
/// profile, unload.
const WAY: [&str; 11] =
    ["format", "name", "policy", "load", "module", "manager", "registry", "call", "platform", "profile", "unload"];

/// The label for the parts of the loader that are inlined into the example's functions.
const INLINED: &str = "inlined into the embedding";

/// The contents of a kernel: bytes by section, and the text of functions by the loader's modules.
struct Sizes {
    sections: Vec<(String, u64)>,
    groups: BTreeMap<String, u64>,
    /// The text of the example's own functions that use the loader, without those that boot, allocate and print.
    embedding: u64,
}

/// Prints the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let toolchain = KernelToolchain::choose()?;
    let build = workspace.target.join(format!("kernel-build-{}", toolchain.name()));
    let own = Sizes::read(&build.join("x86_64-unknown-none/kernel/bareflow-kernel"))?;
    let manifest = workspace.root.join("tests/modules/empty/Cargo.toml");
    let blob = build_module(&module_at(&manifest)?, &workspace.target.join("test-modules"))?;
    let built = |features| {
        let binary = Binary { features, ..Binary::LEAST };
        Sizes::read(&build_binary(workspace, &toolchain, &binary, Some(&blob.path))?)
    };
    let (without, mut least) = (built("without-loader")?, built("")?);
    let inlined = least.embedding.saturating_sub(without.embedding);
    least.groups.insert(INLINED.to_owned(), inlined);
    let mut rows =
        table(&["part of the loader", "on the way of a blob", "bytes in the kernel", "in the least embedding"]);
    let mut names: Vec<_> = own.groups.keys().chain(least.groups.keys()).collect();
    names.sort_by_key(|name| (!on_the_way(name), *name));
    names.dedup();
    let of = |sizes: &Sizes, name: &str| sizes.groups.get(name).copied().unwrap_or_default();
    for name in names {
        let way = if on_the_way(name) { "yes" } else { "" };
        rows.add_row([name, way, &of(&own, name).to_string(), &of(&least, name).to_string()]);
    }
    for (what, count) in [("all", (|_| true) as fn(&str) -> bool), ("all on the way", on_the_way)] {
        rows.add_row([what, "", &own.sum(count).to_string(), &least.sum(count).to_string()]);
    }
    println!("## Text of the loader, with what is inlined into its functions\n\n{rows}\n");
    let (all, way) = (least.sum(|_| true), least.sum(on_the_way));
    let [all, way] = [all, way].map(|bytes| format!("{bytes} bytes ({})", verdict(bytes as f64, BOUND as f64)));
    println!(
        "At most {BOUND} bytes were asked for. The least embedding (`bench/least-kernel`, compiled for size, with none \
         of the loader's features), which loads, executes and reads figures: {all}; of these on the way of a blob: {way}. \
         The kernel besides reloads, keeps versions, tries candidates, diagnoses and reports.\n"
    );
    let mut rows =
        table(&["section", "bytes in the kernel", "in the least embedding", "in the same without the loader"]);
    for (name, size) in &own.sections {
        let [least, without] = [&least, &without]
            .map(|sizes| sizes.sections.iter().find(|(other, _)| other == name).map_or(0, |(_, size)| *size));
        rows.add_row([name.clone(), size.to_string(), least.to_string(), without.to_string()]);
    }
    println!("## Sections\n\n{rows}\n");
    Ok(())
}

fn on_the_way(group: &str) -> bool {
    group == INLINED || WAY.contains(&group)
}

impl Sizes {
    fn read(path: &Path) -> Result<Sizes, Box<dyn Error>> {
        let bytes = fs::read(path)?;
        let file = object::File::parse(&*bytes)?;
        let loaded = |kind| {
            matches!(
                kind,
                SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::Data | SectionKind::UninitializedData
            )
        };
        let sections = file.sections().filter(|section| loaded(section.kind()));
        let sections = sections.map(|section| Ok((section.name()?.to_owned(), section.size())));
        let (mut groups, mut embedding) = (BTreeMap::new(), 0);
        for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            let name = rustc_demangle::demangle(symbol.name()?).to_string();
            if let Some(group) = group(&name) {
                *groups.entry(group).or_default() += symbol.size();
            } else if name.starts_with("least_kernel::embedding::") {
                embedding += symbol.size();
            }
        }
        Ok(Sizes { sections: sections.collect::<Result<_, object::Error>>()?, groups, embedding })
    }

    fn sum(&self, count: fn(&str) -> bool) -> u64 {
        self.groups.iter().filter(|(name, _)| count(name)).map(|(_, size)| size).sum()
    }
}

/// Returns the loader's module that a function comes from; `None` for foreign functions.
fn group(function: &str) -> Option<String> {
    // The name of a trait's method starts with its type, since a platform's methods are not the loader's.
    let path = match function.strip_prefix('<') {
        Some(of) if of.starts_with("bareflow_loader::") => of,
        Some(_) => return None,
        None => function,
    };
    let behind = path.strip_prefix("bareflow_loader::").or_else(|| {
        let (before, behind) = path.split_once("bareflow_loader::")?;
        before.contains("drop_in_place").then_some(behind)
    })?;
    Some(behind.split("::").next().unwrap_or_default().to_owned())
}
