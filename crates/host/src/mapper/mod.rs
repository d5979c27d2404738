//! Mappings in a process that may make none: a thread in it makes and removes them, as this process orders.
//!
//! The thread shares all memory with the module, which may write to most of it at any time. So the thread has no stack, and
//! nothing that it reads can be written by the module: its code, and the page of orders, which is mapped for it to be read
//! only. It answers by a socket, for which the module has no descriptor. An answer therefore is the thread's own, and what
//! it says was done was done before.

mod thread;

use std::cell::Cell;
use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{null_mut, with_exposed_provenance, without_provenance_mut};
use std::sync::atomic::{AtomicU64, Ordering};

use bareflow_loader::segments::PAGE_SIZE;
use libc::{c_int, c_void};

pub(crate) use self::thread::MapperThread;
#[cfg(test)]
pub(crate) use self::thread::calls;

/// The time that an order may take.
const PATIENCE: libc::timeval = libc::timeval { tv_sec: 10, tv_usec: 0 };

/// An order: a system call's number, and its arguments.
type Order = [AtomicU64; 7];

/// The thread is gone, or takes too long: what is mapped in its process is not known any more.
#[derive(Debug)]
pub(crate) struct Lost;

/// The way to the thread in a module's process.
#[derive(Debug)]
pub(crate) struct Mapper {
    socket: OwnedFd,
    page: OrderPage,
    /// The file of which parts are mapped.
    file: RawFd,
    /// The bytes that are mapped.
    mapped: Cell<u64>,
}

/// The page of orders, which both sides map at the same address.
#[derive(Debug)]
struct OrderPage(u64);

impl Mapper {
    /// Prepares a thread that maps parts of `file`, in the process that is copied next.
    pub fn new(file: RawFd) -> io::Result<(Mapper, MapperThread)> {
        let mut ends = [0; 2];
        // SAFETY: the system writes two descriptors.
        done(unsafe {
            libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr())
        })?;
        // SAFETY: the descriptors are new, and no one else has them.
        let [socket, its] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        let page = OrderPage::map()?;
        let thread = MapperThread { socket: its, page: page.0, file };
        let mapper = Mapper { socket, page, file, mapped: Cell::new(0) };
        mapper.limit_wait(PATIENCE)?;
        Ok((mapper, thread))
    }

    /// Limits the time that is waited for an answer.
    fn limit_wait(&self, longest: libc::timeval) -> io::Result<()> {
        let (socket, size) = (self.socket.as_raw_fd(), size_of_val(&longest) as libc::socklen_t);
        let value = (&raw const longest).cast();
        // SAFETY: the system reads the time.
        done(unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, size) })
    }

    /// Returns the address of the page of orders.
    #[cfg(test)]
    pub const fn page(&self) -> u64 {
        self.page.0
    }

    /// Keeps the page of orders out of processes that are copied from now on.
    pub fn keep_from_others(&self) -> io::Result<()> {
        // SAFETY: changes nothing in this process.
        done(unsafe { libc::madvise(self.page.start(), PAGE_SIZE as usize, libc::MADV_DONTFORK) })
    }

    /// Returns the bytes that are mapped.
    pub const fn mapped(&self) -> u64 {
        self.mapped.get()
    }

    /// Maps `bytes` of the file, from `offset` on, at `address`. Returns whether there was memory.
    pub fn map(&self, address: u64, bytes: u64, offset: u64, is_writable: bool) -> Result<bool, Lost> {
        let protection = if is_writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        let [protection, flags, file] = [protection, flags, self.file].map(|number| u64::from(number.cast_unsigned()));
        let is_mapped = self.order([libc::SYS_mmap as u64, address, bytes, protection, flags, file, offset])?;
        if is_mapped {
            self.mapped.set(self.mapped.get() + bytes);
        }
        Ok(is_mapped)
    }

    /// Unmaps `bytes` at `address`: when this returns, no access there succeeds any more.
    pub fn unmap(&self, address: u64, bytes: u64) -> Result<(), Lost> {
        if !self.order([libc::SYS_munmap as u64, address, bytes, 0, 0, 0, 0])? {
            return Err(Lost);
        }
        self.mapped.set(self.mapped.get().saturating_sub(bytes));
        Ok(())
    }

    /// Gives an order, and waits for the answer.
    fn order(&self, words: [u64; 7]) -> Result<bool, Lost> {
        self.page.order().iter().zip(words).for_each(|(to, word)| to.store(word, Ordering::Release));
        let (socket, mut answer) = (self.socket.as_raw_fd(), [0_u8; 1]);
        // SAFETY: the system reads a byte of this frame.
        let sent = repeated(|| unsafe { libc::send(socket, (&raw const answer).cast(), 1, libc::MSG_NOSIGNAL) });
        // SAFETY: the system writes a byte of this frame.
        if sent != 1 || repeated(|| unsafe { libc::recv(socket, (&raw mut answer).cast(), 1, 0) }) != 1 {
            return Err(Lost);
        }
        Ok(answer == [thread::DONE])
    }
}

impl OrderPage {
    fn map() -> io::Result<OrderPage> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: the system chooses the address, so nothing is replaced.
        let start = unsafe { libc::mmap(null_mut(), PAGE_SIZE as usize, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(OrderPage(start.expose_provenance() as u64))
    }

    const fn start(&self) -> *mut c_void {
        without_provenance_mut(self.0 as usize)
    }

    fn order(&self) -> &Order {
        // SAFETY: `map` mapped the page, which stays as long as this.
        unsafe { &*with_exposed_provenance(self.0 as usize) }
    }
}

impl Drop for OrderPage {
    fn drop(&mut self) {
        // SAFETY: `map` mapped the page, and there are no references to it.
        unsafe { libc::munmap(self.start(), PAGE_SIZE as usize) };
    }
}

fn done(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Repeats a call that a signal interrupts.
fn repeated(mut call: impl FnMut() -> isize) -> isize {
    loop {
        let result = call();
        if result >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return result;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_on_a_thread_that_is_gone_or_does_not_answer() {
        let (mapper, thread) = Mapper::new(0).unwrap();
        mapper.limit_wait(libc::timeval { tv_sec: 0, tv_usec: 1000 }).unwrap();
        assert!(mapper.map(0, PAGE_SIZE, 0, true).is_err());
        drop(thread);
        assert!(mapper.unmap(0, PAGE_SIZE).is_err());
        assert_eq!(mapper.mapped(), 0);
    }
}
