//! Rings and buffers in memory that two modules share, beside the copy by an argument.

use std::error::Error;

use bareflow_builder::Workspace;
use bareflow_loader::Domain;

use crate::interfaces::{as_process, build, in_kernel};
use crate::table;

/// The figures, by the names that the measuring module gives them, and for people.
const FIGURES: [(&str, &str); 7] = [
    ("ring element", "an element of 8 bytes, pushed and popped, 256 at a time"),
    ("buffer lent", "a buffer of 1,500 bytes, whose index travels there and back, 16 at a time"),
    ("buffer written and lent", "the same, and 1,500 bytes are written to it"),
    ("buffer copied", "1,500 bytes as an argument of a method"),
    ("region opened and closed", "a region, opened and closed"),
    ("region lent and taken back", "a region, lent and taken back"),
    ("region created and freed", "a region, created, opened, written to, closed and freed"),
];

/// Prints the table.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let blobs = build(workspace, ["ring", "ring-user"])?;
    let mut rows = table(&["", "ring 3", "ring 0", "ticks in a process", "ticks between processes"]);
    let [user, kernel] = [Domain::User, Domain::Kernel];
    let found =
        [in_kernel(&blobs, user)?, in_kernel(&blobs, kernel)?, as_process(&blobs, kernel)?, as_process(&blobs, user)?];
    for (name, shown) in FIGURES {
        let figure = |figures: &crate::interfaces::Figures| figures.get(name).map_or("?".to_owned(), u64::to_string);
        rows.add_row([shown.to_owned()].into_iter().chain(found.iter().map(figure)));
    }
    println!("## Memory that two modules share\n\n{rows}\n\nInstructions in the kernel, by `--icount`.\n");
    Ok(())
}
