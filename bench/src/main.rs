//! Figures of one run, side by side with what they are compared with. Every
//! line says what was measured here and now; nothing is copied from anywhere.

mod boot;
mod measure;
mod price;
mod profiled;
mod twins;

use std::error::Error;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = bareflow_builder::discover::discover("Cargo.toml".as_ref())?;
    println!("# {}\n", bareflow_host::cpu_name());
    twins::show(&workspace)?;
    profiled::show(&workspace)?;
    price::show(&workspace)?;
    boot::show(&workspace)
}

/// A table with these column titles.
fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(titles);
    table
}

/// "met", or by how much a figure misses its bound.
fn verdict(found: f64, at_most: f64) -> String {
    if found <= at_most { "met".to_owned() } else { format!("missed by {:.0} %", (found / at_most - 1.0) * 100.0) }
}
