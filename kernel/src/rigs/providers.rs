//! The test of providers that panic: only the module's call of them fails. The modules come in the boot archive: one
//! whose provider panics, and one whose provider calls a module whose provider panics.

use alloc::string::ToString;
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

/// The module that [`Nested`] calls.
const INNER: &str = "inner";

static MANAGER: AtomicPtr<Manager> = AtomicPtr::new(null_mut());

/// A provider that panics, with interrupts off.
struct Panicking;

impl Random for Panicking {
    fn fill(&self, _: &mut Out<'_, u8>) -> Result<(), RandomError> {
        interrupts::without_interrupts(|| panic!("asked to"))
    }
}

/// A provider that calls a module whose provider panics.
struct Nested;

impl Random for Nested {
    fn fill(&self, bytes: &mut Out<'_, u8>) -> Result<(), RandomError> {
        // SAFETY: `run` has set it, and waits.
        let manager = unsafe { MANAGER.load(Ordering::Relaxed).as_ref() }.ok_or(RandomError::Unavailable)?;
        let inner = manager.find(INNER).and_then(|inner| manager.execute(inner).ok());
        if inner != Some(PANICKED) {
            return Err(RandomError::Unavailable);
        }
        while bytes.push(0) {}
        Ok(())
    }
}

/// Runs all checks and returns whether they hold.
pub fn run(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions) -> bool {
    let console = &KernelConsole;
    MANAGER.store(core::ptr::from_ref(manager).cast_mut(), Ordering::Relaxed);
    let provided = [
        manager.provide::<dyn Random, _>("panicking", Panicking),
        manager.provide::<dyn Random, _>("panicking-inside", Panicking),
        manager.provide::<dyn Random, _>("nested", Nested),
    ];
    let mut passed = provided.iter().all(Result::is_ok);
    for blob in &archive.blobs {
        if let Err(error) = manager.load_with(blob.bytes, load) {
            line!(console, Error, "[ERROR] {}: {}", blob.label, error.to_string());
            passed = false;
        }
    }
    // The second call of each finds a provider that is out of use.
    for (module, expected) in [("outer", WELL), ("direct", PANICKED), ("direct", PANICKED), ("outer", WELL)] {
        let mut output = [0; 64];
        let result = manager.find(module).map(|module| manager.execute_with(module, b"", &mut output));
        let holds = matches!(result, Some(Ok(outcome)) if outcome.result == expected) && interrupts::are_enabled();
        line!(console, Plain, "{module}: {result:?}");
        passed &= holds;
    }
    passed
}
