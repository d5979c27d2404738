//! The handling of each request.

use alloc::vec::Vec;

use bareflow_loader::{ModuleId, Name, PeakUse, Platform, Printable, Usage};
use bareflow_protocol::control::{CONTROL_VERSION, Envelope, Push, Refusal, RefusalCode};
use bareflow_protocol::report::Module;
use bareflow_protocol::{Request, Response};
use bareflow_suite::fallible::{NoMemory, collect, push};
use bareflow_suite::{error_text, with_details};

use crate::call::Calls;
use crate::events::Unloading;
use crate::requested_options::bounded;
use crate::task::{Handled, Next, Task};
use crate::{Server, ServerEnvironment};

/// A load for people, its name and its generation, and its handle.
type Load = ((Name, u32), ModuleId);

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Handles the request in a payload: answers it, or queues a job.
    pub(crate) fn handle(&self, payload: Vec<u8>) {
        let request_id = match Envelope::from_payload(&payload) {
            // An `init` must not run now, since a call is running, and no client would be heard until it has ended.
            Ok(Envelope { request_id, request: Request::Push(_) | Request::Load { .. } })
                if !self.environment.may_run_modules() =>
            {
                request_id
            }
            Ok(envelope) => return self.take_up(envelope),
            // The number of the request, and so its client, is unknown.
            Err(error) => return self.refuse(0, Refusal::new(RefusalCode::NoRequest, error_text!("{error}"))),
        };
        self.queue(request_id, Task::Later(payload));
    }

    /// Handles a client's request, now or after it has waited.
    pub(crate) fn take_up(&self, envelope: Envelope<'_>) {
        let client = envelope.client();
        let (next, cancelled) = match envelope.request {
            // Only these run module code at once, namely an `init`, during which their client may leave.
            Request::Push(_) | Request::Load { .. } => {
                self.running.run(client, || self.understand(client, envelope.request))
            }
            request => (self.understand(client, request), false),
        };
        match next {
            Ok(Next::Response(answer)) if cancelled => self.recycle(answer),
            Ok(Next::Task(work)) if cancelled => self.abandon(work),
            Err(_) if cancelled => {}
            Ok(Next::Response(answer)) => self.answer(envelope.request_id, answer),
            Ok(Next::Task(work)) => self.queue(envelope.request_id, work),
            Err(reason) => self.refuse(envelope.request_id, reason),
        }
    }

    fn understand(&self, client: u32, request: Request<'_>) -> Handled<P> {
        let now = || self.environment.milliseconds();
        Ok(match request {
            Request::Hello => {
                self.forget(client);
                self.welcome().into()
            }
            Request::Goodbye => {
                self.forget(client);
                Response::Done.into()
            }
            Request::Ps => Response::Modules(self.modules(None, false)?).into(),
            Request::Stats { module } => {
                let one = module.map(|module| self.select(module)).transpose()?;
                Response::Modules(self.modules(one, true)?).into()
            }
            Request::Interfaces { module } => {
                let one = module.map(|module| self.select(module)).transpose()?;
                Response::Interfaces(self.interfaces(one)?).into()
            }
            Request::Upload { length, checksum } => {
                self.uploads.borrow_mut().begin(client, length, checksum, now())?;
                Response::Received { length: 0 }.into()
            }
            Request::Chunk { offset, bytes } => {
                let length = self.uploads.borrow_mut().add(client, offset, bytes, now())?;
                Response::Received { length }.into()
            }
            Request::Push(push) => {
                let wanted = self.wanted(&push)?;
                let blob = self.uploads.borrow_mut().take(client)?;
                self.push(blob, wanted, push.gate.as_ref())?
            }
            Request::Load { path, overrides } => {
                let wanted = self.wanted(&Push { label: bounded(path)?, overrides, beside: false, gate: None })?;
                let blob = self.environment.read(path)?;
                self.push(blob, wanted, None)?
            }
            Request::Ls { path } => Response::Files(self.environment.files(bounded(path)?)?).into(),
            Request::Save { module } => self.save(module)?,
            Request::Call { module, input, repeat } => {
                // An invalid selector is refused at once.
                self.callee(module)?;
                Next::Task(Task::Call(Calls::new(module, input, repeat)?))
            }
            Request::Unload { module } => {
                Next::Task(Task::Unload(Unloading { id: self.select(module)?, is_asked: None }))
            }
            Request::Restart { module } => Next::Task(Task::Restart(self.select(module)?)),
            Request::Activate { module } => {
                let id = self.select(module)?;
                if !self.manager.activate(id) {
                    return Err(error_text!("{module} is about to go; choose another one").into());
                }
                Response::Done.into()
            }
            Request::Compare { modules: [first, second], input, over } => {
                let arms = [self.callee_with_input(first)?, self.callee_with_input(second)?];
                Next::Task(Task::Compare(self.compare(arms, input, over)?))
            }
            Request::Log { from } => {
                let (first, lines) = self.environment.log(from)?;
                Response::Log { first, lines }.into()
            }
            Request::Shutdown => {
                self.ended.set(true);
                Response::Done.into()
            }
            Request::Memory => {
                let Usage { pages, arena_bytes, table_bytes } = self.manager.usage().unwrap_or_default();
                Response::Memory { pages, arena_bytes, table_bytes }.into()
            }
            Request::Trace(request) => self.trace(client, request)?.into(),
            // Where requests come by a port, there is nothing to prove.
            Request::Token { .. } => Response::Done.into(),
            Request::Devices => Response::Devices(self.devices()?).into(),
            _ => return Err("this kernel does not know that request; boot a newer one".into()),
        })
    }

    pub(crate) fn welcome(&self) -> Response {
        let version = env!("CARGO_PKG_VERSION").into();
        Response::Welcome { control: CONTROL_VERSION, version, clock: self.environment.clock_name().into() }
    }

    /// Returns the modules, or only `one`, in the order of their names and loads.
    ///
    /// `with_faults` adds diagnoses and peak use.
    fn modules(&self, one: Option<ModuleId>, with_faults: bool) -> Result<Vec<Module>, NoMemory> {
        let loads = self.loads(one)?;
        let store = self.store.borrow();
        let diagnosis = |id| store.get(id).filter(|_| with_faults)?.diagnosis.as_ref();
        let profiles = loads.iter().filter_map(|(_, id)| Some((*id, self.manager.stats(*id)?)));
        // Scanning stacks takes time, so it is not done for a list of thousands.
        let peak = |id| if with_faults { self.manager.peak_use(id) } else { PeakUse::default() };
        collect(profiles.map(|(id, profile)| {
            let module = with_details(&self.manager, id, bareflow_suite::module(&profile, peak(id), diagnosis(id))?)?;
            match store.get(id) {
                Some(stored) => stored.file.with_ascent(module),
                None => Ok(module),
            }
        }))
    }

    /// Returns the names and generations of all modules, or only of `one`, in this order.
    pub(crate) fn loads(&self, one: Option<ModuleId>) -> Result<Vec<Load>, NoMemory> {
        let mut loads = Vec::new();
        for id in self.manager.ids().filter(|id| one.is_none_or(|one| one == *id)) {
            if let Some(load) = self.manager.load_of(id) {
                push(&mut loads, (load, id))?;
            }
        }
        loads.sort_unstable_by_key(|(load, _)| *load);
        Ok(loads)
    }

    /// Returns the module that a client's selector matches.
    pub(crate) fn select(&self, selector: &str) -> Result<ModuleId, Refusal> {
        let selector = bounded(selector)?;
        self.manager.select(selector).map_err(|error| {
            Refusal::new(RefusalCode::NoModule, error_text!("{}: {error}", Printable(selector.as_bytes())))
        })
    }

    /// Discards a client's unfinished uploads and jobs.
    pub(crate) fn forget(&self, client: u32) {
        self.uploads.borrow_mut().forget(client);
        self.running.leave(client);
        self.drop_jobs_of(client);
        self.drop_trace(client);
    }
}
