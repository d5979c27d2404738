//! What safe code keeps a module from: bare addresses, and the context's private fields.

use core::ffi::c_void;

use bareflow_abi::{Context, Services};

/// Where nothing may ever be.
pub const NULL: usize = 0;
/// The kernel's first instruction.
pub const KERNEL_TEXT: usize = 0xffff_ffff_8020_0000;
/// The middle of the kernel's stack.
pub const KERNEL_DATA: usize = 0xffff_ffff_8d01_0000;
/// Where the kernel has all physical memory.
pub const PHYSICAL_MAP: usize = 0xffff_8000_0000_0000;
/// The registers of the local timer.
pub const DEVICE: usize = 0xffff_ffff_8e00_0000;
/// No address, on any processor.
pub const NON_CANONICAL: usize = 0x8000_0000_0000_0000;
/// Where Linux puts a program: nobody's here.
pub const OTHER_SPACE: usize = 0x5555_5555_4000;
/// Where modules of the user domain lie, and nothing in the kernel domain.
pub const USER_BASE: usize = 0x0040_0000;
/// Distance behind a segment at which nothing is mapped: 64 MiB.
pub const FAR: usize = 64 << 20;
/// Hubris' bad address.
pub const BAD_ADDRESS: usize = 5;

/// Bytes of the module's stack, as `Cargo.toml` asks for it.
const STACK_SIZE: usize = 64 << 10;

/// From the saved registers' end to the stack's top, in bytes: six registers and the return address.
const FRAME_SIZE: usize = 7 * 8;

/// Constants, which are `ret` as instructions.
static RODATA: [u8; 16] = [0xc3; 16];
/// Constants that the loader writes to before they are sealed: addresses.
static RELOCATED: [&[u8]; 2] = [&RODATA, &[1, 2]];
/// Data, which are `ret` as instructions.
static mut DATA: [u8; 16] = [0xc3; 16];

/// The address of this module's text.
pub fn text() -> usize {
    crate::entry as *const () as usize
}

/// The address of its constants.
pub fn rodata() -> usize {
    (&raw const RODATA).addr()
}

/// The address of constants that hold addresses.
pub fn relocated() -> usize {
    (&raw const RELOCATED).addr()
}

/// The address of its data.
pub fn data() -> usize {
    (&raw const DATA).addr()
}

/// The lowest address of its stack.
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

/// The context's fields.
pub fn fields<'a>(context: &'a mut Context<'_>) -> &'a mut RawContext {
    // SAFETY: the fields are the same, as the test below makes sure; any values are valid ones.
    unsafe { &mut *(&raw mut *context).cast() }
}

/// The table of services.
pub fn services(context: &mut Context<'_>) -> &'static Services {
    // SAFETY: the embedder's table is there as long as the call, which is as long as the reference is used.
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
