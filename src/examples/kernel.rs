//! Examples in a kernel, which is booted once for all of them and told what to do over its channel.

use std::path::Path;
use std::time::Duration;

use bareflow_loader::Domain;
use bareflow_protocol::control::{Push, Wish};
use bareflow_protocol::{Answer, Request};

use super::Place;
use crate::client::error::Refused;
use crate::client::{Client, upload};
use crate::qemu::{Machine, Running};
use crate::{Problem, embedded};

/// How long there may be no sign of the kernel: more than a call may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A kernel in QEMU.
pub(super) struct Kernel {
    client: Client,
    /// What is loaded beside the kernel's own modules, in that order.
    loaded: Vec<String>,
    /// The machine ends with this.
    _machine: Running,
}

impl Kernel {
    pub(super) fn boot() -> Result<Kernel, Problem> {
        if embedded::KERNEL.is_empty() {
            return Err("this build has no kernel: no core library for x86_64-unknown-none was there; \
                        run `make setup`, then build again"
                .into());
        }
        let machine = Machine { command_line: "serve=1".to_owned(), ..Machine::new(embedded::KERNEL) }.start()?;
        let link = machine.channel.try_clone()?;
        let client = Client::greet(Box::new(link), Path::new("QEMU"), PATIENCE)?;
        Ok(Kernel { client, loaded: Vec::new(), _machine: machine })
    }

    /// Asks the kernel; what it refuses is no problem.
    fn ask(&mut self, request: Request) -> Result<Result<Answer, String>, Problem> {
        match self.client.ask(request) {
            Ok(answer) => Ok(Ok(answer)),
            Err(problem) => Ok(Err(problem.downcast::<Refused>()?.0)),
        }
    }

    fn push(&mut self, blob: &[u8], domain: Domain) -> Result<Result<(), String>, Problem> {
        upload(&mut self.client, blob, &mut |_, _| ())?;
        let wish = Wish { domain: Some(domain.name().to_owned()), budget: None, on_fault: Some("restart".to_owned()) };
        let push = Push { label: "example.mod".to_owned(), wish, beside: false, gate: None };
        match self.ask(Request::Push(push))? {
            Ok(Answer::Loaded(loaded)) => self.loaded.push(loaded.name),
            Ok(other) => return Err(unexpected(&other)),
            Err(refusal) => return Ok(Err(refusal)),
        }
        Ok(Ok(()))
    }
}

impl Place for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn load(&mut self, needed: &[Vec<u8>], blob: &[u8], domain: Domain) -> Result<Result<(), String>, Problem> {
        while let Some(module) = self.loaded.pop() {
            match self.ask(Request::Unload { module })? {
                Ok(Answer::Unloaded(_)) => {}
                Ok(other) => return Err(unexpected(&other)),
                Err(refusal) => return Ok(Err(format!("what was tested before it can't be unloaded: {refusal}"))),
            }
        }
        for blob in needed {
            if let Err(refusal) = self.push(blob, domain)? {
                return Ok(Err(format!("a module that it calls is refused: {refusal}")));
            }
        }
        self.push(blob, domain)
    }

    fn call(&mut self, input: &[u8]) -> Result<Result<(i32, Vec<u8>), String>, Problem> {
        let module = self.loaded.last().cloned().ok_or("no module is loaded")?;
        match self.ask(Request::Call { module, input: input.to_vec(), repeat: 1 })? {
            Ok(Answer::Called(called)) => Ok(Ok((called.result, called.output))),
            Ok(other) => Err(unexpected(&other)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

fn unexpected(answer: &Answer) -> Problem {
    let shown: String = format!("{answer:?}").chars().take(80).collect();
    format!("the kernel gave another request's answer: {shown}").into()
}
