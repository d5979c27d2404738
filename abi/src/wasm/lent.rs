//! The frame of a method's call: copies of the arguments' memory, and their way back.

use core::cell::UnsafeCell;
use core::slice::from_raw_parts_mut;

use super::{imports, scratch};
use crate::interface::{ArgumentKind, Arguments, CallError, Failure, Shape};

/// The frame of the call, if it is one of a method.
///
/// The compiler drops all that deals with frames from a module without methods, since nobody writes to this there.
static CURRENT: Current = Current(UnsafeCell::new(Frame::None));

struct Current(UnsafeCell<Frame>);

// SAFETY: an instance has one thread, and its calls do not overlap.
unsafe impl Sync for Current {}

#[derive(Clone, Copy)]
enum Frame {
    None,
    Lent(Lent),
    NoMemory,
}

/// Returns whether the call is one of a method, whose arguments were taken.
pub(super) fn is_taken() -> bool {
    !matches!(current(), Frame::None)
}

/// Takes the arguments of a method: copies what they lead to.
///
/// # Safety
/// The call is one of the method with this shape and number, and they are taken once.
pub(super) unsafe fn take<'call>(shape: Shape, method: u32) -> Arguments<'call> {
    // SAFETY: as the caller promises.
    let (frame, arguments) = match unsafe { Lent::copy(shape) } {
        // SAFETY: as above.
        Some(lent) => (Frame::Lent(lent), unsafe { lent.arguments(method) }),
        // SAFETY: there is no method with this number, so no argument is looked at.
        None => (Frame::NoMemory, unsafe { Arguments::new(u32::MAX, &[], &mut []) }),
    };
    set_current(frame);
    arguments
}

/// Ends the call whose entry returned `result`: writes back what a method wrote. Returns the result.
pub(super) fn end(result: i32) -> i32 {
    match current() {
        Frame::None => return result,
        Frame::Lent(lent) => lent.give_back(),
        Frame::NoMemory => {}
    }
    let is_given_back = matches!(current(), Frame::Lent(_));
    set_current(Frame::None);
    // The error is one that the module met itself.
    if is_given_back { result } else { CallError::NoMemory.number() as i32 }
}

fn current() -> Frame {
    // SAFETY: nobody writes meanwhile, since there is one thread.
    unsafe { *CURRENT.0.get() }
}

fn set_current(frame: Frame) {
    // SAFETY: as above.
    unsafe { *CURRENT.0.get() = frame }
}

/// A frame in linear memory.
#[derive(Clone, Copy)]
struct Lent {
    shape: Shape,
    /// The words, with addresses in linear memory.
    words: *mut u64,
    /// The reply's header.
    header: *mut u64,
}

impl Lent {
    /// Copies the frame of a method with this shape. `None` if there is no memory for it.
    ///
    /// # Safety
    /// The call is one of such a method.
    unsafe fn copy(shape: Shape) -> Option<Lent> {
        let lent = Lent { shape, words: words(shape.words())?, header: words(shape.reply_words())? };
        // SAFETY: as many bytes were just taken.
        unsafe { imports::input_read(0, lent.words.cast(), shape.words() * size_of::<u64>()) };
        for (number, kind, [address, length]) in lent.pieces() {
            let length = usize::try_from(*length).ok()?;
            let copy = scratch::take(length)?.as_ptr();
            if kind != ArgumentKind::Out {
                // SAFETY: as many bytes were just taken.
                unsafe { imports::argument_read(number, 0, copy, length) };
            }
            *address = copy.expose_provenance() as u64;
        }
        Some(lent)
    }

    /// Returns the arguments for the provider.
    ///
    /// # Safety
    /// The call is one of the method with this number, and they are asked for once.
    unsafe fn arguments<'call>(&self, method: u32) -> Arguments<'call> {
        let input = (self.words.cast_const().cast(), self.shape.words() * size_of::<u64>());
        let output = (self.header.cast(), self.shape.reply_words() * size_of::<u64>());
        // SAFETY: the words lead to copies that are this call's own, each taken for itself; addresses are absolute.
        unsafe { Arguments::with_bases(method, input, output, [0; 2]) }
    }

    /// Writes back what the provider wrote, once it has returned.
    fn give_back(&self) {
        let mut appended = 0;
        for (number, kind, [address, length]) in self.pieces() {
            let from = core::ptr::with_exposed_provenance(*address as usize);
            let length = match kind {
                ArgumentKind::SliceMut => *length,
                ArgumentKind::Out => {
                    appended += 1;
                    // SAFETY: the header has a word for each such argument, behind the value.
                    unsafe { self.header.add(appended).read() }.min(*length)
                }
                _ => continue,
            };
            // SAFETY: the copy has at least as many bytes.
            unsafe { imports::argument_write(number, 0, from, length as usize) };
        }
        // SAFETY: the header has as many words.
        unsafe { imports::output_write(self.header.cast(), self.shape.reply_words() * size_of::<u64>()) };
    }

    /// Iterates over the arguments that lead to memory: number, kind, and address and length.
    fn pieces(&self) -> impl Iterator<Item = (usize, ArgumentKind, &mut [u64; 2])> {
        // SAFETY: `copy` took as many words, which nothing else refers to while they are looked at.
        let mut rest = unsafe { from_raw_parts_mut(self.words, self.shape.words()) };
        self.shape.kinds().enumerate().filter_map(move |(number, kind)| {
            let (words, behind) = core::mem::take(&mut rest).split_at_mut_checked(kind.words())?;
            rest = behind;
            Some((number, kind, words.try_into().ok()?))
        })
    }
}

/// Takes memory for so many words, all 0.
fn words(count: usize) -> Option<*mut u64> {
    let start = scratch::take(count * size_of::<u64>())?.as_ptr().cast::<u64>();
    // SAFETY: as many bytes were just taken, aligned for more than words.
    unsafe { start.write_bytes(0, count) };
    Some(start)
}
