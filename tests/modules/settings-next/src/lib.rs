//! A later version of `settings`: one parameter has a narrower range, one another type, and most are gone.

#![no_std]
#![forbid(unsafe_code)]

use core::fmt::Write;

use bareflow_abi::Context;
use bareflow_abi::parameters::Text;

bareflow_abi::parameters! {
    /// The parameters that are left, and one more.
    pub struct Settings {
        /// The longest frame, in bytes.
        #[range(1000..=2000)]
        pub mtu: u64 = 1400,
        /// The name to answer to.
        pub hostname: Text<8> = Text::new("next"),
        /// The number of retries.
        pub retries: u8 = 3,
    }
}

bareflow_abi::state! {
    /// The state that survives a reload.
    pub struct Calls {
        /// The number of calls.
        pub count: u32 = 0,
        /// The longest frame when the module was initialised, in bytes.
        pub first_mtu: u32 = 0,
    }
}

bareflow_abi::module!(show, parameters = Settings, state = Calls);

/// Writes all parameters. Returns the number of calls, including those of the old version.
pub fn show(context: &mut Context<'_>, calls: &mut Calls) -> i32 {
    calls.count += 1;
    let Settings { mtu, hostname, retries } = Settings::get();
    let _ = write!(context, "{mtu} {hostname} {retries}");
    i32::try_from(calls.count).unwrap_or(i32::MAX)
}
