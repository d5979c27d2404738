//! The host's side of a call: what is lent to it, what it gave back, and who answers it.

pub use bareflow_abi::interface::Reply;
use bareflow_abi::interface::{CallError, Shape, Status};

use crate::Argument;

/// The end of a call that did not return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A panic: message, file, line.
    Panic(String, String, u32),
    /// The heap was used up.
    OutOfHeap,
    /// A trap.
    Trap(String),
}

/// A function that answers calls of methods: it gets the interface, the method's number and the arguments.
pub type Provide = Box<dyn FnMut(&str, u32, &mut Vec<Argument>) -> Reply>;

/// A function that answers calls of modules: it gets name and input, and returns result and output, or a refusal's number.
pub type Answer = Box<dyn FnMut(&str, &[u8]) -> Result<(i32, Vec<u8>), u32>>;

/// The host's side.
pub struct Host {
    pub(crate) input: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) room: usize,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) ending: Option<Ending>,
    pub(crate) imports: Vec<(String, Vec<Shape>)>,
    pub(crate) ticks: u64,
    /// The lines that were logged.
    pub log: Vec<String>,
    /// The providers of imports.
    pub provide: Provide,
    /// The modules that may be called.
    pub answer: Answer,
}

impl Host {
    pub(crate) fn new(imports: Vec<(String, Vec<Shape>)>) -> Host {
        Host {
            input: Vec::new(),
            output: Vec::new(),
            room: 0,
            arguments: Vec::new(),
            ending: None,
            imports,
            ticks: 0,
            log: Vec::new(),
            provide: Box::new(|_, _, _| Status::Failed(CallError::NotBound).into()),
            answer: Box::new(|_, _| Err(bareflow_abi::CallRefusal::NotDeclared as u32)),
        }
    }

    pub(crate) fn begin(&mut self, input: &[u8], room: usize, arguments: Vec<Argument>) {
        (self.input, self.room, self.arguments) = (input.to_vec(), room, arguments);
        self.output.clear();
        self.ending = None;
    }

    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.output)
    }

    pub(crate) fn take_arguments(&mut self) -> Vec<Argument> {
        core::mem::take(&mut self.arguments)
    }
}
