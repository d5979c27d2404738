//! The methods of reading the clock around a call.

/// The method by which the clock is read around a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Timing {
    /// Two plain clock reads.
    ///
    /// A single reading may be a few instructions early or late, so only averages over many calls are meaningful.
    Fast,
    /// A fence before both reads (Intel SDM volume 2, RDTSC).
    ///
    /// Each reading covers the whole call, and nothing before it.
    Precise,
    /// No reading: for calls that sampling leaves out, or a run of calls that share one clock.
    ///
    /// Options and reports do not name it.
    #[cfg_attr(feature = "serde", serde(skip))]
    Untimed,
}

impl Timing {
    /// Returns the name in reports and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Timing::Fast => "fast",
            Timing::Precise => "precise",
            Timing::Untimed => "untimed",
        }
    }

    /// Returns the timing with the given name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Timing> {
        [Timing::Fast, Timing::Precise].into_iter().find(|timing| timing.name() == name)
    }
}
