//! Execution of memory that is not the module's code.

use crate::access::{execute, jump};
use crate::raw::{
    FAR, KERNEL_DATA, KERNEL_TEXT, NON_CANONICAL, NULL, OTHER_SPACE, PHYSICAL_MAP, RawContext, data, fields, rodata,
    text,
};

accesses! { in context:
    execute_null: execute(NULL);
    execute_data: execute(data());
    execute_rodata: execute(rodata());
    execute_stack: execute_copy(&mut [0xc3; 16]);
    execute_heap: execute_in_heap(fields(context));
    execute_input: execute(fields(context).input.addr());
    execute_output: execute(fields(context).output.addr());
    execute_context: execute((&raw const *context).addr());
    execute_far_from_text: execute(text() + FAR);
    execute_kernel_text: execute(KERNEL_TEXT);
    execute_kernel_data: execute(KERNEL_DATA);
    execute_physical_map: execute(PHYSICAL_MAP);
    execute_other_space: execute(OTHER_SPACE);
    jump_non_canonical: jump(NON_CANONICAL);
    /// Calls a function by a pointer of another type, which is not prevented.
    call_wrong_type: call_by_wrong_type(text_of_another_type);
}

/// Executes a copy of code.
fn execute_copy(copy: &mut [u8; 16]) -> i32 {
    execute((&raw mut *copy).addr())
}

/// Writes a function to the heap, and calls it.
fn execute_in_heap(fields: &mut RawContext) -> i32 {
    // SAFETY: the heap is this module's only; if there is none, the write faults.
    unsafe { fields.heap.write_volatile(0xc3) };
    execute(fields.heap.addr())
}

fn call_by_wrong_type(function: extern "C" fn(u64) -> u64) -> i32 {
    // SAFETY: this is not a valid call; both types pass and return values in the same registers.
    let function: extern "C" fn(*const u8) = unsafe { core::mem::transmute(core::hint::black_box(function)) };
    function(core::ptr::null());
    0
}

extern "C" fn text_of_another_type(number: u64) -> u64 {
    number + 1
}
