//! Exports two functions, and has no `run`.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

bareflow_abi::state! {
    /// The state of the driver.
    pub struct Driver {
        /// 1 once it is initialised.
        pub is_ready: u32 = 0,
    }
}

bareflow_abi::module!(state = Driver, exports = [net_init, packet_handler]);

/// Initialises the driver. Returns 0, or 1 if it was already.
pub fn net_init(_: &mut Context<'_>, driver: &mut Driver) -> i32 {
    core::mem::replace(&mut driver.is_ready, 1) as i32
}

/// Handles a packet: writes it back, the last byte first. Returns the number of its bytes, or -1 before `net_init`.
pub fn packet_handler(context: &mut Context<'_>, driver: &mut Driver) -> i32 {
    if driver.is_ready == 0 {
        return -1;
    }
    let length = context.input().len();
    for index in (0..length).rev() {
        let byte = context.input().get(index).copied().unwrap_or_default();
        context.write(&[byte]);
    }
    i32::try_from(length).unwrap_or(i32::MAX)
}
