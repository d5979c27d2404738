//! Timeouts and retries of requests.

use std::time::Duration;

use bareflow_protocol::Request;
use bareflow_protocol::trace::TraceRequest;

/// The attempts to send a greeting, and the timeout of each.
///
/// A kernel that is still booting misses the first ones.
const GREETINGS: (u32, Duration) = (60, Duration::from_millis(500));

/// The attempts to send a repeatable request where bytes may get lost, and the timeout of each.
///
/// The longest request, a chunk, takes less than half a second on a serial port.
const ATTEMPTS: (u32, Duration) = (12, Duration::from_secs(2));

/// The retry policy of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    /// The request's name in messages.
    pub name: &'static str,
    /// The number of times it is sent.
    pub times: u32,
    /// The longest time without a sign of the response, for each attempt.
    pub each: Duration,
}

/// Returns the retry policy for `request`.
///
/// A request is sent more than once only where bytes may get lost, and only if repeating it does no harm; all others
/// fail after `timeout`.
pub(super) fn retry_policy(request: &Request<'_>, loses_bytes: bool, timeout: Duration) -> RetryPolicy {
    let (name, again) = match request {
        Request::Hello => ("hello", true),
        Request::Goodbye => ("goodbye", true),
        Request::Ps => ("ps", true),
        Request::Stats { .. } => ("stats", true),
        Request::Upload { .. } => ("upload", true),
        Request::Chunk { .. } => ("chunk", true),
        Request::Ls { .. } => ("ls", true),
        Request::Log { .. } => ("log", true),
        Request::Activate { .. } => ("activate", true),
        Request::Memory => ("memory", true),
        Request::Trace(TraceRequest::Read { .. }) => ("trace", true),
        Request::Trace(_) => ("trace", false),
        Request::Push(_) => ("push", false),
        Request::Load { .. } => ("load", false),
        Request::Save { .. } => ("save", false),
        Request::Call { .. } => ("call", false),
        Request::Unload { .. } => ("unload", false),
        Request::Restart { .. } => ("restart", false),
        Request::Compare { .. } => ("compare", false),
        Request::Shutdown => ("shutdown", false),
        Request::Token { .. } => ("token", false),
        _ => ("request", false),
    };
    let (times, each) = match request {
        Request::Hello => {
            let (times, each) = GREETINGS;
            let within = timeout.as_millis().div_ceil(each.as_millis().max(1));
            (u32::try_from(within).unwrap_or(times).clamp(1, times), each)
        }
        _ if again && loses_bytes => ATTEMPTS,
        _ => (1, timeout),
    };
    RetryPolicy { name, times, each }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_no_harm_is_sent_again_and_only_where_bytes_get_lost() {
        let timeout = Duration::from_secs(9);
        let call = Request::Call { module: "sum", input: &[], repeat: 1 };
        assert_eq!(retry_policy(&call, true, timeout), RetryPolicy { name: "call", times: 1, each: timeout });
        assert_eq!(retry_policy(&Request::Ps, true, timeout).times, ATTEMPTS.0);
        assert_eq!(retry_policy(&Request::Ps, false, timeout), RetryPolicy { name: "ps", times: 1, each: timeout });
        assert_eq!(retry_policy(&Request::Hello, false, timeout).times, 18);
        assert_eq!(retry_policy(&Request::Hello, false, Duration::from_secs(600)).times, GREETINGS.0);
    }
}
