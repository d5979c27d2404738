//! Overwritten fields of the context.

use core::ptr::{null, with_exposed_provenance, with_exposed_provenance_mut};

use bareflow_abi::{Context, Services};

use crate::raw::{KERNEL_TEXT, NON_CANONICAL, RawContext, data, fields};

classes!(
    output_in_kernel,
    output_non_canonical,
    output_elsewhere,
    output_length_max,
    output_unclaimed,
    input_in_kernel,
    services_null,
    services_non_canonical,
    services_own,
    wiped_context,
);

/// Writes output to `address`.
fn write_to(context: &mut Context<'_>, address: usize) -> i32 {
    let fields = fields(context);
    (fields.output, fields.output_capacity, fields.output_length) = (with_exposed_provenance_mut(address), 16, 0);
    context.write(&[0xc3; 8]);
    0
}

fn output_in_kernel(context: &mut Context<'_>) -> i32 {
    write_to(context, KERNEL_TEXT)
}

fn output_non_canonical(context: &mut Context<'_>) -> i32 {
    write_to(context, NON_CANONICAL)
}

/// Writes output to the module's own data.
fn output_elsewhere(context: &mut Context<'_>) -> i32 {
    write_to(context, data())
}

/// Claims to have written more than there is memory.
fn output_length_max(context: &mut Context<'_>) -> i32 {
    fields(context).output_length = usize::MAX;
    0
}

/// Fills all of the output, and claims that nothing was written.
fn output_unclaimed(context: &mut Context<'_>) -> i32 {
    let room = fields(context).output_capacity;
    for _ in 0..room {
        context.write(&[0xc3]);
    }
    fields(context).output_length = 0;
    0
}

fn input_in_kernel(context: &mut Context<'_>) -> i32 {
    let fields = fields(context);
    (fields.input, fields.input_length) = (with_exposed_provenance(KERNEL_TEXT), 64);
    core::hint::black_box(context.input().iter().fold(0, |sum, &byte| sum ^ byte));
    0
}

fn services_null(context: &mut Context<'_>) -> i32 {
    fields(context).services = null();
    context.log("never seen");
    0
}

fn services_non_canonical(context: &mut Context<'_>) -> i32 {
    fields(context).services = with_exposed_provenance(NON_CANONICAL);
    context.log("never seen");
    0
}

static OWN: Services = Services::new(own_log, own_clock);

extern "C" fn own_log(_: *mut Context<'_>, _: *const u8, _: usize) {}

extern "C" fn own_clock(_: *mut Context<'_>) -> u64 {
    0
}

/// Uses a service table of its own, which only the module itself would call.
fn services_own(context: &mut Context<'_>) -> i32 {
    fields(context).services = core::hint::black_box(&raw const OWN);
    context.log("never seen");
    context.clock() as i32
}

/// Overwrites the whole context with ones.
fn wiped_context(context: &mut Context<'_>) -> i32 {
    // SAFETY: the bytes are the context's; only its owner uses it afterwards.
    unsafe { (&raw mut *fields(context)).cast::<u8>().write_bytes(0xff, size_of::<RawContext>()) };
    0
}
