//! Memory that others use at the same time: bytes, rings and pools of buffers in it.
//!
//! Two modules share a region (`docs/regions.md`). Whoever else has it may write to it at any time, and may be hostile:
//! nothing here lends such memory as a slice, and nothing that is read from it is believed.

mod bytes;
mod pool;
mod ring;

pub use bytes::{OutOfBounds, SharedBytes};
pub use pool::{Pool, PoolError};
pub use ring::{Consumer, Producer, RingError, ring_bytes};
