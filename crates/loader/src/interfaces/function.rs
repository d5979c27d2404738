//! The functions that a module exports: how they are found, called from outside, and their profiles.

use bareflow_abi::interface::bindings::{Entry, function_fingerprint};
use bareflow_abi::interface::{CallError, Frame, MAX_REPLY_WORDS, MAX_WORDS, Shape};

use super::invoke::Returned;
use super::signatures::method_names;
use crate::error::{ExecuteError, FunctionError};
use crate::manager::ModuleManager;
use crate::module::{Module, ModuleId};
use crate::name::Name;
use crate::platform::{Platform, TimedCall, TimedReply};
use crate::profile::CycleStatistics;

/// A function of a loaded module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionId {
    /// The module.
    pub module: ModuleId,
    /// The number among the module's functions.
    pub number: u32,
    /// The shape of a method; `None` for a plain function.
    pub shape: Option<Shape>,
}

/// The profile of a function that a module exports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FunctionProfile {
    /// The interface that it belongs to; `None` for a plain function.
    pub interface: Option<Name>,
    /// The number among the module's functions.
    pub number: u32,
    /// The number of its calls so far, including those that faulted.
    pub call_count: u64,
    /// The number of its calls that faulted.
    pub faults: u32,
    /// The statistics over all timed calls; `None` before the first.
    pub cycles: Option<CycleStatistics>,
    /// The result of the last call, or its status; `None` before the first.
    pub last_result: Option<i32>,
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the function that a selector names: `module[.interface].function[@requirement]`, such as `net.packet_handler`
    /// or `disk.files.read@^1`.
    ///
    /// # Errors
    /// There is no such module, or it has no such function.
    pub fn find_function(&self, selector: &str) -> Result<FunctionId, FunctionError> {
        let (path, requirement) = selector.split_once('@').unwrap_or((selector, ""));
        let (module, function) = path.split_once('.').ok_or(FunctionError::Selector)?;
        let id = self.find_required(module, requirement).ok_or(FunctionError::NotLoaded)?;
        self.function_of(id, function)
    }

    /// Returns the function of a module that is named `function` or `interface.function`.
    ///
    /// # Errors
    /// The module is gone, has no such function, or several.
    pub fn function_of(&self, id: ModuleId, function: &str) -> Result<FunctionId, FunctionError> {
        let module = self.get(id).ok_or(FunctionError::NotLoaded)?;
        let (interface, name) = match function.split_once('.') {
            Some((interface, name)) => (Some(interface), name),
            None => (None, function),
        };
        let mut found = None;
        for (first, entry) in module.metadata.bindings().exports() {
            if interface.is_some_and(|interface| interface != entry.interface) {
                continue;
            }
            if let Some(index) = index_of(&module, &entry, name) {
                if found.is_some() {
                    return Err(FunctionError::Several);
                }
                let shape = entry.method(index).map(|method| method.shape).filter(|_| !entry.interface.is_empty());
                found = Some(FunctionId { module: id, number: (first + index) as u32, shape });
            }
        }
        found.ok_or(FunctionError::NoFunction)
    }

    /// Passes the name of each function of a module to `look`: its interface, which is empty for plain functions, and its
    /// own, which is empty if the module's signatures were stripped.
    pub fn for_each_function(&self, id: ModuleId, mut look: impl FnMut(u32, &str, &str)) {
        let Some(module) = self.get(id) else { return };
        for (first, entry) in module.metadata.bindings().exports() {
            let mut names = method_names(module.metadata.signatures(), entry.interface);
            for index in 0..entry.method_count() {
                look((first + index) as u32, entry.interface, names.next().unwrap_or_default());
            }
        }
    }

    /// Calls a plain function with `input`, lets it write to `output`, and profiles the call.
    ///
    /// # Errors
    /// The reason for which there is no result; [`ExecuteError::NoRun`] if it is a method.
    pub fn execute_function(
        &self,
        function: FunctionId,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<TimedCall, ExecuteError> {
        if self.shape_of(function)?.is_some() {
            return Err(ExecuteError::NoRun);
        }
        let called = self.call_function(function.module, (function.number, 0), |_, call, callees| {
            let call = call.with_input(input);
            let done = match callees {
                None => self.platform.call(&call, output),
                Some(callees) => self.platform.call_with_callees(&call, output, callees),
            }?;
            Ok(Some(Returned { value: done, cycles: done.cycles, last_result: done.outcome.result }))
        });
        match called {
            Ok(Some(done)) => Ok(done),
            Ok(None) => Err(ExecuteError::NotLoaded),
            Err(failure) => Err(self.to_error(function.module, failure)),
        }
    }

    /// Calls a method by the packed form of its frame, writes the reply's header to the output, and profiles the call.
    ///
    /// Both begin at multiples of [`PIECE_ALIGNMENT`](bareflow_abi::interface::PIECE_ALIGNMENT). What is no packed form
    /// is [`BadArgument`](CallError::BadArgument); see [`Frame::unpack`].
    ///
    /// # Errors
    /// The reason for which there is no reply; [`ExecuteError::NoRun`] if it is a plain function.
    pub fn call_packed(
        &self,
        function: FunctionId,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<TimedReply, ExecuteError> {
        let shape = self.shape_of(function)?.ok_or(ExecuteError::NoRun)?;
        let mut words = [0; MAX_WORDS];
        let mut header = [0; MAX_REPLY_WORDS];
        let timed = {
            let Some(mut frame) = Frame::unpack(shape, &mut words, input, output) else {
                return Ok(TimedReply { reply: CallError::BadArgument.into(), cycles: 0 });
            };
            let called = self.call_function(function.module, (function.number, 0), |_, call, callees| {
                let timed = self.platform.call_method(call, &mut frame, callees)?;
                Ok(Some(Returned { value: timed, cycles: timed.cycles, last_result: timed.reply.status as i32 }))
            });
            let called = called.map_err(|failure| self.to_error(function.module, failure))?;
            let timed = called.ok_or(ExecuteError::NotLoaded)?;
            header.iter_mut().zip(frame.reply_header(timed.reply.value)).for_each(|(target, word)| *target = word);
            timed
        };
        for (target, word) in output.chunks_exact_mut(8).zip(header).take(shape.reply_words()) {
            target.copy_from_slice(&u64::to_le_bytes(word));
        }
        Ok(timed)
    }

    /// Returns the shape of a method, by the module's own record, since anyone can make a [`FunctionId`]; `None` for a plain
    /// function.
    fn shape_of(&self, function: FunctionId) -> Result<Option<Shape>, ExecuteError> {
        let module = self.get(function.module).ok_or(ExecuteError::NotLoaded)?;
        let found = module.metadata.bindings().function(function.number as usize);
        let (export, method) = found.ok_or(ExecuteError::NoRun)?;
        Ok((!export.interface.is_empty()).then_some(method.shape))
    }

    /// Returns the profile of a function of a module; `None` if there is no such.
    #[must_use]
    pub fn function_stats(&self, id: ModuleId, number: u32) -> Option<FunctionProfile> {
        let module = self.get(id)?;
        let (entry, _) = module.metadata.bindings().function(number as usize)?;
        let function = module.metadata.interfaces()?.functions.get(number as usize)?;
        let snapshot = function.profile_buffer.snapshot(0);
        let call_count = function.call_count();
        let returned = call_count - u64::from(function.faults.get());
        Some(FunctionProfile {
            interface: Name::new(entry.interface),
            number,
            call_count,
            faults: function.faults.get(),
            cycles: snapshot.and_then(|snapshot| snapshot.statistics(self.call_overhead_cycles())),
            last_result: (returned > 0).then_some(function.last_result.get()),
        })
    }

    /// Returns the module of a name that meets a requirement, which may be empty.
    fn find_required(&self, name: &str, requirement: &str) -> Option<ModuleId> {
        if requirement.is_empty() {
            return self.active(&Name::new(name)?);
        }
        #[cfg(feature = "semver")]
        {
            let wanted = crate::name::requirement::Requirement::parse(requirement)?;
            self.find_version(name, |version| wanted.admits(version))
        }
        #[cfg(not(feature = "semver"))]
        None
    }
}

/// Returns the index of a function in an export. A plain function is known by its fingerprint, a method by the
/// signatures.
fn index_of<P: Platform>(module: &Module<P>, entry: &Entry<'_>, name: &str) -> Option<usize> {
    if entry.interface.is_empty() {
        let wanted = function_fingerprint(name);
        return entry.methods().position(|method| method.fingerprint == wanted);
    }
    method_names(module.metadata.signatures(), entry.interface)
        .take(entry.method_count())
        .position(|method| method == name)
}
