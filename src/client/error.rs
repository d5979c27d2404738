//! Errors of a request.

/// The loss of the kernel: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The connection ended.
    #[error(
        "{}",
        if *by_network {
            format!(
                "the connection to the kernel at {place} ended; if this was to end or replace a module that carries it, as \
                 `control` and `tcpip` do, it was done: see `bareflow ps`, or else run `bareflow serve` again"
            )
        } else {
            format!("the kernel at {place} is gone: the connection ended; run `bareflow serve` again")
        }
    )]
    Gone {
        /// The kernel's socket or port.
        place: String,
        /// Whether modules of the kernel carried the connection.
        by_network: bool,
    },
    /// No answer came in time.
    #[error(
        "no answer of the kernel at {place} to `{request}`, sent {}{}; {}",
        times(*sent), instead.iter().map(|instead| format!(" ({instead})")).collect::<String>(), advice(*sent)
    )]
    Silent {
        /// The kernel's socket or port.
        place: String,
        /// The request's name.
        request: &'static str,
        /// The number of times it was sent.
        sent: u32,
        /// The unexpected message that was received instead, if any.
        instead: Option<String>,
    },
}

/// Returns the advice after a request was sent `sent` times; only those that can safely be repeated are sent again.
fn advice(sent: u32) -> &'static str {
    match sent {
        1 => "it may have been done: see `bareflow ps`, then try again",
        _ => "is the kernel running, and is the line whole?",
    }
}

/// Returns a number of times as text.
fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
