//! Configuration space in memory, where the firmware's table says that it is. A handler can't use the ports, in whose use it may have
//! come; so what it writes is reached here.

use core::ops::Range;

use alloc::vec::Vec;

use bareflow_devices::Registers;
use bareflow_devices::pci::{
    ConfigurationAccess, DeviceFunction, FUNCTION_BYTES, configuration_memory, memory_of_function,
};
use spin::Once;

use super::firmware;
use super::ports::{Ports, taken_by_machine};
use super::window::Window;

/// The table, if there is one that can be read.
static TABLE: Once<Option<Vec<u8>>> = Once::new();

fn table() -> Option<&'static Vec<u8>> {
    TABLE.call_once(|| firmware::table(b"MCFG").ok().flatten()).as_ref()
}

/// Returns a range of configuration space that meets `range`, if there is one.
pub fn taken(range: &Range<u64>) -> Option<Range<u64>> {
    configuration_memory(table()?).find(|taken| taken.start < range.end && range.start < taken.end)
}

/// Returns the configuration space of a function, if it is in memory.
pub fn registers(function: DeviceFunction) -> Option<Window> {
    let table = table()?;
    let address = memory_of_function(table, function)?;
    if taken_by_machine(&(address..address + FUNCTION_BYTES)).is_some() {
        return None;
    }
    // SAFETY: it is neither memory nor an interrupt controller, and the firmware says that it is configuration space.
    let window = unsafe { Window::new(address, FUNCTION_BYTES) }.ok()?;
    // The firmware may have told what it did not set up.
    (window.read_u32(0) == Ports.read_word(function, 0)).then_some(window)
}
