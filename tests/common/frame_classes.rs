//! The expected outcomes of all frames that no compiled module would pass, from ring 0 and from ring 3: a fault of the
//! module, or what the call tells it.
//!
//! The module `tests/modules/bad-frames` passes them to the module `kinds`.

use bareflow_abi::CallError;

use super::fault_classes::{Class, Expect};

const ARGUMENT: Expect = Expect::Fault("bad_service_argument");
const TIME: Expect = Expect::Fault("time_budget");
const LEGAL: Expect = Expect::Result(0);
const BAD_ARGUMENT: Expect = told(CallError::BadArgument);
const NO_METHOD: Expect = told(CallError::NoSuchMethod);
const NOT_BOUND: Expect = told(CallError::NotBound);

/// The status of a call that failed with this error.
const fn told(error: CallError) -> Expect {
    Expect::Result(0x1_0000 + error as i32)
}

macro_rules! classes {
    ($($name:ident $what:literal: $kernel:expr $(, $user:expr)?;)+) => {
        &[$(Class {
            name: stringify!($name),
            what: $what,
            source: "BareFlow",
            kernel: $kernel,
            user: classes!(@last $kernel $(, $user)?),
        }),+]
    };
    (@last $of:expr) => { $of };
    (@last $_:expr, $of:expr) => { $of };
}

/// All classes; the outcome from ring 3 is that from ring 0, unless there is a second one.
pub const FRAMES: &[Class] = classes! {
    // The words.
    frame_null "words at address 0": ARGUMENT;
    frame_null_without_words "no words, at address 0": LEGAL;
    frame_odd "words at an odd address": LEGAL;
    frame_in_output "words in its output": LEGAL;
    frame_in_input "words in its input, where it may not write": ARGUMENT;
    frame_in_text "words in its text": ARGUMENT;
    frame_in_constants "words in its constants": ARGUMENT;
    frame_in_kernel "words on the kernel's stack": ARGUMENT;
    frame_in_kernel_text "words in the kernel's text": ARGUMENT;
    frame_in_physical_memory "words in the kernel's view of all memory": ARGUMENT;
    frame_in_other_module "words in another module": ARGUMENT;
    frame_non_canonical "words at a non-canonical address": ARGUMENT;
    frame_half_outside "words half behind its output": ARGUMENT;
    frame_outside "words behind its output": ARGUMENT;
    frame_wraps "words across the end of all addresses": ARGUMENT;
    embedder_null "a null pointer for the embedder's": LEGAL;

    // What they lead to.
    piece_null "a text at address 0": ARGUMENT;
    piece_of_nothing "an empty text in the kernel": LEGAL;
    piece_in_kernel "a text on the kernel's stack": ARGUMENT;
    piece_in_kernel_text "a text in the kernel's text": ARGUMENT;
    piece_in_physical_memory "a text in the kernel's view of all memory": ARGUMENT;
    piece_in_other_module "a text in another module": ARGUMENT;
    piece_non_canonical "a text at a non-canonical address": ARGUMENT;
    piece_half_outside "a text half behind its output": ARGUMENT;
    piece_wraps "a text across the end of all addresses": ARGUMENT;
    piece_length_wraps "a text of the largest length": ARGUMENT;
    piece_too_long "a text of a tebibyte": ARGUMENT;
    piece_second_wrong "a good slice, and one on the kernel's stack": ARGUMENT;
    written_in_input "a slice to write in its input": ARGUMENT;
    written_in_text "a slice to write in its text": ARGUMENT;
    written_in_constants "a slice to write in its constants": ARGUMENT;
    written_in_kernel "a slice to write on the kernel's stack": ARGUMENT;
    written_in_other_module "a slice to write in another module": ARGUMENT;
    written_half_outside "a slice to write half behind its output": ARGUMENT;
    room_in_kernel "room on the kernel's stack": ARGUMENT;
    room_wraps "room across the end of all addresses": ARGUMENT;
    room_too_long "room of the largest length": ARGUMENT;
    read_twice "two slices to read that overlap": LEGAL;
    written_twice "two rooms that overlap": ARGUMENT;
    written_and_read "room that overlaps a text": ARGUMENT;
    written_side_by_side "room right behind a text": LEGAL;
    written_over_frame "a slice to write over its own words": LEGAL;

    // Values of no type.
    text_not_utf8 "a text that is no UTF-8": BAD_ARGUMENT;
    text_surrogate "a text of a surrogate": BAD_ARGUMENT;
    text_cut "a text that ends in the middle of a letter": BAD_ARGUMENT;
    bool_two "2 for a `bool`": BAD_ARGUMENT;
    char_surrogate "a surrogate for a `char`": BAD_ARGUMENT;
    char_too_large "a number above all letters for a `char`": BAD_ARGUMENT;
    enum_of_no_variant "a number that no variant has": BAD_ARGUMENT;
    scalar_too_large "256 for a `u8`": BAD_ARGUMENT;
    elements_in_part "5 bytes of `u32`": BAD_ARGUMENT;
    elements_misaligned "a `u32` at an odd address; from ring 3 a copy crosses": BAD_ARGUMENT, LEGAL;
    one_is_none "nothing for a `&mut T`": BAD_ARGUMENT;
    one_is_two "two for a `&mut T`": BAD_ARGUMENT;
    array_too_short "4 bytes of a `[u16; 3]`": BAD_ARGUMENT;

    // Targets.
    method_unknown "the number behind the last method's": NO_METHOD;
    method_largest "the largest number of a method": NO_METHOD;
    import_unknown "the number behind the last import's": NOT_BOUND;
    import_largest "the largest number of an import": NOT_BOUND;
    target_largest "both": NOT_BOUND;
    endless "calls for ever": TIME;
};
