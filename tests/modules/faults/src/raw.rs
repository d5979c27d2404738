//! Things that safe code keeps a module from: raw addresses, and the context's private fields.

use core::ffi::c_void;

use bareflow_abi::{Context, Services};

/// The address at which nothing may ever be mapped.
pub const NULL: usize = 0;
/// The kernel's first instruction.
pub const KERNEL_TEXT: usize = 0xffff_ffff_8020_0000;
/// The middle of the kernel's stack.
pub const KERNEL_DATA: usize = 0xffff_ffff_8d01_0000;
/// The kernel's mapping of all physical memory.
pub const PHYSICAL_MAP: usize = 0xffff_8000_0000_0000;
/// The registers of the local APIC.
pub const DEVICE: usize = 0xffff_ffff_8e00_0000;
/// An address that is invalid on any processor.
pub const NON_CANONICAL: usize = 0x8000_0000_0000_0000;
/// The address at which Linux loads a program; unused here.
pub const OTHER_SPACE: usize = 0x5555_5555_4000;
/// The address of modules of the user domain; unused in the kernel domain.
pub const USER_BASE: usize = 0x0040_0000;
/// The distance from a segment at which nothing is mapped: 64 MiB.
pub const FAR: usize = 64 << 20;
/// Hubris' bad address.
pub const BAD_ADDRESS: usize = 5;

/// The size of the module's stack, in bytes, as in its `Cargo.toml`.
const STACK_SIZE: usize = 64 << 10;

/// The distance from the end of the saved registers to the stack's top, in bytes: six registers and the return address.
const FRAME_SIZE: usize = 7 * 8;

/// Constants that are `ret` when executed.
static RODATA: [u8; 16] = [0xc3; 16];
/// Constants that the loader writes before they are sealed: addresses.
static RELOCATED: [&[u8]; 2] = [&RODATA, &[1, 2]];
/// Data that is `ret` when executed.
static mut DATA: [u8; 16] = [0xc3; 16];

/// Returns the address of the module's text.
pub fn text() -> usize {
    crate::entry as *const () as usize
}

/// Returns the address of the module's constants.
pub fn rodata() -> usize {
    (&raw const RODATA).addr()
}

/// Returns the address of constants that contain addresses.
pub fn relocated() -> usize {
    (&raw const RELOCATED).addr()
}

/// Returns the address of the module's data.
pub fn data() -> usize {
    (&raw const DATA).addr()
}

/// Returns the lowest address of the module's stack.
pub fn stack_bottom() -> usize {
    // SAFETY: calls of a module that isn't reentrant never overlap; the entry wrote it.
    let frame = unsafe { (&raw const crate::FRAME).read_volatile() };
    frame + FRAME_SIZE - STACK_SIZE
}

/// The fields of a [`Context`].
#[repr(C)]
pub struct RawContext {
    pub size: u32,
    pub reserved: u32,
    pub services: *const Services,
    pub embedder: *mut c_void,
    pub input: *const u8,
    pub input_length: usize,
    pub output: *mut u8,
    pub output_capacity: usize,
    pub output_length: usize,
    pub heap: *mut u8,
    pub heap_size: usize,
}

const _: () = assert!(size_of::<RawContext>() == size_of::<Context<'_>>());

/// Returns the context's fields.
pub fn fields<'a>(context: &'a mut Context<'_>) -> &'a mut RawContext {
    // SAFETY: the fields are the same, as the test below checks; any values are valid.
    unsafe { &mut *(&raw mut *context).cast() }
}

/// Returns the table of services.
pub fn services(context: &mut Context<'_>) -> &'static Services {
    // SAFETY: the embedder's table exists as long as the call, and the reference is not used after it.
    unsafe { &*fields(context).services }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::RawContext;
    use core::mem::offset_of;
    use std::vec::Vec;

    #[test]
    fn has_the_fields_of_a_context() {
        macro_rules! list {
            ($($field:ident),+) => { [$((stringify!($field), offset_of!(RawContext, $field))),+] };
        }
        let expected: Vec<_> = bareflow_abi::fingerprint::fields()
            .filter(|field| field.0 == "Context")
            .map(|&(_, name, offset, _)| (name, offset))
            .collect();
        let found = list!(
            size,
            reserved,
            services,
            embedder,
            input,
            input_length,
            output,
            output_capacity,
            output_length,
            heap,
            heap_size
        );
        assert_eq!(found[..], expected[..]);
    }
}
