//! The properties of the processor's cycle clock.

use raw_cpuid::{CpuId, CpuIdReaderNative};

/// The properties of the time-stamp counter (Intel SDM volume 3, 18.17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockFacts {
    /// Whether it ticks at a constant rate, whatever the processor does.
    pub invariant: bool,
    /// The frequency in Hz, if the processor or the hypervisor reports it.
    pub hertz: Option<u64>,
}

impl ClockFacts {
    /// Reads the properties on the current processor.
    #[must_use]
    pub fn read() -> ClockFacts {
        let cpuid = CpuId::with_cpuid_reader(CpuIdReaderNative);
        let power = cpuid.get_advanced_power_mgmt_info();
        let by_processor = cpuid.get_tsc_info().and_then(|info| info.tsc_frequency());
        let by_hypervisor = || Some(u64::from(cpuid.get_hypervisor_info()?.tsc_frequency()?) * 1000);
        ClockFacts {
            invariant: power.is_some_and(|power| power.has_invariant_tsc()),
            hertz: by_processor.or_else(by_hypervisor).filter(|&hertz| hertz > 0),
        }
    }
}
