//! The service by which a module calls another one. Everything that the module passes must be its own, and the kernel
//! writes results only where the module itself may write.

use core::mem::offset_of;
use core::ops::Range;

use bareflow_abi::call::CALL_OK;
use bareflow_abi::header::SERVICE_CALL;
use bareflow_abi::{CallArguments, CallRefusal};
use bareflow_loader::diagnosis::ServiceCall;
use bareflow_loader::{CallOutcome, Fault, FaultKind};

use crate::call::{self, Activation};
use crate::kernel::observe;

/// Makes the call whose arguments lie at `address`, for the module that called from `caller`.
pub fn call(activation: &Activation, address: u64, caller: u64) -> Result<u32, Fault> {
    activation.log_service(ServiceCall { service: SERVICE_CALL, arguments: [address, 0] });
    let bad = |address: u64| Fault {
        kind: FaultKind::BadServiceArgument,
        offset: activation.image().segments.offset_of(caller),
        address: Some(address),
    };
    let size = size_of::<CallArguments<'_>>();
    let arguments_alias = activation.writable(address, size as u64).ok_or(bad(address))?;
    // SAFETY: that many bytes are mapped there, as `writable` just checked, and any bytes are valid arguments.
    let given = unsafe { (arguments_alias as *const CallArguments<'_>).read_unaligned() };
    let bytes = |start: *const u8, length: usize| {
        let start = start.addr() as u64;
        activation.bytes(start, length as u64).ok_or(bad(start))
    };
    let name = bytes(given.name, given.name_length)?;
    let input = bytes(given.input, given.input_length)?;
    let (start, capacity) = (given.output.addr() as u64, given.output_capacity);
    let output: &mut [u8] = if capacity == 0 {
        &mut []
    } else {
        let alias = activation.writable(start, capacity as u64).ok_or(bad(start))?;
        let own = alias..alias + capacity as u64;
        let arguments = arguments_alias..arguments_alias + size as u64;
        if [arguments, range(name), range(input)].iter().any(|other| overlap(&own, other)) {
            return Err(bad(start));
        }
        // SAFETY: that many bytes are mapped writable there, for the module only, which is not running; nothing else
        // that is read during the call overlaps them, as just checked.
        unsafe { core::slice::from_raw_parts_mut(alias as *mut u8, capacity) }
    };
    let done = match activation.callees() {
        Some(callees) => call::with_nested_call(|| callees.call(name, input, output)),
        None => Err(CallRefusal::NotDeclared),
    };
    let (told, written) = match &done {
        Ok(outcome) => ((CALL_OK, outcome.result), output.get(..outcome.output_length).unwrap_or_default()),
        Err(refused) => ((*refused as u32, 0), &[][..]),
    };
    observe(|observer| observer.note_call(name, input, capacity, told, written));
    Ok(match done {
        Ok(outcome) => {
            fill_in(arguments_alias, outcome);
            CALL_OK
        }
        Err(refused) => refused as u32,
    })
}

/// Writes the outcome of a call to its arguments.
fn fill_in(arguments_alias: u64, outcome: CallOutcome) {
    let length = arguments_alias as usize + offset_of!(CallArguments<'_>, output_length);
    let result = arguments_alias as usize + offset_of!(CallArguments<'_>, result);
    // SAFETY: both lie in the arguments, which `call` found writable by the module; it is still not running.
    unsafe {
        (length as *mut usize).write_unaligned(outcome.output_length);
        (result as *mut i32).write_unaligned(outcome.result);
    }
}

/// Returns the addresses of `bytes`.
fn range(bytes: &[u8]) -> Range<u64> {
    let start = bytes.as_ptr() as u64;
    start..start + bytes.len() as u64
}

/// Returns whether two ranges, of which the first is not empty, have an address in common.
fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    !other.is_empty() && one.start < other.end && other.start < one.end
}
