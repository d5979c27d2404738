//! The interface `channel`, for one module.

use bareflow_abi::{CallError, Out};
use bareflow_channel::{Channel, ChannelError};
use spin::{Mutex, MutexGuard};

use super::link::Link;
use super::{FIRST, Links};

/// The links as one module finds them during a call.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// All links.
    pub links: &'static Mutex<Links>,
    /// The module.
    pub caller: u32,
    /// The time, in milliseconds since some point in the past.
    pub now_ms: u64,
}

impl Access {
    fn lock(self) -> Result<MutexGuard<'static, Links>, ChannelError> {
        // It is locked for longer only if a call of it panicked.
        let mut links = self.links.try_lock().ok_or(ChannelError::Call(CallError::Busy))?;
        let own = links.all_mut().filter(|link| link.caller == self.caller);
        own.for_each(|link| link.heard_ms = self.now_ms);
        Ok(links)
    }
}

impl Links {
    /// Returns the place for a new link of a module: a free one, or that of a link whose token has not come, so nothing is done
    /// for it. Of those it is the oldest of the same module, or else the oldest. `None` if all have shown the token.
    fn slot_for(&mut self, caller: u32) -> Option<&mut Option<Link>> {
        let order = |slot: &Option<Link>| match slot {
            None => Some((false, false, 0)),
            Some(link) if link.is_trusted => None,
            Some(link) => Some((true, link.caller != caller, link.number)),
        };
        let best = self.links.iter().filter_map(order).min()?;
        self.links.iter_mut().find(|slot| order(slot) == Some(best))
    }

    fn of(&mut self, caller: u32, number: u32) -> Result<&mut Link, ChannelError> {
        let link = self.all_mut().find(|link| link.number == number && !link.is_closed);
        match link.ok_or(ChannelError::NoSuchLink)? {
            link if link.caller == caller => Ok(link),
            _ => Err(ChannelError::NotYours),
        }
    }
}

impl Channel for Access {
    fn begin(&mut self) -> Result<(), ChannelError> {
        let mut links = self.lock()?;
        links.all_mut().filter(|link| link.caller == self.caller).for_each(|link| link.is_closed = true);
        Ok(())
    }

    fn open(&mut self) -> Result<u32, ChannelError> {
        let mut links = self.lock()?;
        if links.token.is_none() {
            return Err(ChannelError::NotAllowed);
        }
        let number = FIRST | links.count;
        let slot = links.slot_for(self.caller).ok_or(ChannelError::TooMany)?;
        *slot = Some(Link::new(number, self.caller, self.now_ms));
        links.count = (links.count + 1) % FIRST;
        Ok(number)
    }

    fn put(&mut self, link: u32, bytes: &[u8]) -> Result<u32, ChannelError> {
        let mut links = self.lock()?;
        let link = links.of(self.caller, link)?;
        if link.is_over() {
            return Err(ChannelError::Ended);
        }
        let room = link.room().checked_sub(bytes.len()).ok_or(ChannelError::OutOfRange)?;
        link.push(bytes);
        Ok(room as u32)
    }

    fn take(&mut self, link: u32, sent: u32, into: &mut Out<'_, u8>) -> Result<(), ChannelError> {
        let mut links = self.lock()?;
        let link = links.of(self.caller, link)?;
        if sent as usize > link.answers().len() {
            return Err(ChannelError::OutOfRange);
        }
        link.forget(sent as usize);
        if link.is_over() {
            return Err(ChannelError::Ended);
        }
        into.extend_from_slice(link.answers());
        Ok(())
    }

    fn close(&mut self, link: u32) -> Result<(), ChannelError> {
        self.lock()?.of(self.caller, link)?.is_closed = true;
        Ok(())
    }
}
