//! Guards of open regions.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::with_exposed_provenance_mut;
use core::slice::{from_raw_parts, from_raw_parts_mut};

use bareflow_abi::CallError;
use bareflow_abi::shared::SharedBytes;

use crate::{Access, RegionError, Regions, RegionsClient, View};

/// An open region. It is closed when this is dropped.
struct Open<'call> {
    client: RegionsClient<'call>,
    region: u32,
    key: u64,
    start: *mut u8,
    bytes: usize,
    borrows: PhantomData<&'call mut [u8]>,
}

impl<'call> Open<'call> {
    fn new(mut client: RegionsClient<'call>, region: u32, access: Access) -> Result<Open<'call>, RegionError> {
        if !client.port.is_import() {
            return Err(RegionError::Unsupported);
        }
        let mut view = View::default();
        client.open(region, access, &mut view)?;
        match usize::try_from(view.bytes) {
            Ok(bytes) if bytes > 0 && view.address != 0 => {
                let start = with_exposed_provenance_mut(view.address as usize);
                Ok(Open { client, region, key: view.key, start, bytes, borrows: PhantomData })
            }
            _ => Err(CallError::BadAnswer.into()),
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // It is open, so this fails only if there is no way to the loader any more.
        _ = self.client.close(self.region, self.key);
    }
}

/// An open region that the module has for itself.
pub struct Exclusive<'call>(Open<'call>);

/// An open region that no one writes to.
pub struct ReadOnly<'call>(Open<'call>);

/// An open region that others may write to at any time.
pub struct Shared<'call>(Open<'call>);

impl<'call> RegionsClient<'call> {
    /// Opens a region that the module has for itself.
    ///
    /// # Errors
    /// [`RegionError::OtherAccess`] if others may read or write it, [`RegionError::Lent`], [`RegionError::Open`], or there
    /// is no memory.
    pub fn exclusive(&self, region: u32) -> Result<Exclusive<'call>, RegionError> {
        Open::new(*self, region, Access::Exclusive).map(Exclusive)
    }

    /// Opens a region that no one writes to.
    ///
    /// # Errors
    /// As for [`exclusive`](Self::exclusive).
    pub fn read_only(&self, region: u32) -> Result<ReadOnly<'call>, RegionError> {
        Open::new(*self, region, Access::ReadOnly).map(ReadOnly)
    }

    /// Opens a region that others may write to at any time.
    ///
    /// # Errors
    /// As for [`exclusive`](Self::exclusive).
    pub fn shared(&self, region: u32) -> Result<Shared<'call>, RegionError> {
        Open::new(*self, region, Access::Shared).map(Shared)
    }
}

impl Deref for Exclusive<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the loader, which alone provides this interface to modules, has said that as many bytes are mapped there;
        // they stay so, and no one else's, until they are closed, which it does not admit twice at a time.
        unsafe { from_raw_parts(self.0.start, self.0.bytes) }
    }
}

impl DerefMut for Exclusive<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; this is borrowed alone.
        unsafe { from_raw_parts_mut(self.0.start, self.0.bytes) }
    }
}

impl Deref for ReadOnly<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as above, but that others may read them, too.
        unsafe { from_raw_parts(self.0.start, self.0.bytes) }
    }
}

impl Shared<'_> {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        // SAFETY: as above; whoever else has opened them has done so as shared bytes.
        unsafe { SharedBytes::from_raw(self.0.start, self.0.bytes) }
    }
}

impl fmt::Debug for Open<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Region").field("number", &self.region).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Exclusive<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for ReadOnly<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for Shared<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}
