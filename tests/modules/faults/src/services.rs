//! Services, called with arguments that no compiled module would pass.

use core::hint::black_box;

use bareflow_abi::Context;

use crate::raw::{
    KERNEL_DATA, KERNEL_TEXT, NON_CANONICAL, OTHER_SPACE, RawContext, USER_BASE, data, fields, rodata, services,
    stack_bottom, text,
};

classes!(
    log_null,
    log_null_empty,
    log_empty,
    log_kernel_text,
    log_kernel_data,
    log_non_canonical,
    log_other_space,
    log_user_base,
    log_length_max,
    log_wraps_around,
    log_off_data,
    log_off_stack,
    log_off_text_start,
    log_past_input,
    log_context,
    log_too_long,
    log_dead_frame,
    log_no_text,
);

/// Logs `length` bytes at `address`.
fn log(context: &mut Context<'_>, address: usize, length: usize) -> i32 {
    let log = services(context).log;
    // SAFETY: none: this is the fault.
    unsafe { log(context, core::ptr::with_exposed_provenance(address), length) };
    0
}

fn log_null(context: &mut Context<'_>) -> i32 {
    log(context, 0, 1)
}

/// Logs no bytes, at no address.
fn log_null_empty(context: &mut Context<'_>) -> i32 {
    log(context, 0, 0)
}

/// Logs the empty line, as safe code does.
fn log_empty(context: &mut Context<'_>) -> i32 {
    context.log("");
    0
}

fn log_kernel_text(context: &mut Context<'_>) -> i32 {
    log(context, KERNEL_TEXT, 64)
}

fn log_kernel_data(context: &mut Context<'_>) -> i32 {
    log(context, KERNEL_DATA, 64)
}

fn log_non_canonical(context: &mut Context<'_>) -> i32 {
    log(context, NON_CANONICAL, 64)
}

fn log_other_space(context: &mut Context<'_>) -> i32 {
    log(context, OTHER_SPACE, 64)
}

/// Logs from an address that is a module's own text in the user domain.
fn log_user_base(context: &mut Context<'_>) -> i32 {
    log(context, USER_BASE, 4)
}

fn log_length_max(context: &mut Context<'_>) -> i32 {
    log(context, rodata(), usize::MAX)
}

/// Logs from the last address to the module's own text.
fn log_wraps_around(context: &mut Context<'_>) -> i32 {
    log(context, usize::MAX, text().wrapping_add(2))
}

/// Logs more than the module has data, but not more than a line may have.
fn log_off_data(context: &mut Context<'_>) -> i32 {
    log(context, data(), 4096)
}

/// Logs from the stack's last word on.
fn log_off_stack(context: &mut Context<'_>) -> i32 {
    log(context, stack_bottom() + (64 << 10) - 8, 16)
}

/// Logs from an address below the module's text.
fn log_off_text_start(context: &mut Context<'_>) -> i32 {
    log(context, (text() & !0xfff) - 8, 16)
}

/// Logs one byte more than there is input.
fn log_past_input(context: &mut Context<'_>) -> i32 {
    let &mut RawContext { input, input_length, .. } = fields(context);
    log(context, input.addr(), input_length + 1)
}

/// Logs the context itself, which the module may not pass on.
fn log_context(context: &mut Context<'_>) -> i32 {
    let address = (&raw const *context).addr();
    log(context, address, size_of::<RawContext>())
}

/// Logs a line of its own that is longer than allowed.
fn log_too_long(context: &mut Context<'_>) -> i32 {
    let line = black_box([b'a'; 8192]);
    log(context, line.as_ptr().addr(), line.len())
}

/// Logs a part of the stack below what is in use.
fn log_dead_frame(context: &mut Context<'_>) -> i32 {
    let local = black_box(0_u8);
    log(context, (&raw const local).addr() - 8192, 16)
}

/// Logs bytes that are not text, and would move the cursor of a terminal.
fn log_no_text(context: &mut Context<'_>) -> i32 {
    let line = black_box(b"\xff\xfe\x1b[2J\r\n[OK] forged\0");
    log(context, line.as_ptr().addr(), line.len())
}
