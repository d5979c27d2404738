//! A comparison of BareFlow with alternatives: libloading, elf_loader, wasmtime, wasmi, rbpf and C compilers.
//!
//! Each does the same work in this process, in one run, by turns.
//!
//! `peers FOLDER [OWN.md [PAGE.md]]` writes `performance.md` and its plots to FOLDER, including the tables of OWN, and
//! prints the document as it is produced. If there is a PAGE, it replaces the section of this processor there.
//! `peers FOLDER PART ..` prints some parts, and writes only their plots.

mod machine;
mod measure;
mod ours;
mod page;
mod peers;
mod plot;
mod portable;
mod programs;
mod subjects;

use std::path::{Path, PathBuf};

use bareflow_builder::Workspace;
use bareflow_builder::discover::discover;
use peers::BoxError;

/// The folder for plots, and its path in the document.
struct Pictures<'a> {
    folder: &'a Path,
    relative: &'a str,
}

impl Pictures<'_> {
    /// Returns the file of a plot, and its line in the document.
    fn place(&self, file: &str, what: &str) -> (PathBuf, String) {
        (self.folder.join(file), format!("![{what}]({}/{file})\n", self.relative))
    }
}

/// A function that measures a part, and returns its text.
type Show = fn(&Workspace, &Pictures<'_>) -> Result<String, BoxError>;

/// All parts, by the names that select them as arguments.
const PARTS: [(&str, Show); 8] = [
    ("loads", |workspace, _| subjects::loads(workspace)),
    ("work", work),
    ("calls", |workspace, _| subjects::calls(workspace)),
    ("numbers", numbers),
    ("sizes", sizes),
    ("tiers", |workspace, _| portable::speed::show(workspace)),
    ("compilers", |workspace, _| portable::compile::show(workspace)),
    ("timeline", timeline),
];

fn main() -> Result<(), BoxError> {
    let usage = || format!("usage: peers FOLDER [OWN.md [PAGE.md]], or peers FOLDER PART .. of {}", names());
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (folder, rest) = arguments.split_first().ok_or_else(usage)?;
    let folder = Path::new(folder);
    let is_part = |argument: &String| PARTS.iter().any(|(name, _)| name == argument);
    let chosen = rest.iter().all(is_part) && !rest.is_empty();
    let (own, page) = match rest {
        _ if chosen => (None, None),
        [] => (None, None),
        [own] => (Some(own), None),
        [own, page] => (Some(own), Some(page)),
        _ => return Err(usage().into()),
    };
    let own = own.map(std::fs::read_to_string).transpose()?;
    let processor = machine::processor();
    let relative = format!("performance/{}", page::file_name(&processor));
    let pictures = Pictures { folder: &folder.join(&relative), relative: &relative };
    std::fs::create_dir_all(pictures.folder)?;
    let workspace = discover("Cargo.toml".as_ref())?;

    let mut document = String::new();
    let mut add = |text: &str| {
        println!("{text}");
        document += text;
        document.push('\n');
    };
    add(&machine::describe());
    add("# BareFlow beside its peers\n");
    for (_, show) in PARTS.iter().filter(|(name, _)| !chosen || rest.iter().any(|part| part == name)) {
        add(&show(&workspace, &pictures)?);
    }
    if chosen {
        return Ok(());
    }
    if let Some(own) = own {
        // The first line names the processor, which the document has already.
        let tables = own.split_once('\n').map_or("", |(_, tables)| tables);
        document += &format!("# BareFlow by itself\n{tables}");
    }
    let section = page::section(&processor, &document);
    std::fs::write(folder.join("performance.md"), &section)?;
    if let Some(page) = page {
        std::fs::write(page, page::replace(&std::fs::read_to_string(page)?, &processor, &section))?;
    }
    Ok(())
}

fn names() -> String {
    PARTS.map(|(name, _)| name).join(", ")
}

fn work(workspace: &Workspace, pictures: &Pictures<'_>) -> Result<String, BoxError> {
    let (text, work) = subjects::work(workspace)?;
    let (file, line) = pictures.place("work.svg", "ticks per call of the four modules and their twins");
    plot::bars(&file, "The work of the four modules", &work)?;
    Ok(format!("{text}\n{line}"))
}

fn numbers(workspace: &Workspace, pictures: &Pictures<'_>) -> Result<String, BoxError> {
    let (text, series) = subjects::numbers(workspace)?;
    let (file, line) = pictures.place("numbers.svg", "ticks against the number of loaded modules");
    plot::lines(&file, "Calls and loads against loaded modules", ("modules loaded", "ticks, median"), &series)?;
    Ok(format!("{text}\n{line}"))
}

fn sizes(workspace: &Workspace, pictures: &Pictures<'_>) -> Result<String, BoxError> {
    let (text, series) = subjects::sizes(workspace)?;
    let (file, line) = pictures.place("sizes.svg", "ticks against the size of the module");
    plot::lines(&file, "Load, call, unload against size", ("bytes of constants", "ticks, median"), &series)?;
    Ok(format!("{text}\n{line}"))
}

fn timeline(workspace: &Workspace, pictures: &Pictures<'_>) -> Result<String, BoxError> {
    let (mut text, plots) = portable::timeline::show(workspace)?;
    for (name, series) in plots {
        let (file, line) =
            pictures.place(&format!("timeline-{name}.svg"), &format!("calls of {name} per second against time"));
        let title = format!("From the WebAssembly to full speed: {name}");
        plot::lines(&file, &title, ("milliseconds since the bytes are there", "calls per second"), &series)?;
        text += &format!("\n{line}");
    }
    Ok(text)
}
