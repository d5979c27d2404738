//! Slices: jobs are carried out a little at a time, so that every client is heard.

use bareflow_protocol::Response;
use bareflow_suite::events::END_TIMEOUT_MS;

/// The approximate duration of a slice, in milliseconds.
pub(crate) const SLICE_MS: u64 = 2;

/// The time that an unload or a reload waits for running calls, and for a module to end, in milliseconds.
pub(crate) const UNLOAD_TIMEOUT_MS: u64 = END_TIMEOUT_MS;

/// The state of a job after a slice.
#[expect(clippy::large_enum_variant, reason = "a box would be memory that may not be there")]
pub(crate) enum Poll {
    /// There is more to do: the amount done, and the total.
    Pending(u64, u64),
    /// The job is finished.
    Ready(Response),
}
