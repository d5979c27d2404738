//! A call that stands still, since its module asked for a service or faulted: the module's memory, and its fault.

use core::ptr::with_exposed_provenance;
use core::slice::from_raw_parts;

use bareflow_loader::diagnosis::decode::Memory;
use bareflow_loader::diagnosis::{Diagnosis, REGISTER_NAMES, ServiceCall, ServiceLog};
use bareflow_loader::{Fault, FaultKind, Segments};

/// The bit of a page fault's error code for a write (Intel SDM volume 3, 5.7).
const WRITE: u64 = 1 << 1;

/// The bit of a page fault's error code for an instruction fetch.
const FETCH: u64 = 1 << 4;

/// An exception of the processor.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The exception's number.
    pub vector: u64,
    /// The error code of a page fault.
    pub error: u64,
    /// The accessed address of a page fault.
    pub address: u64,
}

/// A call whose module stands still.
///
/// # Safety
/// At an address that [`readable`](Self::readable) or [`writable`](Self::writable) returns, as many bytes as were asked
/// for are mapped, and stay so while the call is borrowed. They are the module's own or lent to its call, and the module
/// does not run meanwhile.
pub unsafe trait RunningCall {
    /// Returns the module's segments.
    fn segments(&self) -> &Segments;

    /// Returns the top of the module's stack.
    fn stack_top(&self) -> u64;

    /// Returns whether an access to `address` means that the stack has run out.
    fn guards(&self, address: u64) -> bool;

    /// Returns whether `address` is one of those that are kept for the module's linear memory, but not memory; by default
    /// there are none.
    fn is_beyond_memory(&self, address: u64) -> bool {
        let _ = address;
        false
    }

    /// Returns where the `length` bytes lie that the module sees at `address`, if it may pass them on: in its segments,
    /// in its heap, in its linear memory, on its stack, or in its context's buffers.
    fn readable(&self, address: u64, length: u64) -> Option<u64>;

    /// Returns where the `length` bytes lie that the module sees at `address`, if it may write them: in its data, in its
    /// heap, in its linear memory, on its stack, or in its output.
    fn writable(&self, address: u64, length: u64) -> Option<u64>;

    /// Notes a service's call.
    fn log_service(&self, call: ServiceCall);

    /// Returns the services that the call called last.
    fn services(&self) -> ServiceLog;

    /// Returns the `length` bytes that the module sees at `address`, if it may pass them on.
    fn bytes(&self, address: u64, length: u64) -> Option<&[u8]> {
        // The address of nothing is meaningless.
        if length == 0 {
            return Some(&[]);
        }
        let start = with_exposed_provenance(self.readable(address, length)? as usize);
        // SAFETY: `readable` just found that the bytes are mapped and the module's, which stands still.
        Some(unsafe { from_raw_parts(start, length as usize) })
    }

    /// Returns the fault of the module's instruction at `rip`, which is moved back where the processor reports the next
    /// one.
    fn fault_of(&self, exception: Exception, rip: &mut u64) -> Fault {
        let kind = match exception.vector {
            0 => FaultKind::Divide,
            3 => {
                *rip = rip.wrapping_sub(1);
                FaultKind::Breakpoint
            }
            6 => memory_of(self).kind_of_invalid_opcode(*rip),
            7 => FaultKind::InvalidOpcode,
            14 if exception.error & FETCH != 0 => FaultKind::PageExecute,
            14 if self.guards(exception.address) => FaultKind::StackOverflow,
            14 if self.is_beyond_memory(exception.address) => FaultKind::WasmOutOfBoundsMemoryAccess,
            14 if exception.error & WRITE != 0 => FaultKind::PageWrite,
            14 => FaultKind::PageRead,
            16 => FaultKind::X87,
            17 => FaultKind::Alignment,
            19 => FaultKind::Simd,
            _ => FaultKind::GeneralProtection,
        };
        let address = (exception.vector == 14).then_some(exception.address);
        Fault { kind, offset: self.segments().offset_of(*rip), address }
    }

    /// Returns the details of a fault, beyond its kind and offset. The registers are in the order of
    /// [`REGISTER_NAMES`].
    fn diagnose(&self, fault: &Fault, registers: [u64; REGISTER_NAMES.len()]) -> Diagnosis {
        memory_of(self).diagnose(fault, registers, self.services())
    }
}

/// Returns the module's memory.
fn memory_of<'call, C: RunningCall + ?Sized>(
    call: &'call C,
) -> Memory<'call, impl Fn(u64, u64) -> Option<&'call [u8]>> {
    Memory {
        segments: call.segments(),
        stack_top: call.stack_top(),
        bytes: |address, length| call.bytes(address, length),
    }
}
