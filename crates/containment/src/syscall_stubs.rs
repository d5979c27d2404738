//! The stubs by which modules in ring 3 call services, and the table that leads to them.

use core::mem::offset_of;

use bareflow_abi::Services;
use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_GROW, SERVICE_LOG};

use crate::layout::user::{STUB_SIZE, STUBS, SYSCALL_SIZE};

/// The numbers of the stubs in their page.
const RETURN_STUB: u64 = 0;
const LOG_STUB: u64 = 1;
const CLOCK_STUB: u64 = 2;
const CALL_STUB: u64 = 3;
const INVOKE_STUB: u64 = 4;
const GROW_STUB: u64 = 5;

/// The address behind the `syscall` of `invoke`, which has an entry of its own.
pub const INVOKE_RETURNS: u64 = STUBS + INVOKE_STUB * STUB_SIZE + SYSCALL_SIZE;

/// The number of stubs.
const STUB_COUNT: u64 = 6;

/// `syscall; ret`
const STUB: [u8; 3] = [0x0f, 0x05, 0xc3];

/// Returns the service whose stub's `syscall` ends at `rip`; `invoke` has an entry of its own.
pub fn service_at(rip: u64) -> Option<u32> {
    let stubs =
        [(LOG_STUB, SERVICE_LOG), (CLOCK_STUB, SERVICE_CLOCK), (CALL_STUB, SERVICE_CALL), (GROW_STUB, SERVICE_GROW)];
    let found = stubs.into_iter().find(|(number, _)| rip == STUBS + number * STUB_SIZE + SYSCALL_SIZE);
    found.map(|(_, service)| service)
}

/// Returns the page of stubs: the one that ends a call, and those of `log`, `clock`, `call`, `invoke` and `grow`.
pub fn page() -> [u8; (STUB_COUNT * STUB_SIZE) as usize] {
    let mut page = [0xcc; (STUB_COUNT * STUB_SIZE) as usize];
    for number in [RETURN_STUB, LOG_STUB, CLOCK_STUB, CALL_STUB, INVOKE_STUB, GROW_STUB] {
        let start = (number * STUB_SIZE) as usize;
        if let Some(target) = page.get_mut(start..start + STUB.len()) {
            target.copy_from_slice(&STUB);
        }
    }
    page
}

/// Returns the table of services as modules in ring 3 see it.
pub fn table() -> [u8; size_of::<Services>()] {
    let mut table = [0; size_of::<Services>()];
    let mut put = |offset: usize, bytes: &[u8]| {
        if let Some(target) = table.get_mut(offset..offset + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    };
    put(offset_of!(Services, size), &(size_of::<Services>() as u32).to_le_bytes());
    put(offset_of!(Services, log), &(STUBS + LOG_STUB * STUB_SIZE).to_le_bytes());
    put(offset_of!(Services, clock), &(STUBS + CLOCK_STUB * STUB_SIZE).to_le_bytes());
    put(offset_of!(Services, call), &(STUBS + CALL_STUB * STUB_SIZE).to_le_bytes());
    put(offset_of!(Services, invoke), &(STUBS + INVOKE_STUB * STUB_SIZE).to_le_bytes());
    put(offset_of!(Services, grow), &(STUBS + GROW_STUB * STUB_SIZE).to_le_bytes());
    table
}
