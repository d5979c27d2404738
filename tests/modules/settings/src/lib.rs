//! Writes its parameters, one of each type. Returns the number of its calls, which its state has.

#![no_std]
#![forbid(unsafe_code)]

use core::fmt::Write;

use bareflow_abi::Context;
use bareflow_abi::parameters::Text;

bareflow_abi::parameters! {
    /// One parameter of each type.
    pub struct Settings {
        /// The longest frame, in bytes.
        #[range(68..=9000)]
        pub mtu: u32 = 1500,
        /// Whether each frame is logged.
        pub verbose: bool = false,
        /// The name to answer to.
        pub hostname: Text<32> = Text::new("bareflow"),
        /// The character between two fields.
        pub separator: char = ' ',
        /// The share of frames to drop.
        #[range(0.0..=1.0)]
        pub loss: f64 = 0.0,
        /// The gain.
        pub gain: f32 = 0.1,
        /// A byte.
        pub byte: u8 = u8::MAX,
        /// The port to listen on.
        pub port: u16 = 7,
        /// The serial number.
        pub serial: u64 = u64::MAX,
        /// The level of the log.
        pub level: i8 = -1,
        /// The offset from the start.
        pub offset: i16 = i16::MIN,
        /// The temperature to hold, in degrees Celsius.
        #[range(-40..=125)]
        pub celsius: i32 = 20,
        /// The time of the start.
        pub since: i64 = i64::MIN,
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

bareflow_abi::module!(show, parameters = Settings, state = Calls, init = prepare);

/// Keeps a parameter, which must be there by now.
pub fn prepare(_: &mut Context<'_>, calls: &mut Calls) -> i32 {
    calls.first_mtu = Settings::get().mtu;
    0
}

/// Writes all parameters. With the input `fault`, it faults.
pub fn show(context: &mut Context<'_>, calls: &mut Calls) -> i32 {
    if context.input() == b"fault" {
        let nothing = context.input().get(5).copied().unwrap_or(0);
        return 1 / i32::from(nothing);
    }
    calls.count += 1;
    let Settings { mtu, verbose, hostname, separator, loss, gain, byte, port, .. } = Settings::get();
    let Settings { serial, level, offset, celsius, since, .. } = Settings::get();
    let percent = (loss * 100.0) as u32;
    let thousandths = (gain * 1000.0) as u32;
    let _ = write!(context, "{mtu}/{} {verbose} {hostname}{separator}{percent}% {thousandths} ", calls.first_mtu);
    let _ = write!(context, "{byte} {port} {serial} {level} {offset} {celsius} {since}");
    i32::try_from(calls.count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::Services;

    #[test]
    fn shows_the_defaults() {
        let (mut output, mut calls) = ([0; 200], Calls { count: 4, first_mtu: 0 });
        let mut context = Context::new(&Services::NONE, b"", &mut output);
        assert_eq!((prepare(&mut context, &mut calls), show(&mut context, &mut calls)), (0, 5));
        let length = context.output_length();
        let expected = "1500/1500 false bareflow 0% 100 255 7 18446744073709551615 -1 -32768 20 -9223372036854775808";
        assert_eq!(output.get(..length), Some(expected.as_bytes()));
    }
}
