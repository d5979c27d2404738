//! Calls a method of its import by the frame that its input names, which no compiled module would pass. Returns the
//! status; the expected ones are in `tests/common/frame_classes.rs`.

#![no_std]

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::{null_mut, with_exposed_provenance_mut};

use bareflow_abi::{Context, Services};
use kinds_interface::{Kinds, Point};

bareflow_abi::module!(misuse, imports = { kinds: Kinds });

/// The result for a name that no class has.
const UNKNOWN: i32 = -2;

/// The kernel's first instruction.
const KERNEL_TEXT: usize = 0xffff_ffff_8020_0000;
/// The middle of the kernel's stack.
const KERNEL_STACK: usize = 0xffff_ffff_8d01_0000;
/// The kernel's mapping of all physical memory.
const PHYSICAL_MAP: usize = 0xffff_8000_0000_0000;
/// The text of the first module that the kernel loaded, as the kernel sees it.
const OTHER_MODULE: usize = 0xffff_ffff_9000_0000;
/// An address that is invalid on any processor.
const NON_CANONICAL: usize = 0x8000_0000_0000_0000;

// The numbers of the methods.
const UNSIGNED: u32 = 0;
const NOT: u32 = 3;
const UPPER: u32 = 4;
const NEXT_COLOUR: u32 = 5;
const LETTERS: u32 = 6;
const SUM: u32 = 7;
const WEIGH: u32 = 8;
const COUNT: u32 = 9;
const SWAP: u32 = 10;
const APPEND: u32 = 11;
const FAIL: u32 = 13;
const CALLS: u32 = 14;
const END: u32 = 16;

/// The size of a point, in bytes.
const POINT: usize = size_of::<Point>();

static RODATA: [u64; 4] = [0; 4];
static mut DATA: [u64; 32] = [0; 32];

/// The first fields of a [`Context`].
#[repr(C)]
struct Call {
    size: u32,
    reserved: u32,
    services: &'static Services,
    embedder: *mut c_void,
    input: usize,
    input_length: usize,
    output: usize,
    output_capacity: usize,
}

const _: () = assert!(offset_of!(Call, output_capacity) == 48 && size_of::<Call>() < size_of::<Context<'_>>());

impl Call {
    /// Calls `target` with the words at an address, and returns the status.
    fn at(&self, target: u64, words: usize) -> i32 {
        // SAFETY: none: this is what the embedder has to withstand.
        unsafe { (self.services.invoke)(self.embedder, target, with_exposed_provenance_mut(words)) }.status as i32
    }

    /// Calls a method with these words.
    fn with<const N: usize>(&self, method: u32, mut words: [usize; N]) -> i32 {
        self.at(method.into(), address(&mut words))
    }

    /// Calls a method with words that are written to an address before, which is the module's.
    fn from(&self, method: u32, at: usize, words: &[usize]) -> i32 {
        for (place, word) in words.iter().enumerate() {
            // SAFETY: the callers pass the module's own memory, with room for all words.
            unsafe { with_exposed_provenance_mut::<usize>(at).add(place).write_unaligned(*word) };
        }
        self.at(method.into(), at)
    }

    /// Returns the address behind the output.
    fn output_end(&self) -> usize {
        self.output + self.output_capacity
    }
}

fn address<T>(of: &mut T) -> usize {
    core::ptr::from_mut(of).expose_provenance()
}

fn rodata() -> usize {
    (&raw const RODATA).expose_provenance()
}

fn data() -> usize {
    (&raw mut DATA).expose_provenance()
}

fn text() -> usize {
    misuse as *const () as usize
}

/// Defines the classes: names, and what each returns for the call.
macro_rules! classes {
    ($call:ident: $($name:ident $run:expr;)+) => {
        /// Runs the class with this name.
        fn run($call: &mut Call, name: &[u8]) -> i32 {
            $(if name == stringify!($name).as_bytes() { return $run; })+
            UNKNOWN
        }
    };
}

classes! { call:
    frame_null call.at(LETTERS.into(), 0);
    frame_null_without_words call.at(CALLS.into(), 0);
    frame_odd call.from(LETTERS, data() + 129, &[data(), 3]);
    frame_in_output call.from(FAIL, call.output, &[0]);
    frame_in_input call.at(FAIL.into(), call.input);
    frame_in_text call.at(LETTERS.into(), text());
    frame_in_constants call.at(LETTERS.into(), rodata());
    frame_in_kernel call.at(LETTERS.into(), KERNEL_STACK);
    frame_in_kernel_text call.at(LETTERS.into(), KERNEL_TEXT);
    frame_in_physical_memory call.at(LETTERS.into(), PHYSICAL_MAP);
    frame_in_other_module call.at(LETTERS.into(), OTHER_MODULE);
    frame_non_canonical call.at(LETTERS.into(), NON_CANONICAL);
    frame_half_outside call.at(LETTERS.into(), call.output_end() - 8);
    frame_outside call.at(LETTERS.into(), call.output_end());
    frame_wraps call.at(LETTERS.into(), usize::MAX - 7);
    embedder_null { call.embedder = null_mut(); call.with(LETTERS, [data(), 3]) };

    piece_null call.with(LETTERS, [0, 1]);
    piece_of_nothing call.with(LETTERS, [KERNEL_TEXT, 0]);
    piece_in_kernel call.with(LETTERS, [KERNEL_STACK, 8]);
    piece_in_kernel_text call.with(LETTERS, [KERNEL_TEXT, 8]);
    piece_in_physical_memory call.with(LETTERS, [PHYSICAL_MAP, 8]);
    piece_in_other_module call.with(LETTERS, [OTHER_MODULE, 8]);
    piece_non_canonical call.with(LETTERS, [NON_CANONICAL, 8]);
    piece_half_outside call.with(LETTERS, [call.output_end() - 4, 8]);
    piece_wraps call.with(LETTERS, [usize::MAX, 2]);
    piece_length_wraps call.with(LETTERS, [data(), usize::MAX]);
    piece_too_long call.with(LETTERS, [data(), 1 << 40]);
    piece_second_wrong call.with(SUM, [data(), 8, KERNEL_STACK, POINT]);
    written_in_input call.with(COUNT, [0, call.input, 4]);
    written_in_text call.with(COUNT, [0, text(), 4]);
    written_in_constants call.with(COUNT, [0, rodata(), 4]);
    written_in_kernel call.with(COUNT, [0, KERNEL_STACK, 4]);
    written_in_other_module call.with(COUNT, [0, OTHER_MODULE, 4]);
    written_half_outside call.with(COUNT, [0, call.output_end() - 4, 8]);
    room_in_kernel call.with(APPEND, [data(), 1, KERNEL_STACK, 8, data(), POINT]);
    room_wraps call.with(APPEND, [data(), 1, usize::MAX - 7, 16, data(), POINT]);
    room_too_long call.with(APPEND, [data(), 1, data() + 16, usize::MAX, data(), POINT]);
    read_twice call.with(SUM, [data(), 32, data(), POINT]);
    written_twice call.with(APPEND, [data(), 1, data() + 16, 32, data() + 32, POINT]);
    written_and_read call.with(APPEND, [data(), 8, data() + 7, 8, data() + 16, POINT]);
    written_side_by_side call.with(APPEND, [data(), 8, data() + 8, 8, data() + 16, POINT]);
    written_over_frame call.from(COUNT, data(), &[0, data(), 16]);

    text_not_utf8 call.with(LETTERS, [address(&mut [0xff_u8, 0xfe]), 2]);
    text_surrogate call.with(LETTERS, [address(&mut [0xed_u8, 0xa0, 0x80]), 3]);
    text_cut call.with(LETTERS, [address(&mut [b'a', 0xc3]), 2]);
    bool_two call.with(NOT, [2]);
    char_surrogate call.with(UPPER, [0xd800]);
    char_too_large call.with(UPPER, [0x11_0000]);
    enum_of_no_variant call.with(NEXT_COLOUR, [0]);
    scalar_too_large call.with(UNSIGNED, [256, 0, 0, 0]);
    elements_in_part call.with(COUNT, [0, data(), 5]);
    elements_misaligned call.with(COUNT, [0, data() + 1, 4]);
    one_is_none call.with(SWAP, [data(), 0]);
    one_is_two call.with(SWAP, [data(), 2 * POINT]);
    array_too_short call.with(WEIGH, [data(), POINT, data() + 64, 4]);

    method_unknown call.at(END.into(), data());
    method_largest call.at(u32::MAX.into(), data());
    import_unknown call.at(1 << 32, data());
    import_largest call.at(u64::MAX << 32, data());
    target_largest call.at(u64::MAX, data());
    endless { while call.with(LETTERS, [data(), 3]) == 0 {} UNKNOWN };
}

fn misuse(context: &mut Context<'_>, _: Imports<'_>) -> i32 {
    let name = context.input();
    // SAFETY: these are the first fields, as the assertion checks; whatever a class writes there is valid.
    run(unsafe { &mut *core::ptr::from_mut(context).cast() }, name)
}
