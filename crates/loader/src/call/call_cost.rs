//! The cost of a call in each domain, measured on the machine itself.

use bareflow_abi::Reason;

use crate::manager::ModuleManager;
use crate::name::Name;
use crate::platform::{Call, ImageSize, Platform, WritableImage};
#[cfg(feature = "reload")]
use crate::policy::LoadOptions;
use crate::policy::budget::Budget;
use crate::policy::{Domain, Placement};
use crate::profile::Timing;

/// The code of the empty module, which returns 0 at once: `xor eax, eax; ret`.
const CODE: [u8; 3] = [0x31, 0xc0, 0xc3];

/// The number of calls that are measured.
const CALLS: usize = 63;

/// The number of loads that are measured.
#[cfg(feature = "reload")]
const LOADS: usize = 15;

/// A module that does nothing, placed outside of the registry.
pub(crate) struct EmptyModule<P: Platform> {
    name: Name,
    image: P::Image,
    entry: u64,
}

impl<P: Platform> EmptyModule<P> {
    /// Places the module; `None` if the domain is missing or has no memory left.
    #[inline(never)]
    pub fn place(platform: &P, domain: Domain) -> Option<EmptyModule<P>> {
        if !platform.has_domain(domain) {
            return None;
        }
        let name = Name::new("empty")?;
        let size = ImageSize { text_bytes: CODE.len() as u32, rodata_bytes: 0, data_bytes: 0, alignment: 16 };
        let mut image = platform.allocate(size, &Placement { domain, budget: Budget::DEFAULT, services: 0 }).ok()?;
        let [text, ..] = image.segments();
        text.copy_from_slice(&CODE);
        let entry = image.base();
        let image = platform.seal(image).ok()?;
        Some(EmptyModule { name, image, entry })
    }

    /// Returns a call of the module.
    pub const fn call(&self, timing: Timing) -> Call<'_, P::Image> {
        let (image, entry) = (&self.image, self.entry);
        Call {
            module: &self.name,
            image,
            entry,
            reason: Reason::Run as u32,
            input: &[],
            timing,
            check_abi: false,
            caller: 0,
        }
    }

    /// Releases the module's memory.
    pub fn release(self, platform: &P) {
        platform.release(self.image);
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Measures the cycles of a call of an empty module, less the cost of measuring.
    ///
    /// The median of several calls. `None` if the domain is missing or has no memory left.
    pub fn empty_call_cycles(&self, domain: Domain) -> Option<u64> {
        let empty = EmptyModule::place(&self.platform, domain)?;
        let cycles = self.measure(&empty.call(self.timing));
        empty.release(&self.platform);
        cycles
    }

    /// Measures the cycles to load `blob` into the kernel domain, call it once and unload it.
    ///
    /// The median of several loads after a first one. `None` if any of it fails. The module can't be found by its name,
    /// but each load counts as one of its name.
    #[cfg(feature = "reload")]
    pub fn load_cycles(&self, blob: &[u8]) -> Option<u64> {
        let once = || {
            let start = self.platform.clock();
            let id = self.load_candidate(blob, &LoadOptions::DEFAULT).ok()?;
            let done = self.execute(id);
            self.unload(id).ok()?;
            let cycles = self.platform.clock().saturating_sub(start);
            done.ok().map(|_| cycles)
        };
        once()?;
        let mut cycles = [0; LOADS];
        for cycles in &mut cycles {
            *cycles = once()?;
        }
        cycles.sort_unstable();
        cycles.get(LOADS / 2).copied()
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
