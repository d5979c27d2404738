//! A comparison of BareFlow with alternatives: libloading, elf_loader, wasmtime, wasmi, rbpf and C compilers.
//!
//! Each does the same work in this process, in one run, by turns.
//!
//! `peers FOLDER [FILE.md]` writes `performance.md` and its plots to FOLDER, including the tables of FILE, and prints
//! the document as it is produced.

mod machine;
mod measure;
mod ours;
mod peers;
mod plot;
mod programs;
mod subjects;

use std::path::PathBuf;

use bareflow_builder::discover::discover;
use peers::BoxError;

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("usage: peers FOLDER [FILE.md]")?;
    let own = arguments.next().map(std::fs::read_to_string).transpose()?;
    let pictures = folder.join("performance");
    std::fs::create_dir_all(&pictures)?;
    let workspace = discover("Cargo.toml".as_ref())?;

    let mut document = String::new();
    let mut add = |text: &str| {
        println!("{text}");
        document += text;
        document.push('\n');
    };
    add(&format!(
        "# Performance\n\nOne run of `make bench` on one machine. Ticks are those of the processor's clock; whatever is \
         compared was measured in turns, in one process. `make performance` measures all of it anew and replaces this \
         page.\n\n{}",
        machine::describe()
    ));
    add("# BareFlow beside its peers\n");
    add(&subjects::loads(&workspace)?);
    let (text, work) = subjects::work(&workspace)?;
    add(&text);
    plot::bars(&pictures.join("work.svg"), "The work of the four modules", &work)?;
    add("![ticks per call of the four modules and their twins](performance/work.svg)\n");
    add(&subjects::calls(&workspace)?);
    let (text, series) = subjects::numbers(&workspace)?;
    add(&text);
    plot::lines(&pictures.join("numbers.svg"), "Calls and loads against loaded modules", "modules loaded", &series)?;
    add("![ticks against the number of loaded modules](performance/numbers.svg)\n");
    let (text, series) = subjects::sizes(&workspace)?;
    add(&text);
    plot::lines(&pictures.join("sizes.svg"), "Load, call, unload against size", "bytes of constants", &series)?;
    add("![ticks against the size of the module](performance/sizes.svg)\n");
    if let Some(own) = own {
        // The first line names the processor, which the document has already.
        let tables = own.split_once('\n').map_or("", |(_, tables)| tables);
        document += &format!("# BareFlow by itself\n{tables}");
    }
    std::fs::write(folder.join("performance.md"), document.trim_end().to_owned() + "\n")?;
    Ok(())
}
