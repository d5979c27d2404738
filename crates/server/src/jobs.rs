//! Jobs: long-running requests, carried out in slices, in turn.

use core::fmt;

use bareflow_loader::{ModuleId, ModuleManager, Platform, UnloadError};
use bareflow_protocol::Response;
use bareflow_protocol::control::{CLIENT_BITS, Envelope, MAX_BLOB};
use bareflow_suite::error_text;
use bareflow_suite::events::{has_complied, show_end};
use bareflow_suite::fallible::ErrorText;

use crate::events::Unloading;
use crate::receipts::{self, ReceiptTexts};
use crate::task::Task;
use crate::time_slice::{Poll, UNLOAD_TIMEOUT_MS};
use crate::{Server, ServerEnvironment, room};

/// The interval of progress messages to a client, in milliseconds.
const PROGRESS_INTERVAL_MS: u64 = 250;

/// The maximum number of waiting requests of all clients.
pub(crate) const MAX_JOBS: usize = 256;

/// The capacity for jobs: those that wait, the running one, and one that is put back by a request during a slice.
pub(crate) const JOB_CAPACITY: usize = MAX_JOBS + 2;

/// The maximum number of waiting requests of one client, and of their input bytes.
const MAX_JOBS_OF_CLIENT: usize = 64;
const MAX_INPUTS_OF_CLIENT: usize = 4 << 20;

/// The maximum number of bytes of files that wait to be loaded, of one client and of all.
const MAX_FILES_OF_CLIENT: usize = MAX_BLOB as usize;
const MAX_FILES: usize = 2 * MAX_FILES_OF_CLIENT;

/// A request that is not answered yet.
pub(crate) struct Job<P: Platform> {
    /// The number of the request.
    request_id: u64,
    /// The time of its arrival, and of the last progress message.
    began_ms: u64,
    progress_ms: u64,
    /// The work that is left.
    pub task: Task<P>,
}

impl<P: Platform> Job<P> {
    pub const fn new(request_id: u64, task: Task<P>, now: u64) -> Job<P> {
        Job { request_id, began_ms: now, progress_ms: now, task }
    }

    /// Returns the client of the job.
    pub const fn client(&self) -> u32 {
        (self.request_id >> CLIENT_BITS) as u32
    }
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Restarts a module if that is due, and carries out a slice of the next job. If there is none, a portable module may be
    /// compiled for its next tier. Returns whether there was something to do.
    pub fn poll(&self) -> bool {
        self.supervise();
        let Some(job) = self.jobs.borrow_mut().pop_front() else {
            #[cfg(feature = "portable")]
            return self.ascend();
            #[cfg(not(feature = "portable"))]
            return false;
        };
        self.work_on(job);
        true
    }

    /// Carries out a slice of a job, which was taken out of the queue.
    pub(crate) fn work_on(&self, mut job: Job<P>) {
        let Some((slice, cancelled)) = self.run_slice(&mut job) else { return };
        match slice {
            Poll::Ready(answer) if cancelled => {
                self.recycle(answer);
                self.abandon(job.task);
            }
            Poll::Pending(..) if cancelled => self.abandon(job.task),
            Poll::Ready(answer) => {
                self.answer(job.request_id, answer);
                self.abandon(job.task);
            }
            Poll::Pending(done, of) => {
                let now = self.environment.milliseconds();
                if now.saturating_sub(job.progress_ms) >= PROGRESS_INTERVAL_MS {
                    job.progress_ms = now;
                    self.answer(job.request_id, Response::Progress { done, of });
                }
                self.jobs.borrow_mut().push_back(job);
            }
        }
        self.log_reaped();
    }

    /// Runs a slice of a job. Returns its state, and whether its client left in the meantime; `None` for a job that
    /// only waited until module code may run.
    fn run_slice(&self, job: &mut Job<P>) -> Option<(Poll, bool)> {
        let (client, waited) = (job.client(), self.environment.milliseconds().saturating_sub(job.began_ms));
        match &mut job.task {
            Task::Call(calls) => Some(self.running.run(client, || self.call_some(job.request_id, calls))),
            Task::Compare(comparing) => Some(self.running.run(client, || self.compare_some(job.request_id, comparing))),
            Task::Unload(unloading) => Some(self.running.run(client, || self.try_unload(unloading, waited))),
            Task::Restart(id) => Some(self.running.run(client, || self.try_restart(*id, waited))),
            Task::Push(push) => {
                let for_engine = push.for_engine;
                let slice = self.running.run(client, || self.push_again(push, waited));
                if for_engine && !push.for_engine {
                    // Its wait for the old module begins.
                    job.began_ms = self.environment.milliseconds();
                }
                Some(slice)
            }
            Task::Later(payload) => {
                // The payload was decoded successfully when it arrived.
                if let Ok(envelope) = Envelope::from_payload(payload) {
                    self.take_up(envelope);
                }
                None
            }
            Task::Drop(comparing) => {
                self.discard_candidates(comparing);
                None
            }
        }
    }

    /// Adds a job to the end of the queue.
    pub(crate) fn queue(&self, request_id: u64, task: Task<P>) {
        let job = Job::new(request_id, task, self.environment.milliseconds());
        match self.may_wait(&job) {
            // The memory was reserved for `MAX_JOBS`.
            Ok(()) => self.jobs.borrow_mut().push_back(job),
            Err(reason) => {
                self.abandon(job.task);
                self.refuse(request_id, reason.into());
            }
        }
    }

    fn may_wait(&self, job: &Job<P>) -> Result<(), ErrorText> {
        let jobs = self.jobs.borrow();
        let own = || jobs.iter().filter(|other| other.client() == job.client());
        let (count, inputs) = (own().count(), own().map(|other| other.task.input_bytes()).sum::<usize>());
        if jobs.len() >= MAX_JOBS {
            return Err(error_text!("{MAX_JOBS} requests wait already; try again later"));
        }
        if count >= MAX_JOBS_OF_CLIENT {
            return Err(error_text!("{count} requests of this client wait already; wait for their answers"));
        }
        if inputs + job.task.input_bytes() > MAX_INPUTS_OF_CLIENT {
            return Err(error_text!(
                "{inputs} bytes of input of this client wait already, expected at most {MAX_INPUTS_OF_CLIENT}; wait \
                 for their answers"
            ));
        }
        let file = job.task.file_bytes();
        let files = |jobs: &mut dyn Iterator<Item = &Job<P>>| jobs.map(|other| other.task.file_bytes()).sum::<usize>();
        let limits = [
            ("of this client", files(&mut own()), MAX_FILES_OF_CLIENT),
            ("of all clients", files(&mut jobs.iter()), MAX_FILES),
        ];
        if let Some((whose, waiting, most)) =
            limits.into_iter().find(|(_, waiting, most)| file > 0 && waiting + file > *most)
        {
            return Err(error_text!(
                "{waiting} bytes of modules {whose} wait to be loaded, expected at most {most} with the {file} of this \
                 one; try again later"
            ));
        }
        Ok(room()?)
    }

    /// Drops the jobs of a client that is gone.
    pub(crate) fn drop_jobs_of(&self, client: u32) {
        let count = self.jobs.borrow().len();
        for _ in 0..count {
            let Some(job) = self.jobs.borrow_mut().pop_front() else { return };
            if job.client() == client {
                self.abandon(job.task);
            } else {
                // The job was just removed, so there is room for it.
                self.jobs.borrow_mut().push_back(job);
            }
        }
    }

    /// Expires jobs that have timed out, asks modules to end that are to be unloaded, and restarts a module if that is due.
    /// Runs no other work, so it may be called during a call.
    pub fn look_at_clock(&self) {
        self.resync();
        if !self.environment.may_run_modules() {
            return;
        }
        self.supervise();
        let now = self.environment.milliseconds();
        self.uploads.borrow_mut().expire(now);
        for job in self.jobs.borrow_mut().iter_mut() {
            if let Task::Unload(unloading) = &mut job.task {
                self.ask_to_end(unloading);
            }
        }
        loop {
            let late = {
                let mut jobs = self.jobs.borrow_mut();
                let is_late = |job: &Job<P>| match &job.task {
                    Task::Push(push) if push.for_engine => false,
                    Task::Unload(_) | Task::Restart(_) | Task::Push(_) => {
                        now.saturating_sub(job.began_ms) >= UNLOAD_TIMEOUT_MS
                    }
                    Task::Later(_) | Task::Drop(_) => true,
                    Task::Call(_) | Task::Compare(_) => false,
                };
                jobs.iter().position(is_late).and_then(|index| jobs.remove(index))
            };
            let Some(mut job) = late else { return };
            match self.run_slice(&mut job) {
                Some((Poll::Ready(answer), true)) => self.recycle(answer),
                Some((Poll::Ready(answer), false)) => self.answer(job.request_id, answer),
                Some((Poll::Pending(..), _)) | None => {}
            }
        }
    }

    fn try_unload(&self, unloading: &mut Unloading, waited: u64) -> Poll {
        let id = unloading.id;
        let texts = self.manager.stats(id).map(|profile| ReceiptTexts::new(&profile.name, &profile.version));
        let texts = match texts {
            Some(Ok(texts)) => texts,
            Some(Err(error)) => return Poll::Ready(Response::Refused(error.into())),
            None => return Poll::Ready(Response::Refused("it is gone already; see `ps`".into())),
        };
        let (is_asked, has_ended) = (self.ask_to_end(unloading), has_complied(&self.manager, id) == Some(true));
        if is_asked && !has_ended && waited < UNLOAD_TIMEOUT_MS {
            return Poll::Pending(0, 1);
        }
        match self.unborrowed().unload(id) {
            Ok(receipt) => {
                if is_asked {
                    show_end(&self.environment, &receipt.name, &receipt.version, has_ended);
                }
                self.log_unload(&receipt);
                self.sweep();
                Poll::Ready(Response::Unloaded(receipts::receipt(&receipt, texts)))
            }
            Err(UnloadError::Busy { .. }) if waited < UNLOAD_TIMEOUT_MS => Poll::Pending(0, 1),
            Err(error @ UnloadError::Needed { .. }) => {
                let users = Users(&self.manager, id);
                Poll::Ready(Response::Refused(error_text!("{error} (needed by {users})").into()))
            }
            Err(error) => Poll::Ready(Response::Refused(error_text!("{error} (waited {waited} ms)").into())),
        }
    }

    /// Undoes the side effects of a job that is given up.
    pub(crate) fn abandon(&self, task: Task<P>) {
        match task {
            Task::Compare(comparing) | Task::Drop(comparing)
                if comparing.has_copies() && !self.environment.may_run_modules() =>
            {
                // The job was just removed, so there is room for it.
                self.jobs.borrow_mut().push_back(Job::new(0, Task::Drop(comparing), self.environment.milliseconds()));
            }
            Task::Compare(comparing) | Task::Drop(comparing) => self.discard_candidates(&comparing),
            Task::Call(_) | Task::Unload(_) | Task::Restart(_) | Task::Push(_) | Task::Later(_) => {}
        }
    }
}

/// The modules that may call a module, as text.
struct Users<'manager, P: Platform>(&'manager ModuleManager<P>, ModuleId);

impl<P: Platform> fmt::Display for Users<'_, P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Users(manager, id) = self;
        let users = manager.dependents(*id).filter_map(|user| manager.stats(user));
        users.enumerate().try_for_each(|(index, user)| {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{} {}", user.name, user.version)
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::Cow;
    use std::{boxed::Box, vec};

    use bareflow_host::HostPlatform;
    use bareflow_loader::allocator_api2::boxed::Box as FallibleBox;
    use bareflow_loader::{LoadOptions, Timing};
    use bareflow_suite::module_file::ModuleFile;

    use super::*;
    use crate::requested_options::{DeferredPush, Wanted};
    use crate::tests::Nothing;

    #[test]
    fn files_that_wait_are_limited_for_a_client_and_for_all() {
        let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
        let server = Server::new(ModuleManager::new(platform, Timing::Fast), Nothing, LoadOptions::default()).unwrap();
        let waits = |client: u64, mebibytes: usize| {
            let file = ModuleFile::new(Cow::Owned(vec![0; mebibytes << 20]));
            let push = DeferredPush { file, wanted: Wanted::default(), for_engine: true };
            let job = Job::new(client << CLIENT_BITS, Task::Push(FallibleBox::new(push)), 0);
            let may_wait = server.may_wait(&job);
            server.queue(client << CLIENT_BITS, job.task);
            may_wait.map_err(|error| error.into_owned())
        };
        assert_eq!((waits(1, 15), waits(1, 1)), (Ok(()), Ok(())));
        assert!(waits(1, 1).unwrap_err().starts_with("16777216 bytes of modules of this client wait to be loaded"));
        assert_eq!((waits(2, 8), waits(3, 7)), (Ok(()), Ok(())));
        assert!(waits(4, 2).unwrap_err().starts_with("32505856 bytes of modules of all clients wait"));
        // What holds no file waits as before, and what has left makes room.
        assert_eq!(waits(1, 0), Ok(()));
        server.drop_jobs_of(1);
        assert_eq!(waits(1, 16), Ok(()));
        assert_eq!(server.jobs.borrow().len(), 3);
    }
}
