//! The options of what to make of a module.

use bareflow_portable::refusal::Refusal;

use alloc::format;

/// The work that goes into fast code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimization {
    /// One pass of register allocation, and no other optimization: compiles in less than half the time.
    Quick,
    /// All optimizations.
    Speed,
}

/// The way in which accesses stay within linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Each access compares its address with the memory's length.
    Checked,
    /// No access is checked: of the 8 GiB and 64 KiB from the memory's address on, what is not memory is not mapped.
    Window,
}

/// The options of what to make of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The module's version, if it does not say its own: major, minor, patch.
    pub version: (u32, u32, u32),
    /// The work that goes into fast code.
    pub optimization: Optimization,
    /// The x86-64 level that the code is for, 1 to 4.
    pub cpu_level: u8,
    /// The way in which accesses stay within linear memory.
    pub bounds: Bounds,
    /// Whether a processor that guesses past a check still stays within what was checked: tables, segments and, with
    /// [`Bounds::Checked`], memory (Spectre variant 1). What a window can reach needs no guard.
    pub spectre_guard: bool,
    /// The most pages of 64 KiB that the memory may have. The module's own maximum holds if it is smaller.
    pub maximum_pages: u32,
}

impl Options {
    /// Checks the values that no type does.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if !(1..=4).contains(&self.cpu_level) {
            let text = format!("the option cpu_level is {}, expected 1 to 4", self.cpu_level);
            return Err(Refusal::bad_option(text));
        }
        if self.version == (0, 0, 0) {
            return Err(Refusal::bad_option("the version is 0.0.0, expected a higher one"));
        }
        Ok(())
    }
}
