//! Traces: one client at a time has the kernel trace, and reads the entries while calls run and afterwards.

use alloc::vec::Vec;

use bareflow_loader::Platform;
use bareflow_protocol::Response;
use bareflow_protocol::control::{Refusal, RefusalCode};
use bareflow_protocol::trace::{Entry, TraceRequest, TraceState};
use bareflow_suite::error_text;
use bareflow_suite::fallible::{ErrorText, NoMemory};

use crate::{Server, ServerEnvironment, room};

/// The part of a kernel that traces: it keeps the last entries of each processor in a [`Ring`](crate::Ring).
pub trait Tracer {
    /// Returns the number of processors.
    fn processors(&self) -> u32;

    /// Begins a trace, with no entries yet.
    ///
    /// # Errors
    /// The reason for which there is none.
    fn begin(&self) -> Result<(), ErrorText>;

    /// Ends the trace. Its entries stay.
    fn end(&self);

    /// Frees the memory of the entries.
    fn clear(&self);

    /// Returns the number of entries of a processor so far, and a part of them: see [`Ring::read`](crate::Ring::read).
    ///
    /// # Errors
    /// [`NoMemory`].
    fn read(&self, processor: u32, from: u64) -> Result<(u64, u64, Vec<Entry>), NoMemory>;
}

/// A client's trace.
#[derive(Clone, Copy)]
pub(crate) struct Trace {
    client: u32,
    has_ended: bool,
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Handles a client's request about its trace.
    pub(crate) fn trace(&self, client: u32, request: TraceRequest) -> Result<Response, Refusal> {
        let tracer = self.environment.tracer().ok_or("this kernel does not trace; `bareflow serve` one that does")?;
        let own = self.trace.get().filter(|trace| trace.client == client);
        let none = || Refusal::new(RefusalCode::NoTrace, "this client has no trace; begin one");
        match request {
            TraceRequest::Begin => {
                if self.trace.get().is_some_and(|trace| !trace.has_ended) {
                    let error = "a client traces already; wait until it has ended, and begin again";
                    return Err(Refusal::new(RefusalCode::Tracing, error));
                }
                room()?;
                self.trace.set(None);
                let state = self.trace_state(tracer);
                tracer.begin()?;
                self.trace.set(Some(Trace { client, has_ended: false }));
                Ok(Response::Trace(state))
            }
            TraceRequest::Read { processor, from } => {
                own.ok_or_else(none)?;
                if processor >= tracer.processors() {
                    let count = tracer.processors();
                    return Err(error_text!("processor {processor}, expected one below {count}").into());
                }
                let (written, first, entries) = tracer.read(processor, from)?;
                if from > written {
                    return Err(error_text!("entry {from}, expected at most {written}: there are no more yet").into());
                }
                Ok(Response::TraceEntries { first, entries })
            }
            TraceRequest::End => {
                let trace = own.filter(|trace| !trace.has_ended).ok_or_else(none)?;
                tracer.end();
                self.trace.set(Some(Trace { has_ended: true, ..trace }));
                Ok(Response::Trace(self.trace_state(tracer)))
            }
        }
    }

    fn trace_state(&self, tracer: &dyn Tracer) -> TraceState {
        TraceState {
            processors: tracer.processors(),
            clock: self.environment.clock_name().into(),
            ticks: self.manager.platform().clock(),
            milliseconds: self.environment.milliseconds(),
        }
    }

    /// Ends and discards the trace of a client that is gone.
    pub(crate) fn drop_trace(&self, client: u32) {
        if let Some(tracer) = self.environment.tracer()
            && self.trace.get().is_some_and(|trace| trace.client == client)
        {
            self.trace.set(None);
            tracer.end();
            tracer.clear();
        }
    }
}
