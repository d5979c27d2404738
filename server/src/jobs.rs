//! What takes its time: carried out slice by slice, in turn.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use bareflow_loader::{ModuleId, Platform, UnloadError};
use bareflow_protocol::control::{NUMBER_BITS, Push};
use bareflow_protocol::{Answer, Request};

use crate::call::Calls;
use crate::gate::Comparing;
use crate::{Server, Surroundings};

/// How long an unload or a reload waits for calls under way, in milliseconds.
pub(crate) const PATIENCE: u64 = 2000;

/// How long a slice takes, in milliseconds, give or take one.
pub(crate) const SLICE: u64 = 2;

/// How often a client is told how far its job is, in milliseconds.
const TELL_EACH: u64 = 250;

/// A request that is not answered yet.
pub(crate) struct Job<P: Platform> {
    /// Its number.
    number: u64,
    /// When it came, and when its client was told last how far it is.
    began: u64,
    told: u64,
    /// What is left to do.
    pub work: Work<P>,
}

/// What a job does.
pub(crate) enum Work<P: Platform> {
    /// Calls of a module.
    Call(Box<Calls>),
    /// An unload that waits for calls under way.
    Unload(ModuleId),
    /// A blob that takes the place of a module with state, and waits for calls under way.
    Push(Box<(Vec<u8>, Push)>),
    /// Two modules side by side.
    Compare(Box<Comparing<P>>),
    /// A request that could not be looked at when it came.
    Later(Box<Request>),
    /// A comparison that nobody waits for any more, whose copies could not be taken back then.
    Drop(Box<Comparing<P>>),
}

/// What a slice of a job ends in.
pub(crate) enum Slice {
    /// There is more to do: so much is done, of so much.
    More(u64, u64),
    /// All is done.
    Done(Answer),
}

impl<P: Platform> Job<P> {
    pub const fn new(number: u64, work: Work<P>, now: u64) -> Job<P> {
        Job { number, began: now, told: now, work }
    }

    /// Whose job it is.
    pub const fn client(&self) -> u32 {
        (self.number >> NUMBER_BITS) as u32
    }
}

impl<P: Platform, S: Surroundings> Server<'_, P, S> {
    /// Carries out a slice of the job whose turn it is; says whether there was one.
    pub fn step(&self) -> bool {
        let Some(mut job) = self.jobs.borrow_mut().pop_front() else { return false };
        job = match self.take_up_later(job) {
            Some(job) => job,
            None => return true,
        };
        self.current.set(Some(job.client()));
        let slice = match &mut job.work {
            Work::Call(calls) => self.call_some(job.number, calls),
            Work::Compare(comparing) => self.compare_some(job.number, comparing),
            Work::Unload(id) => self.try_unload(*id, job.began),
            Work::Push(push) => self.push_again(push, self.around.milliseconds().saturating_sub(job.began)),
            Work::Later(_) | Work::Drop(_) => return true,
        };
        self.current.set(None);
        let cancelled = self.cancelled.take();
        match slice {
            _ if cancelled => self.abandon(job.work),
            Slice::Done(answer) => {
                self.answer(job.number, answer);
                self.abandon(job.work);
            }
            Slice::More(done, of) => {
                let now = self.around.milliseconds();
                if now.saturating_sub(job.told) >= TELL_EACH {
                    job.told = now;
                    self.answer(job.number, Answer::Progress { done, of });
                }
                self.jobs.borrow_mut().push_back(job);
            }
        }
        self.note_the_gone();
        true
    }

    /// Does what waited until code of modules may run, if the job is that.
    fn take_up_later(&self, job: Job<P>) -> Option<Job<P>> {
        match job.work {
            Work::Later(request) => self.take_up(job.number, (job.number >> NUMBER_BITS) as u32, *request),
            Work::Drop(comparing) => self.drop_candidates(&comparing),
            work => return Some(Job { work, ..job }),
        }
        None
    }

    /// Ends what has waited for too long, and carries out nothing else: while a call is under way, or there is nothing to do.
    pub fn look_at_clock(&self) {
        self.give_up_half_a_frame();
        if !self.around.may_run_modules() {
            return;
        }
        let now = self.around.milliseconds();
        loop {
            let late = {
                let mut jobs = self.jobs.borrow_mut();
                let is_late = |job: &Job<P>| match job.work {
                    Work::Unload(_) | Work::Push(_) => now.saturating_sub(job.began) >= PATIENCE,
                    Work::Later(_) | Work::Drop(_) => true,
                    Work::Call(_) | Work::Compare(_) => false,
                };
                jobs.iter().position(is_late).and_then(|index| jobs.remove(index))
            };
            let Some(job) = late else { return };
            let Some(mut job) = self.take_up_later(job) else { continue };
            let slice = match &mut job.work {
                Work::Unload(id) => self.try_unload(*id, job.began),
                Work::Push(push) => self.push_again(push, now.saturating_sub(job.began)),
                Work::Call(_) | Work::Compare(_) | Work::Later(_) | Work::Drop(_) => return,
            };
            if let Slice::Done(answer) = slice {
                self.answer(job.number, answer);
            }
        }
    }

    fn try_unload(&self, id: ModuleId, began: u64) -> Slice {
        let waited = self.around.milliseconds().saturating_sub(began);
        match self.manager.unload(id) {
            Ok(receipt) => {
                self.say_gone(&receipt);
                self.tidy();
                Slice::Done(Answer::Unloaded(crate::tell::receipt(&receipt)))
            }
            Err(UnloadError::Busy { .. }) if waited < PATIENCE => Slice::More(0, 1),
            Err(error @ UnloadError::Needed { .. }) => {
                let name = |by| self.manager.stats(by).map(|by| format!("{} {}", by.name, by.version));
                let names: Vec<_> = self.manager.dependents(id).filter_map(name).collect();
                Slice::Done(Answer::Refused { error: format!("{error} (needed by {})", names.join(", ")) })
            }
            Err(error) => Slice::Done(Answer::Refused { error: format!("{error} (waited {waited} ms)") }),
        }
    }

    /// Undoes what a job leaves behind.
    pub(crate) fn abandon(&self, work: Work<P>) {
        match work {
            Work::Compare(comparing) | Work::Drop(comparing) if !self.around.may_run_modules() => {
                self.jobs.borrow_mut().push_back(Job::new(0, Work::Drop(comparing), self.around.milliseconds()));
            }
            Work::Compare(comparing) | Work::Drop(comparing) => self.drop_candidates(&comparing),
            Work::Call(_) | Work::Unload(_) | Work::Push(_) | Work::Later(_) => {}
        }
    }
}
