//! Supervision: what happens after a module's fault, at once or after a delay.

mod after_fault;
#[cfg(feature = "supervision")]
mod fallback;
mod renew;
#[cfg(feature = "supervision")]
mod restart;
#[cfg(feature = "supervision")]
mod restart_due;
#[cfg(feature = "supervision")]
mod serve;
#[cfg(feature = "supervision")]
mod status;
#[cfg(all(test, feature = "supervision", feature = "semver"))]
mod tests;

#[cfg(feature = "supervision")]
pub use crate::module::notice::{Happening, Notice};
#[cfg(feature = "supervision")]
pub use crate::module::supervision::FellBack;
#[cfg(feature = "supervision")]
pub use status::Supervised;
