//! The tiers of portable modules: when a module leaves one, and how it gets to the next.

mod ascent;
mod rule;
mod upgrade;

pub use ascent::Ascent;
pub use rule::{Rates, Rule};
pub use upgrade::{Compared, Current, Recompiled, Refused, Upgrade, Upgraded, recompile, switch};
