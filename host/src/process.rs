//! A process made as a copy of this one, and gone for good when it is dropped.

use std::cell::Cell;
use std::io;

use libc::pid_t;

use crate::stopwatch::RunClock;

/// A child that sends no signal when it ends and that nobody else waits for,
/// so that its number is its own as long as this is there.
#[derive(Debug)]
pub(crate) struct Process {
    id: pid_t,
    gone: Cell<bool>,
}

impl Process {
    /// Copies this process: in the copy, which has this thread alone, there is no result.
    ///
    /// # Safety
    /// The copy does only what a signal handler may.
    pub unsafe fn copy() -> io::Result<Option<Process>> {
        // SAFETY: without flags the call shares nothing, and the copy goes on here on a
        // stack of its own. The caller answers for what it does.
        let id = unsafe { libc::syscall(libc::SYS_clone, 0_usize, 0_usize, 0_usize, 0_usize, 0_usize) };
        match pid_t::try_from(id) {
            Ok(0) => Ok(None),
            Ok(id) if id > 0 => Ok(Some(Process { id, gone: Cell::new(false) })),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Its number.
    #[cfg(test)]
    pub const fn id(&self) -> pid_t {
        self.id
    }

    /// The clock of what it has run.
    pub const fn clock(&self) -> RunClock {
        RunClock::of_process(self.id)
    }

    /// Whether its end is known.
    pub fn has_ended(&self) -> bool {
        self.gone.get()
    }

    /// Whether it has ended by now.
    pub fn is_gone(&self) -> bool {
        self.gone.get() || self.reap(libc::WNOHANG)
    }

    /// Ends it.
    pub fn end(&self) {
        if !self.gone.get() {
            // SAFETY: a signal to a child that nobody has waited for.
            unsafe { libc::kill(self.id, libc::SIGKILL) };
            while !self.reap(0) {}
        }
    }

    /// Waits for its end, and returns whether it came.
    fn reap(&self, flags: libc::c_int) -> bool {
        // SAFETY: the status is not asked for.
        let result = unsafe { libc::waitpid(self.id, std::ptr::null_mut(), flags | libc::__WALL) };
        let interrupted = result < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
        // No such child is one that is gone.
        self.gone.set(result != 0 && !interrupted);
        self.gone.get()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
