//! Measures what a TCP segment takes on its way through a stack and a driver, between its user, which is this module, and
//! the wire: one line for each size and number of segments at a time. Another card on the same wire is the peer's.

#![no_std]

mod card;
mod peer;
#[path = "../../blast/src/runs.rs"]
mod runs;
mod ways;

use core::fmt::{self, Write};

use bareflow_abi::{CallRefusal, Context};
use bareflow_nic::{Nic, NicError};
use bareflow_regions::Regions;
use bareflow_tcp::{Tcp, TcpError};

use card::Card;
use peer::Peer;
use ways::Ends;

bareflow_abi::module!(measure, imports = { tcp: Tcp, far: Nic, regions: Regions });

/// Why nothing could be measured.
enum Trouble {
    Nic(NicError),
    Tcp(TcpError),
    Call(CallRefusal),
    /// Something did not happen that has to.
    Never(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Nic(error) => write!(formatter, "the peer's card: {error:?}"),
            Trouble::Tcp(error) => write!(formatter, "the stack: {error:?}"),
            Trouble::Call(refusal) => write!(formatter, "a call of the stack: {refusal:?}"),
            Trouble::Never(what) => formatter.write_str(what),
        }
    }
}

impl From<NicError> for Trouble {
    fn from(error: NicError) -> Trouble {
        Trouble::Nic(error)
    }
}

impl From<TcpError> for Trouble {
    fn from(error: TcpError) -> Trouble {
        Trouble::Tcp(error)
    }
}

/// Writes what segments take. Returns 0, or -1 if something went wrong, with the reason.
fn measure(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let Imports { mut tcp, mut far, regions } = with;
    let measured = Card::start(&mut far, regions).map_err(Trouble::from).and_then(|card| {
        let peer = Peer::new(card);
        Ends::new(context, &mut tcp, peer).measure()
    });
    match measured {
        Ok(()) => 0,
        Err(trouble) => {
            // Where there is no room for it either, the number says that it failed.
            _ = writeln!(context, "{trouble}");
            -1
        }
    }
}
