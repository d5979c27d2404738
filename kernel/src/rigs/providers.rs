//! The test of providers that panic: only the module's call of them fails. The modules come in the boot archive: one
//! whose provider panics, and one whose provider calls a module whose provider panics.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use bareflow_abi::Out;
use bareflow_abi::interface::CallError;
use bareflow_loader::LoadOptions;
use bareflow_random::{Random, RandomError};
use bareflow_suite::archive::Archive;
use bareflow_suite::line;
use x86_64::instructions::interrupts;

use crate::console::KernelConsole;
use crate::containment::Manager;

/// The result of a module's call whose provider has panicked.
const PANICKED: i32 = -256 - CallError::Faulted as i32;

/// The result of a module's call that is well: the number of bytes it wrote.
const WELL: i32 = 8;

static MANAGER: AtomicPtr<Manager> = AtomicPtr::new(null_mut());

/// A provider that panics, with interrupts off, or first calls a module whose provider does.
struct Panicking {
    /// The name of that module.
    inner: Option<&'static str>,
}

impl Random for Panicking {
    fn fill(&self, bytes: &mut Out<'_, u8>) -> Result<(), RandomError> {
        // SAFETY: `run` has set it, and waits.
        let manager = unsafe { MANAGER.load(Ordering::Relaxed).as_ref() };
        let Some((inner, manager)) = self.inner.zip(manager) else {
            interrupts::without_interrupts(|| panic!("asked to"))
        };
        if manager.find(inner).and_then(|inner| manager.execute(inner).ok()) != Some(PANICKED) {
            return Err(RandomError::Unavailable);
        }
        while bytes.push(0) {}
        Ok(())
    }
}

/// Runs all checks and returns whether they hold.
pub fn run(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions) -> bool {
    MANAGER.store(core::ptr::from_ref(manager).cast_mut(), Ordering::Relaxed);
    let mut passed = true;
    for (name, inner) in [("panicking", None), ("panicking-inside", None), ("nested", Some("inner"))] {
        passed &= manager.provide::<dyn Random, _>(name, Panicking { inner }).is_ok();
    }
    for blob in &archive.blobs {
        passed &= manager.load_with(blob.bytes, load).is_ok();
    }
    // The second call of each finds a provider that is out of use.
    for (module, expected) in [("outer", WELL), ("direct", PANICKED), ("direct", PANICKED), ("outer", WELL)] {
        let mut output = [0; 64];
        let called = manager.find(module).and_then(|module| manager.execute_with(module, b"", &mut output).ok());
        let result = called.map_or(0, |outcome| outcome.result);
        line!(&KernelConsole, Plain, "{module}: {result}, expected {expected}");
        passed &= result == expected && interrupts::are_enabled();
    }
    passed
}
