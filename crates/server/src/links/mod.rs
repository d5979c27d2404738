//! Links: the clients whose bytes modules pass on, by the interface `channel`.
//!
//! A module that provides connections opens a link for each client (`access`). It may be anyone's, so the kernel believes
//! nothing of what comes on a link before a token has come (`link`). After that its requests are like those of other clients,
//! whose numbers carry the link's instead of a broker's mark (`serve`).

mod access;
mod link;
mod serve;
#[cfg(test)]
mod tests;

use bareflow_protocol::options::Token;

pub use access::Access;
use link::Link;
pub(crate) use serve::own_number;

/// The most links at a time.
const MAX_LINKS: usize = 8;

/// The first number of a link. A broker's marks count from 1, and do not get there.
const FIRST: u32 = 1 << 31;

/// All links.
#[derive(Debug)]
pub struct Links {
    token: Option<Token>,
    links: [Option<Link>; MAX_LINKS],
    /// The number of links so far.
    count: u32,
    /// The place whose turn it is.
    turn: usize,
    /// Whether modules were not told yet that there is something for them.
    has_news: bool,
}

impl Links {
    /// Creates the links of a kernel, which takes none before it has a [token](Self::set_token).
    #[must_use]
    pub const fn new() -> Links {
        Links { token: None, links: [const { None }; MAX_LINKS], count: 0, turn: 0, has_news: false }
    }

    /// Lets modules open links to clients that have this token.
    pub const fn set_token(&mut self, token: Option<Token>) {
        self.token = token;
    }

    /// Returns whether all answers were taken.
    #[must_use]
    pub fn are_quiet(&self) -> bool {
        self.all().all(|link| link.answers().is_empty())
    }

    fn all(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().flatten()
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.links.iter_mut().flatten()
    }
}

impl Default for Links {
    fn default() -> Links {
        Links::new()
    }
}
