//! The errors of TCP that do not pass by themselves, and what the log says of them.

use bareflow_abi::Failure;
use bareflow_tcp::TcpError;

/// The number of the error that the log tells of; 0 if there is none.
pub struct Told(u32);

impl Told {
    pub const NOTHING: Told = Told(0);

    /// Returns what is new for the log after an event, with its error: each cause is told once, until an event has none.
    pub fn news(&mut self, error: Option<TcpError>) -> Option<&'static str> {
        let Some(error) = error else {
            self.0 = 0;
            return None;
        };
        let text = text(error)?;
        let before = core::mem::replace(&mut self.0, error.number());
        (before != error.number()).then_some(text)
    }
}

/// Returns why no client is served, and what can be done; `None` if it passes by itself. The log puts the module's name in front.
fn text(error: TcpError) -> Option<&'static str> {
    Some(match error {
        TcpError::PortTaken => {
            "another module listens at its port: end that one, or name another port by `--set httpd.port=`"
        }
        TcpError::BadPort => "there is no port 0: name another one by `--set httpd.port=`",
        TcpError::TooMany => "`tcpip` has no room for another listener or module: end one of those",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::CallError;

    #[test]
    fn each_cause_is_told_once() {
        let mut told = Told::NOTHING;
        let passes = Some(TcpError::Call(CallError::Faulted));
        assert_eq!(told.news(passes), None);
        assert!(told.news(Some(TcpError::PortTaken)).is_some_and(|text| text.contains("--set httpd.port=")));
        for error in [Some(TcpError::PortTaken), passes, Some(TcpError::PortTaken)] {
            assert_eq!(told.news(error), None);
        }
        assert!(told.news(Some(TcpError::BadPort)).is_some());
        assert_eq!(told.news(None), None);
        assert!(told.news(Some(TcpError::BadPort)).is_some());
    }
}
