//! The runner: runs the program that is attached to its blob, by the interpreter wasmi.
//!
//! The engine `interpreter` attaches a program to the runner's blob for each module. The instance is made at the first
//! call, and kept for all others.
//!
//! ```text
//! entry.rs      the module's entry, and the machine that it keeps
//! attached.rs   the program, the instance's bytes and the memory, where the engine put them
//! raise.rs      the instructions in which a call ends
//! memory.rs     the room for its memory
//! machine.rs    the instance in wasmi: made, called
//! carry.rs      its globals, tables and segments, to and from the instance's bytes
//! segments.rs   the active segments, which a new one begins with
//! references.rs references to functions, as numbers and as wasmi has them
//! bytes.rs      the instance's bytes: words, elements, marks of segments
//! exports.rs    what the instance exports: functions for the entry, and what is carried
//! imports.rs    the functions that the program imports
//! invoke.rs     the one that calls methods
//! arguments.rs  those that reach the arguments of a method of the program's own
//! host.rs       what these functions reach: memory and context
//! fault.rs      the ways in which a call ends otherwise than by returning
//! ```

#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[cfg(bareflow_module)]
mod attached;
#[cfg(bareflow_module)]
mod entry;
#[cfg(bareflow_module)]
mod raise;

mod arguments;
mod bytes;
mod carry;
mod exports;
pub mod fault;
mod host;
mod imports;
mod invoke;
pub mod machine;
pub mod memory;
mod references;
mod segments;
