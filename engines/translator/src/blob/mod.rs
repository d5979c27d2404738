//! The blob: what lies where, and its bytes.
//!
//! ```text
//! plan.rs       the layout of data and memory, the entries, the header's fields
//! arguments.rs  the arguments of exported functions: where their words lie
//! rodata.rs     the read-only data: functions by number, segments, shapes of methods
//! write.rs      header, segments, fix-up, records
//! ```

mod arguments;
mod plan;
mod rodata;
mod write;

pub(crate) use arguments::Arguments;
pub(crate) use plan::{Entries, Place, Plan};
pub(crate) use write::write;
