//! Services, called with arguments no compiled module would pass on.

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
    log(context, core::ptr::with_exposed_provenance(address), length);
    0
}

fn log_null(context: &mut Context<'_>) -> i32 {
    log(context, 0, 1)
}

/// No bytes, at no address.
fn log_null_empty(context: &mut Context<'_>) -> i32 {
    log(context, 0, 0)
}

/// The empty line, as safe code logs it.
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

/// What is a module's own text in the user domain.
fn log_user_base(context: &mut Context<'_>) -> i32 {
    log(context, USER_BASE, 4)
}

fn log_length_max(context: &mut Context<'_>) -> i32 {
    log(context, rodata(), usize::MAX)
}

/// From the last byte of all to its own text.
fn log_wraps_around(context: &mut Context<'_>) -> i32 {
    log(context, usize::MAX, text().wrapping_add(2))
}

/// More than it has data, but no more than a line may have.
fn log_off_data(context: &mut Context<'_>) -> i32 {
    log(context, data(), 4096)
}

/// From its stack's last word on.
fn log_off_stack(context: &mut Context<'_>) -> i32 {
    log(context, stack_bottom() + (64 << 10) - 8, 16)
}

/// From below its text on.
fn log_off_text_start(context: &mut Context<'_>) -> i32 {
    log(context, (text() & !0xfff) - 8, 16)
}

/// One byte more than there is input.
fn log_past_input(context: &mut Context<'_>) -> i32 {
    let &mut RawContext { input, input_length, .. } = fields(context);
    log(context, input.addr(), input_length + 1)
}

/// The context itself, which isn't the module's to pass on.
fn log_context(context: &mut Context<'_>) -> i32 {
    let address = (&raw const *context).addr();
    log(context, address, size_of::<RawContext>())
}

/// A line of its own that is longer than any may be.
fn log_too_long(context: &mut Context<'_>) -> i32 {
    let line = black_box([b'a'; 8192]);
    log(context, line.as_ptr().addr(), line.len())
}

/// Its stack below what is in use.
fn log_dead_frame(context: &mut Context<'_>) -> i32 {
    let local = black_box(0_u8);
    log(context, (&raw const local).addr() - 8192, 16)
}

/// What is no text, and would move the cursor on a terminal.
fn log_no_text(context: &mut Context<'_>) -> i32 {
    let line = black_box(b"\xff\xfe\x1b[2J\r\n[OK] forged\0");
    log(context, line.as_ptr().addr(), line.len())
}
