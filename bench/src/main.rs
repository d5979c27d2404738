//! Benchmarks: the figures of one run, side by side with what they are compared with.
//!
//! Every line shows what was measured here and now; nothing is copied from elsewhere.

mod boot;
mod delays;
mod empty_kernel;
mod events;
mod frames;
mod gallery;
mod interfaces;
mod live;
mod measure;
mod network;
mod portable;
mod price;
mod profiled;
mod regions;
mod served;
mod size;
mod twins;

use std::error::Error;

use bareflow_builder::discover::module_at;
use bareflow_builder::{Workspace, build_module};
use bareflow_loader::KernelDomain;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

/// The permission for the blobs of this program, which are built by the project.
// SAFETY: they keep the rules of the project's other code.
const OUR_OWN: KernelDomain = unsafe { KernelDomain::trust_all_blobs() };

/// A function that prints one or more tables.
type Show = fn(&Workspace) -> Result<(), Box<dyn Error>>;

/// All tables, by the names that select them as arguments.
const ALL: [(&str, Show); 13] = [
    ("twins", twins::show),
    ("gallery", gallery::show),
    ("profiled", profiled::show),
    ("price", price::show),
    ("interfaces", interfaces::show),
    ("regions", regions::show),
    ("events", events::show),
    ("delays", delays::show),
    ("live", live::show),
    ("frames", frames::show),
    ("network", network::show),
    ("portable", portable::show),
    ("boot", boot::show),
];

fn main() -> Result<(), Box<dyn Error>> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let names = ALL.map(|(name, _)| name);
    if let Some(other) = chosen.iter().find(|chosen| !names.contains(&chosen.as_str())) {
        return Err(format!("\"{other}\", expected some of {}", names.join(", ")).into());
    }
    let workspace = bareflow_builder::discover::discover("Cargo.toml".as_ref())?;
    println!("# {}\n", bareflow_host::cpu_name());
    for (name, show) in ALL {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            show(&workspace)?;
        }
    }
    Ok(())
}

/// Builds the module in a folder of the workspace. `folder` is the one of its blobs below the target directory.
fn blob_of(workspace: &Workspace, path: &str, folder: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let manifest = workspace.root.join(path).join("Cargo.toml");
    Ok(build_module(&module_at(&manifest)?, &workspace.target.join(folder))?.bytes)
}

/// Returns an empty table with column titles.
fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(titles);
    table
}

/// Returns "met", or by how much a figure misses its bound.
fn verdict(found: f64, at_most: f64) -> String {
    if found <= at_most { "met".to_owned() } else { format!("missed by {:.0} %", (found / at_most - 1.0) * 100.0) }
}
