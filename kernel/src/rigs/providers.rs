//! The test of providers that panic: only the module's call of them fails. The modules come in the boot archive: one
//! whose provider panics, one whose provider calls a module whose provider panics, and at choice one whose provider lets
//! the kernel panic.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use bareflow_abi::Out;
use bareflow_abi::interface::CallError;
use bareflow_containment::outside_provider;
use bareflow_loader::LoadOptions;
use bareflow_random::{Random, RandomError};
use bareflow_suite::archive::Archive;
use bareflow_suite::line;
use x86_64::instructions::interrupts;
use x86_64::registers::control::{Cr8, PriorityClass};

use crate::console::KernelConsole;
use crate::containment::Manager;

/// The result of a module's call whose provider has panicked.
const PANICKED: i32 = -256 - CallError::Faulted as i32;

/// The result of a module's call that is well: the number of bytes it wrote.
const WELL: i32 = 8;

static MANAGER: AtomicPtr<Manager> = AtomicPtr::new(null_mut());

/// A provider, and what it does.
enum Panicking {
    /// Panics, with interrupts off and masked.
    Own,
    /// Panics in what is not its own.
    Kernel,
    /// Calls a module whose provider panics.
    Inner(&'static str),
}

impl Random for Panicking {
    fn fill(&self, bytes: &mut Out<'_, u8>) -> Result<(), RandomError> {
        let inner = match self {
            Panicking::Own => {
                Cr8::write(PriorityClass::new(15));
                interrupts::without_interrupts(|| panic!("asked to"))
            }
            Panicking::Kernel => outside_provider(|| panic!("asked to")),
            Panicking::Inner(inner) => inner,
        };
        // SAFETY: `run` has set it, and waits.
        let manager = unsafe { MANAGER.load(Ordering::Relaxed).as_ref() };
        let call = |manager: &Manager| manager.find(inner).and_then(|inner| manager.execute(inner).ok());
        if outside_provider(|| manager.and_then(call)) != Some(PANICKED) {
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
    for (name, provider) in [
        ("panicking", Panicking::Own),
        ("panicking-inside", Panicking::Own),
        ("nested", Panicking::Inner("inner")),
        ("panicking-kernel", Panicking::Kernel),
    ] {
        passed &= manager.provide::<dyn Random, _>(name, provider).is_ok();
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
        passed &= result == expected && interrupts::are_enabled() && Cr8::read().is_none();
    }
    // This ends the kernel.
    manager.find("kernel").map(|module| manager.execute(module));
    passed
}
