//! What a call costs in each domain, measured where it is paid.

use bareflow_abi::Reason;

use crate::budget::Budget;
use crate::manager::ModuleManager;
use crate::name::Name;
use crate::platform::{Call, Draft, ImageSize, Platform};
use crate::policy::{Domain, Placement};

/// A module that returns 0 at once: `xor eax, eax; ret`.
const EMPTY: [u8; 3] = [0x31, 0xc0, 0xc3];

/// Calls that are measured.
const CALLS: usize = 63;

impl<P: Platform> ModuleManager<P> {
    /// Cycles that a call of a module takes which does nothing, less the cost
    /// of measuring: the median of some calls. `None` where the domain is missing
    /// or has no memory left.
    pub fn empty_call_cycles(&self, domain: Domain) -> Option<u64> {
        if !self.platform.has_domain(domain) {
            return None;
        }
        let size = ImageSize { text: EMPTY.len(), rodata: 0, data: 0, alignment: 16 };
        let mut draft = self.platform.reserve(size, &Placement { domain, budget: Budget::DEFAULT }).ok()?;
        draft.text().copy_from_slice(&EMPTY);
        let entry = draft.base();
        let image = self.platform.seal(draft).ok()?;
        let cycles = Name::new("empty").and_then(|module| {
            let timing = self.timing;
            self.measure(&Call { module: &module, image: &image, entry, reason: Reason::Run, input: &[], timing })
        });
        self.platform.release(image);
        cycles
    }

    fn measure(&self, call: &Call<'_, P::Image>) -> Option<u64> {
        let mut distances = [0; CALLS];
        // The first round warms up; the second one counts.
        for _ in 0..2 {
            for distance in &mut distances {
                *distance = self.platform.call(call, &mut []).ok()?.cycles;
            }
        }
        distances.sort_unstable();
        Some(distances.get(CALLS / 2)?.saturating_sub(self.call_overhead_cycles()))
    }
}
