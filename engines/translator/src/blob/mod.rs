//! The blob: what lies where, and its bytes.
//!
//! ```text
//! plan.rs       the layout of data and memory, the entries, the header's fields
//! rodata.rs     the read-only data: functions by number, segments, shapes of methods
//! write.rs      header, segments, fix-up, records
//! ```

mod plan;
mod rodata;
mod write;

pub(crate) use plan::{Entries, Place, Plan};
pub(crate) use write::write;
