//! Calls the module that the first word of its input names, with the rest, and passes on its output and its result.
//!
//! If there is no result, it writes the reason, and returns -100 minus the refusal's number. With a `*` before the
//! name, it calls endlessly.

#![no_std]
#![forbid(unsafe_code)]

use core::fmt::Write;

use bareflow_abi::Context;

bareflow_abi::module!(relay);

/// The size of the output that is passed on, in bytes.
const ROOM: usize = 512;

/// Passes the call on.
pub fn relay(context: &mut Context<'_>) -> i32 {
    let input = context.input();
    let end = input.iter().position(|&byte| byte == b' ').unwrap_or(input.len());
    let (name, rest) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(name) = core::str::from_utf8(name) else { return -1 };
    let mut output = [0; ROOM];
    if let Some(name) = name.strip_prefix('*') {
        while context.call(name, rest, &mut output).is_ok() {}
    }
    match context.call(name, rest, &mut output) {
        Ok(called) => {
            context.write(&output[..called.output_length]);
            called.result
        }
        Err(refused) => {
            // Text that does not fit is cut off.
            let _ = write!(context, "{refused}");
            -100 - refused as i32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::Services;

    #[test]
    fn says_why_there_is_no_result() {
        let mut output = [0; 100];
        let mut context = Context::new(&Services::NONE, b"echo hello", &mut output);
        assert_eq!(relay(&mut context), -101);
        let length = context.output_length();
        assert!(output[..length].starts_with(b"not declared"));
    }
}
