//! The service that calls other modules, with arguments that no compiled module would pass.

use core::ptr::{null_mut, with_exposed_provenance, with_exposed_provenance_mut};

use bareflow_abi::{CallArguments, CallRefusal, Context};

use crate::raw::{KERNEL_DATA, KERNEL_TEXT, data, fields, rodata, services, stack_bottom, text};

classes!(
    call_undeclared,
    call_null,
    call_arguments_in_kernel,
    call_arguments_in_rodata,
    call_arguments_off_stack,
    call_name_in_kernel,
    call_name_length_max,
    call_input_in_kernel,
    call_output_in_kernel,
    call_output_in_text,
    call_output_in_rodata,
    call_output_in_input,
    call_output_on_arguments,
    call_output_off_data,
    call_without_room,
    call_loop,
    invoke_undeclared,
);

/// Calls a module, with the arguments changed by `change`.
fn call(context: &mut Context<'_>, change: impl FnOnce(&mut CallArguments<'_>)) -> i32 {
    let call = services(context).call;
    let mut output = [0; 8];
    let mut arguments = CallArguments::new("sum", b"input", &mut output);
    change(&mut arguments);
    // SAFETY: none: this is the fault.
    verdict(unsafe { call(context, &raw mut arguments) })
}

/// Calls a module, with the arguments at `address`.
fn call_at(context: &mut Context<'_>, address: usize) -> i32 {
    let call = services(context).call;
    // SAFETY: none: this is the fault.
    verdict(unsafe { call(context, with_exposed_provenance_mut(address)) })
}

/// Returns 0 if the status is the expected one: no dependency is declared.
fn verdict(status: u32) -> i32 {
    if status == CallRefusal::NotDeclared as u32 { 0 } else { -1 }
}

fn call_undeclared(context: &mut Context<'_>) -> i32 {
    match context.call("sum", b"", &mut []) {
        Err(CallRefusal::NotDeclared) => 0,
        _ => -1,
    }
}

fn call_null(context: &mut Context<'_>) -> i32 {
    // SAFETY: none: this is the fault.
    verdict(unsafe { (services(context).call)(context, null_mut()) })
}

fn call_arguments_in_kernel(context: &mut Context<'_>) -> i32 {
    call_at(context, KERNEL_DATA)
}

/// Arguments where the kernel could write, but the module may not.
fn call_arguments_in_rodata(context: &mut Context<'_>) -> i32 {
    call_at(context, rodata())
}

/// Arguments that start at the last word of the stack.
fn call_arguments_off_stack(context: &mut Context<'_>) -> i32 {
    let top = stack_bottom() + (64 << 10);
    call_at(context, top - 8)
}

fn call_name_in_kernel(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| arguments.name = with_exposed_provenance(KERNEL_TEXT))
}

fn call_name_length_max(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| arguments.name_length = usize::MAX)
}

fn call_input_in_kernel(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| arguments.input = with_exposed_provenance(KERNEL_TEXT))
}

fn call_output_in_kernel(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| arguments.output = with_exposed_provenance_mut(KERNEL_DATA))
}

fn call_output_in_text(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| arguments.output = with_exposed_provenance_mut(text()))
}

fn call_output_in_rodata(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| arguments.output = with_exposed_provenance_mut(rodata()))
}

/// Output to the module's input, which it may only read.
fn call_output_in_input(context: &mut Context<'_>) -> i32 {
    let input = fields(context).input.addr();
    call(context, |arguments| arguments.output = with_exposed_provenance_mut(input))
}

/// Output to the arguments themselves.
fn call_output_on_arguments(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| arguments.output = (&raw mut *arguments).cast())
}

/// Output with more room than the module has data.
fn call_output_off_data(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| {
        (arguments.output, arguments.output_capacity) = (with_exposed_provenance_mut(data()), 1 << 20);
    })
}

/// No room for output, at no address.
fn call_without_room(context: &mut Context<'_>) -> i32 {
    call(context, |arguments| (arguments.output, arguments.output_capacity) = (null_mut(), 0))
}

/// Calls a method, without any import.
fn invoke_undeclared(context: &mut Context<'_>) -> i32 {
    let (invoke, embedder) = (services(context).invoke, fields(context).embedder);
    // SAFETY: none: this is the fault.
    unsafe { invoke(embedder, 0, null_mut()) }.status as i32
}

/// Does nothing but call.
fn call_loop(context: &mut Context<'_>) -> i32 {
    while context.call("sum", b"", &mut []) == Err(CallRefusal::NotDeclared) {}
    -1
}
