//! The errors of TCP and of the channel, and what the log says of them.

use bareflow_abi::Failure;
use bareflow_channel::ChannelError;
use bareflow_tcp::TcpError;

/// An error of one of the two sides, which keeps the module from going on.
#[derive(Clone, Copy)]
pub enum Error {
    /// One of TCP.
    Tcp(TcpError),
    /// One of the channel.
    Channel(ChannelError),
}

impl Error {
    /// Returns the negative number: that of TCP, or that of the channel behind 1,000.
    pub fn number(self) -> i32 {
        match self {
            Error::Tcp(error) => -(error.number() as i32),
            Error::Channel(error) => -1000 - error.number() as i32,
        }
    }

    /// Returns why no client is served, and what can be done; `None` if it passes by itself. The log puts the
    /// module's name in front.
    pub fn text(self) -> Option<&'static str> {
        Some(match self {
            Error::Channel(ChannelError::NotAllowed) => {
                "the kernel takes no clients by TCP: it has no token, which `bareflow serve --control` gives it"
            }
            Error::Channel(ChannelError::TooMany) => {
                "a client was turned away, since 8 that have shown the token are connected: end one of them"
            }
            Error::Tcp(TcpError::PortTaken) => {
                "another module listens at its port: end that one, or name another port by `--set control.port=`"
            }
            Error::Tcp(TcpError::BadPort) => "there is no port 0: name another one by `--set control.port=`",
            Error::Tcp(TcpError::TooMany) => "`tcpip` has no room for another listener or module: end one of those",
            _ => return None,
        })
    }
}

impl From<TcpError> for Error {
    fn from(error: TcpError) -> Error {
        Error::Tcp(error)
    }
}

impl From<ChannelError> for Error {
    fn from(error: ChannelError) -> Error {
        Error::Channel(error)
    }
}
