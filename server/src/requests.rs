//! What each request means.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};

use bareflow_loader::{ModuleId, Platform, Usage};
use bareflow_protocol::control::{Asked, CONTROL_VERSION};
use bareflow_protocol::{Answer, Request};

use crate::jobs::{Job, Work};
use crate::{Server, Surroundings, has_room};

/// Requests that may wait for their turn.
const MAX_JOBS: usize = 256;

/// What comes of a request: an answer, or nothing yet.
pub(crate) type Handled<P> = Result<Next<P>, String>;

/// What is to be done about a request.
pub(crate) enum Next<P: Platform> {
    /// It is answered.
    Answer(Answer),
    /// It takes its time.
    Work(Work<P>),
}

impl<P: Platform> From<Answer> for Next<P> {
    fn from(answer: Answer) -> Next<P> {
        Next::Answer(answer)
    }
}

impl<P: Platform, S: Surroundings> Server<'_, P, S> {
    /// Does what a client asks for, or begins to.
    pub(crate) fn handle(&self, asked: Asked) {
        let (number, client) = (asked.number, asked.client());
        // Nobody would be heard until an `init` of theirs has ended, since another one is under way.
        if matches!(asked.request, Request::Push(_) | Request::Load { .. }) && !self.around.may_run_modules() {
            return self.queue(number, Work::Later(Box::new(asked.request)));
        }
        self.take_up(number, client, asked.request);
    }

    /// Does what a client asked for, now or earlier.
    pub(crate) fn take_up(&self, number: u64, client: u32, request: Request) {
        match self.understand(client, request) {
            Ok(Next::Answer(answer)) => self.answer(number, answer),
            Ok(Next::Work(work)) => self.queue(number, work),
            Err(error) => self.refuse(number, &error),
        }
    }

    /// Puts work behind what is being done.
    fn queue(&self, number: u64, work: Work<P>) {
        if self.jobs.borrow().len() >= MAX_JOBS || !has_room() {
            self.abandon(work);
            return self
                .refuse(number, &format!("{MAX_JOBS} requests wait already, or memory is short; try again later"));
        }
        self.jobs.borrow_mut().push_back(Job::new(number, work, self.around.milliseconds()));
    }

    fn understand(&self, client: u32, request: Request) -> Handled<P> {
        Ok(match request {
            Request::Hello => {
                self.forget(client);
                self.welcome().into()
            }
            Request::Goodbye => {
                self.forget(client);
                Answer::Done.into()
            }
            Request::List => Answer::Modules(self.modules(None, false)).into(),
            Request::Stats { module } => {
                let one = module.map(|module| self.select(&module)).transpose()?;
                Answer::Modules(self.modules(one, true)).into()
            }
            Request::Upload { length, checksum } => {
                self.uploads.borrow_mut().begin(client, length, checksum)?;
                Answer::Received { length: 0 }.into()
            }
            Request::Chunk { offset, bytes } => {
                let length = self.uploads.borrow_mut().add(client, offset, &bytes)?;
                Answer::Received { length }.into()
            }
            Request::Push(push) => {
                let blob = self.uploads.borrow_mut().take(client)?;
                self.push(blob, push)?
            }
            Request::Load { path, wish } => {
                let blob = self.around.read(&path)?;
                self.load(blob, &path, &wish)?
            }
            Request::Files { path } => Answer::Files(self.around.files(&path)?).into(),
            Request::Save { module } => self.save(&module)?,
            Request::Call { module, input, repeat } => {
                // What is wrong with the name is said at once.
                self.select(&module)?;
                Next::Work(Work::call(module, input, repeat)?)
            }
            Request::Unload { module } => Next::Work(Work::Unload(self.select(&module)?)),
            Request::Activate { module } => {
                let id = self.select(&module)?;
                if !self.manager.activate(id) {
                    return Err(format!("{module} is about to go; choose another one"));
                }
                Answer::Done.into()
            }
            Request::Compare { modules: [first, second], input, over } => {
                let ids = [self.select(&first)?, self.select(&second)?];
                Next::Work(self.compare(ids, input, over)?)
            }
            Request::Log { from } => {
                let (first, lines) = self.around.log(from);
                Answer::Log { first, lines }.into()
            }
            Request::Shutdown => {
                self.ended.set(true);
                Answer::Done.into()
            }
            Request::Memory => {
                let Usage { pages, arena_bytes, table_bytes } = self.manager.usage().unwrap_or_default();
                Answer::Memory { pages, arena_bytes, table_bytes }.into()
            }
            other => return Err(format!("{other:?}: this kernel does not know that; boot a newer one")),
        })
    }

    pub(crate) fn welcome(&self) -> Answer {
        let version = env!("CARGO_PKG_VERSION").to_string();
        Answer::Welcome { control: CONTROL_VERSION, version, clock: self.around.clock_name().to_string() }
    }

    /// The module that a client means.
    pub(crate) fn select(&self, selector: &str) -> Result<ModuleId, String> {
        self.manager.select(selector).map_err(|error| format!("{selector}: {error}"))
    }

    /// Forgets what a client left half done.
    fn forget(&self, client: u32) {
        self.uploads.borrow_mut().forget(client);
        if self.current.get() == Some(client) {
            self.cancelled.set(true);
        }
        let gone: VecDeque<_> = {
            let mut jobs = self.jobs.borrow_mut();
            let (gone, stay) = core::mem::take(&mut *jobs).into_iter().partition(|job| job.client() == client);
            *jobs = stay;
            gone
        };
        for job in gone {
            self.abandon(job.work);
        }
    }
}
