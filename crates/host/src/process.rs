//! A process that is a copy of this one, and is killed when it is dropped.

use std::cell::Cell;
use std::io;

use libc::pid_t;

use crate::channel::Channel;
use crate::mapper::Mapper;
use crate::stopwatch::RunClock;

/// The process of one image, and the channel to it.
#[derive(Debug)]
pub(crate) struct Child {
    // Declared first, so that the process ends before the channel is unmapped.
    pub process: Process,
    pub channel: Channel,
    /// The way to map regions there, for a module that imports `regions`.
    pub mapper: Option<Mapper>,
    /// The bytes of the channel's data that running calls use.
    pub used: Cell<u64>,
}

/// A child process.
///
/// It sends no signal when it ends, and no one else waits for it. Therefore its ID can't be reused as long as this
/// exists.
#[derive(Debug)]
pub(crate) struct Process {
    id: pid_t,
    gone: Cell<bool>,
}

impl Process {
    /// Copies this process. In the copy, which consists of this thread only, the result is `None`.
    ///
    /// # Safety
    /// The copy may only do what a signal handler may do.
    pub unsafe fn copy() -> io::Result<Option<Process>> {
        // SAFETY: without flags, the call shares no memory, and the copy continues here on its own copy of the stack.
        // The caller is responsible for what the copy does.
        let id = unsafe { libc::syscall(libc::SYS_clone, 0_usize, 0_usize, 0_usize, 0_usize, 0_usize) };
        match pid_t::try_from(id) {
            Ok(0) => Ok(None),
            Ok(id) if id > 0 => Ok(Some(Process { id, gone: Cell::new(false) })),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Returns the process's ID.
    #[cfg(test)]
    pub const fn id(&self) -> pid_t {
        self.id
    }

    /// Returns the clock of the time that the process has run.
    pub const fn clock(&self) -> RunClock {
        RunClock::of_process(self.id)
    }

    /// Whether the process is known to have ended.
    pub fn has_ended(&self) -> bool {
        self.gone.get()
    }

    /// Checks whether the process has ended by now.
    pub fn is_gone(&self) -> bool {
        self.gone.get() || self.reap(libc::WNOHANG)
    }

    /// Kills the process and waits for its end.
    pub fn end(&self) {
        if !self.gone.get() {
            // SAFETY: sends a signal to a child that has not been waited for.
            unsafe { libc::kill(self.id, libc::SIGKILL) };
            while !self.reap(0) {}
        }
    }

    /// Waits for the process's end, and returns whether it has ended.
    fn reap(&self, flags: libc::c_int) -> bool {
        // SAFETY: the status is not requested.
        let result = unsafe { libc::waitpid(self.id, std::ptr::null_mut(), flags | libc::__WALL) };
        let interrupted = result < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
        // If there is no such child, it has ended.
        self.gone.set(result != 0 && !interrupted);
        self.gone.get()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
