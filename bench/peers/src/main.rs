//! A comparison of BareFlow with alternatives: libloading, elf_loader, wasmtime, wasmi, rbpf and C compilers.
//!
//! Each does the same work in this process, in one run, by turns.
//!
//! `peers FOLDER [OWN.md [PAGE.md]]` writes `performance.md` and its plots to FOLDER, including the tables of OWN, and
//! prints the document as it is produced. If there is a PAGE, it replaces the section of this processor there.

mod machine;
mod measure;
mod ours;
mod page;
mod peers;
mod plot;
mod programs;
mod subjects;

use std::path::PathBuf;

use bareflow_builder::discover::discover;
use peers::BoxError;

fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("usage: peers FOLDER [OWN.md [PAGE.md]]")?;
    let own = arguments.next().map(std::fs::read_to_string).transpose()?;
    let page = arguments.next();
    let processor = machine::processor();
    let relative = format!("performance/{}", page::file_name(&processor));
    let pictures = folder.join(&relative);
    std::fs::create_dir_all(&pictures)?;
    let workspace = discover("Cargo.toml".as_ref())?;

    let mut document = String::new();
    let mut add = |text: &str| {
        println!("{text}");
        document += text;
        document.push('\n');
    };
    add(&machine::describe());
    add("# BareFlow beside its peers\n");
    add(&subjects::loads(&workspace)?);
    let (text, work) = subjects::work(&workspace)?;
    add(&text);
    plot::bars(&pictures.join("work.svg"), "The work of the four modules", &work)?;
    add(&format!("![ticks per call of the four modules and their twins]({relative}/work.svg)\n"));
    add(&subjects::calls(&workspace)?);
    let (text, series) = subjects::numbers(&workspace)?;
    add(&text);
    plot::lines(&pictures.join("numbers.svg"), "Calls and loads against loaded modules", "modules loaded", &series)?;
    add(&format!("![ticks against the number of loaded modules]({relative}/numbers.svg)\n"));
    let (text, series) = subjects::sizes(&workspace)?;
    add(&text);
    plot::lines(&pictures.join("sizes.svg"), "Load, call, unload against size", "bytes of constants", &series)?;
    add(&format!("![ticks against the size of the module]({relative}/sizes.svg)\n"));
    if let Some(own) = own {
        // The first line names the processor, which the document has already.
        let tables = own.split_once('\n').map_or("", |(_, tables)| tables);
        document += &format!("# BareFlow by itself\n{tables}");
    }
    let section = page::section(&processor, &document);
    std::fs::write(folder.join("performance.md"), &section)?;
    if let Some(page) = page {
        std::fs::write(&page, page::replace(&std::fs::read_to_string(&page)?, &processor, &section))?;
    }
    Ok(())
}
