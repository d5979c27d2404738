//! The services of modules, for platforms that contain them: who may use which, and the checks of what a module passes.
//! All of it must be the module's own, and results are written only where it may write itself.

use core::ptr::with_exposed_provenance_mut;
use core::slice::from_raw_parts_mut;

use bareflow_abi::call::CALL_OK;
use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_GROW, SERVICE_INVOKE, SERVICE_LOG};
use bareflow_abi::interface::{CallError, Frame, Reply, Shape};
#[cfg(doc)]
use bareflow_abi::memory::CANNOT_GROW;
use bareflow_abi::{CallArguments, CallRefusal, Context};
use bareflow_loader::diagnosis::ServiceCall;
use bareflow_loader::{CallOutcome, Fault, FaultKind};

use crate::{RunningCall, clock};

/// The services that are offered.
pub const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK | SERVICE_CALL | SERVICE_INVOKE | SERVICE_GROW;

/// The longest line that a module may log, in bytes.
pub const MAX_LINE_BYTES: usize = 4096;

/// The services of a running call, by what the platform does for it.
///
/// # Safety
/// [`call`](Self::call) and [`invoke`](Self::invoke) access nothing of the module's memory but what they get.
pub unsafe trait ServedCall: RunningCall {
    /// Returns the services that the module declares.
    fn declared(&self) -> u32;

    /// Logs a line.
    fn log(&self, line: &[u8]);

    /// Reads the module's clock.
    fn clock(&self) -> u64;

    /// Calls the module `name`.
    ///
    /// # Errors
    /// The reason why there is no result.
    fn call(&self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal>;

    /// Adds pages to the module's linear memory. Returns the number of pages before, or [`CANNOT_GROW`].
    fn grow(&self, pages: u64) -> u64;

    /// Returns the shape of a method of an import, both by their numbers.
    ///
    /// # Errors
    /// There is no such method, or its import is not bound.
    fn shape(&self, import: u32, method: u32) -> Result<Shape, CallError>;

    /// Calls a method of an import by a frame of its shape.
    fn invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply;
}

/// The service `clock` for modules that declare it and get the processor's.
pub extern "C" fn read_clock(_: *mut Context<'_>) -> u64 {
    clock::now()
}

/// Serves a module that called `service`. Returns the service's result, which is 0 if it has none.
///
/// # Errors
/// The module's fault, without its place: it does not declare the service, or may not pass what it passed.
pub fn serve(caller: &impl ServedCall, service: u32, arguments: [u64; 2]) -> Result<u64, Fault> {
    let [address, length] = arguments;
    check_declared(caller, service, arguments)?;
    match service {
        SERVICE_LOG => {
            caller.log_service(ServiceCall { service, arguments });
            let line = caller.bytes(address, length).filter(|line| line.len() <= MAX_LINE_BYTES);
            caller.log(line.ok_or(bad_argument(address))?);
            Ok(0)
        }
        SERVICE_CLOCK => Ok(caller.clock()),
        SERVICE_GROW => {
            caller.log_service(ServiceCall { service, arguments: [address, 0] });
            Ok(caller.grow(address))
        }
        _ => {
            caller.log_service(ServiceCall { service, arguments: [address, 0] });
            call(caller, address).map(u64::from)
        }
    }
}

/// Checks that the module declares a service.
#[inline]
pub(crate) fn check_declared(caller: &impl ServedCall, service: u32, arguments: [u64; 2]) -> Result<(), Fault> {
    if caller.declared() & service != 0 {
        return Ok(());
    }
    let arguments = if service == SERVICE_CLOCK { [0; 2] } else { arguments };
    caller.log_service(ServiceCall { service, arguments });
    Err(Fault { kind: FaultKind::GeneralProtection, offset: None, address: None })
}

/// Makes the call whose arguments lie at `address`. Returns its status.
fn call(caller: &impl ServedCall, address: u64) -> Result<u32, Fault> {
    let size = size_of::<CallArguments<'_>>();
    let own = caller.writable(address, size as u64).ok_or(bad_argument(address))?;
    let arguments = with_exposed_provenance_mut::<CallArguments<'_>>(own as usize);
    // SAFETY: `writable` just found that they are mapped and the module's; any bytes are valid arguments.
    let given = unsafe { arguments.read_unaligned() };
    let bytes = |start: *const u8, length: usize| {
        let start = start.addr() as u64;
        caller.bytes(start, length as u64).ok_or(bad_argument(start))
    };
    let (name, input) = (bytes(given.name, given.name_length)?, bytes(given.input, given.input_length)?);
    let (start, capacity) = (given.output.addr() as u64, given.output_capacity);
    let output: &mut [u8] = if capacity == 0 {
        &mut []
    } else {
        let room = caller.writable(start, capacity as u64).ok_or(bad_argument(start))?;
        let others = [(own, size), (name.as_ptr() as u64, name.len()), (input.as_ptr() as u64, input.len())];
        let overlaps = |(other, length): (u64, usize)| {
            length > 0 && other < room + capacity as u64 && room < other + length as u64
        };
        if others.into_iter().any(overlaps) {
            return Err(bad_argument(start));
        }
        // SAFETY: `writable` just found that the bytes are mapped and the module's, which waits; nothing else that is
        // used during the call overlaps them, as was just checked and `ServedCall` promises.
        unsafe { from_raw_parts_mut(with_exposed_provenance_mut(room as usize), capacity) }
    };
    Ok(match caller.call(name, input, output) {
        Ok(outcome) => {
            // SAFETY: as for the reading; the module still waits.
            unsafe {
                (&raw mut (*arguments).output_length).write_unaligned(outcome.output_length);
                (&raw mut (*arguments).result).write_unaligned(outcome.result);
            }
            CALL_OK
        }
        Err(refused) => refused as u32,
    })
}

/// Returns the fault of a module that may not pass on what lies at `address`. Its place is not known here.
pub(crate) const fn bad_argument(address: u64) -> Fault {
    Fault { kind: FaultKind::BadServiceArgument, offset: None, address: Some(address) }
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
