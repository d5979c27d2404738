//! The frame of a call: its words, and the memory of the caller that they lead to.
//!
//! A provider in the caller's address space gets the words, and reaches the memory by them. One in another address space
//! gets a *packed* frame, in which copies of that memory follow the words; the addresses are offsets there.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use core::slice::{self, from_raw_parts, from_raw_parts_mut};

use super::PIECE_ALIGNMENT;
use super::arguments::Arguments;
use super::call_error::{CallError, Reply, Status};
use super::shape::{ArgumentKind, MAX_ARGUMENTS, Shape};

/// The maximum number of a frame's words.
pub const MAX_WORDS: usize = 2 * MAX_ARGUMENTS;

/// The maximum number of words in a reply's header.
pub const MAX_REPLY_WORDS: usize = 1 + MAX_ARGUMENTS;

/// The size of a word, in bytes.
const WORD: usize = 8;

/// The memory that an argument leads to.
#[derive(Debug)]
pub enum Piece<'frame> {
    /// Bytes that the provider reads.
    Read(&'frame [u8]),
    /// Bytes that the provider reads and writes.
    Write(&'frame mut [u8]),
    /// Room to which the provider appends.
    Append(&'frame mut [u8]),
}

/// The words of a call, and the memory that they lead to, which is borrowed for `'call`.
#[derive(Debug)]
pub struct Frame<'call> {
    shape: Shape,
    words: &'call mut [u64],
    borrows: PhantomData<&'call mut [u8]>,
}

impl<'call> Frame<'call> {
    /// Creates the frame of a call of a method with this shape; `None` if it does not have that many words.
    ///
    /// # Safety
    /// For each argument that is an address and a length in bytes, unless that is 0: as many bytes are mapped there for
    /// `'call`, and can be written if the provider may. Bytes that it may write are nobody else's meanwhile, and no other
    /// argument's.
    #[must_use]
    #[inline]
    pub unsafe fn new(shape: Shape, words: &'call mut [u64]) -> Option<Frame<'call>> {
        (words.len() == shape.words()).then_some(Frame { shape, words, borrows: PhantomData })
    }

    /// Creates the frame whose packed form is `input` and `output`; `None` if this is no packed form.
    ///
    /// The provider reads and writes in the two.
    #[must_use]
    pub fn unpack(
        shape: Shape,
        words: &'call mut [u64; MAX_WORDS],
        input: &'call [u8],
        output: &'call mut [u8],
    ) -> Option<Frame<'call>> {
        let words = words_of(shape, words, input)?;
        let mut layout = Layout::of(shape);
        let bases = [input.as_ptr().expose_provenance(), output.as_mut_ptr().expose_provenance()];
        for (kind, [address, length]) in pieces(shape, words) {
            let (side, offset) = layout.place(kind, usize::try_from(*length).ok()?)?;
            if *address != offset as u64 {
                return None;
            }
            *address += bases[side as usize] as u64;
        }
        let whole = (input.len(), output.len()) == layout.sizes;
        // The pieces lie in the two slices, one behind the other, as was just checked.
        whole.then_some(Frame { shape, words, borrows: PhantomData })
    }

    /// Returns the shape of the method.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the numbers of bytes that the provider appended, one for each `Out`, once the call is over.
    pub fn appended(&self) -> impl Iterator<Item = u64> {
        self.appended_words().map(|(_, bytes)| bytes)
    }

    /// Returns the same numbers, each with the index of its word among all.
    #[inline]
    pub fn appended_words(&self) -> impl Iterator<Item = (usize, u64)> {
        let mut next = 0;
        self.shape.kinds().filter_map(move |kind| {
            next += kind.words();
            let last = next - 1;
            if kind == ArgumentKind::Out { Some((last, *self.words.get(last)?)) } else { None }
        })
    }

    /// Passes each piece to `look`, in order.
    pub fn for_each_piece(&mut self, mut look: impl FnMut(Piece<'_>)) {
        for (kind, [address, length]) in pieces(self.shape, self.words) {
            look(piece(kind, *address, *length));
        }
    }

    /// Calls a provider in the same address space, by its entry: `enter` gets the entry's input and output, and returns
    /// its result.
    ///
    /// # Errors
    /// That of `enter`.
    #[inline]
    pub fn call_in_place<E>(&mut self, enter: impl FnOnce(&[u8], &mut [u8]) -> Result<i32, E>) -> Result<Reply, E> {
        let (mut header, mut relative) = ([0; MAX_REPLY_WORDS], [const { MaybeUninit::uninit() }; MAX_WORDS]);
        let header = &mut header[..self.shape.reply_words()];
        let input = if self.shape.has_pieces() {
            // A copy, since `enter` may be left by a panic: then the words are still absolute.
            self.relative_words(&mut relative, header.as_mut_ptr().expose_provenance() as u64)
        } else {
            &*self.words
        };
        let result = enter(bytes_of(input), bytes_of_mut(header))?;
        Ok(self.finish(Status::of_entry(result), header))
    }

    /// Writes the words with relative addresses, of which those of what the provider may write are relative to `output`.
    #[inline]
    fn relative_words<'words>(
        &self,
        relative: &'words mut [MaybeUninit<u64>; MAX_WORDS],
        output: u64,
    ) -> &'words [u64] {
        let input = relative.as_ptr().expose_provenance() as u64;
        let (mut source, mut target) = (self.words.iter(), relative.iter_mut());
        let mut copy =
            |base: u64| source.next().zip(target.next()).map(|(from, to)| _ = to.write(from.wrapping_sub(base)));
        for kind in self.shape.kinds() {
            if kind != ArgumentKind::Scalar {
                copy(if kind.is_written() { output } else { input });
            }
            copy(0);
        }
        let count = self.words.len().min(MAX_WORDS);
        // SAFETY: a frame has as many words as its shape says, and as many were just written.
        unsafe { from_raw_parts(relative.as_ptr().cast(), count) }
    }

    /// Calls a provider that is part of the caller: `serve` reads the words as they are.
    ///
    /// # Safety
    /// The shape is that of the interface's method with this number.
    #[inline]
    pub(super) unsafe fn serve(
        &mut self,
        method: u32,
        serve: impl FnOnce(&Arguments<'_>) -> Result<u32, CallError>,
    ) -> Reply {
        let mut header = [0; MAX_REPLY_WORDS];
        let header = match self.shape.has_outs() {
            false => &mut header[..1],
            true => &mut header[..self.shape.reply_words()],
        };
        let input = (self.words.as_ptr().cast(), size_of_val(self.words));
        let output = (header.as_mut_ptr().cast(), size_of_val(header));
        // SAFETY: a frame borrows all memory that its words lead to, and its shape is the method's, as the caller
        // promises; addresses are absolute.
        let arguments = unsafe { Arguments::with_bases(method, input, output, [0; 2]) };
        let status = match serve(&arguments) {
            Ok(number) => Status::from_number(number.into()),
            Err(error) => Status::Failed(error),
        };
        self.finish(status, header)
    }

    /// Returns the lengths of the packed form: input and output.
    ///
    /// `None` if they are larger than any memory.
    #[must_use]
    pub fn packed_sizes(&self) -> Option<(usize, usize)> {
        if !self.shape.has_pieces() {
            return Some((size_of_val(self.words), WORD));
        }
        sizes(self.shape, self.words)
    }

    /// Returns the lengths of the packed form whose input begins with `input`, as its words say.
    ///
    /// `None` if not all words are there, or the lengths are larger than any memory.
    #[must_use]
    pub fn sizes_of_packed(shape: Shape, input: &[u8]) -> Option<(usize, usize)> {
        sizes(shape, words_of(shape, &mut [0; MAX_WORDS], input)?)
    }

    /// Passes what a call left behind to `put`, piece by piece: the words of the reply's header, then what the provider may
    /// have written, then, in order, what it appended.
    pub fn save_results(&mut self, value: u64, mut put: impl FnMut(&[u8])) {
        self.reply_header(value).for_each(|word| put(&word.to_le_bytes()));
        self.for_each_piece(|piece| match piece {
            Piece::Read(_) => {}
            // The length of what was appended has replaced that of the room.
            Piece::Write(bytes) | Piece::Append(bytes) => put(bytes),
        });
    }

    /// Does what a call did that left these results behind, as [`save_results`](Self::save_results) passes them. Returns the
    /// value; `None` if they are not those of such a frame, which is changed in part then.
    pub fn restore_results(&mut self, results: &[u8]) -> Option<u64> {
        let (header, mut rest) = results.split_at_checked(self.shape.reply_words() * WORD)?;
        let mut words = header.chunks_exact(WORD).map(|word| word.first_chunk().copied().map_or(0, u64::from_le_bytes));
        let value = words.next()?;
        for (kind, [_, length]) in pieces(self.shape, self.words) {
            if kind == ArgumentKind::Out {
                *length = words.next().filter(|appended| *appended <= *length)?;
            }
        }
        let mut is_whole = true;
        self.for_each_piece(|piece| match piece {
            Piece::Read(_) => {}
            Piece::Write(bytes) | Piece::Append(bytes) => match rest.split_at_checked(bytes.len()) {
                Some((own, behind)) => {
                    bytes.copy_from_slice(own);
                    rest = behind;
                }
                None => is_whole = false,
            },
        });
        (is_whole && rest.is_empty()).then_some(value)
    }

    /// Writes the packed form by `put`, which gets a side, an offset, and the bytes there. Returns the form's lengths: input
    /// and output; `None` if they are larger than any memory, with a part of it written.
    ///
    /// What is not passed to it is to be zero, or is room.
    #[inline(always)]
    pub fn pack(&mut self, mut put: impl FnMut(Side, usize, &[u8])) -> Option<(usize, usize)> {
        if !self.shape.has_pieces() {
            put(Side::Input, 0, bytes_of(self.words));
            return Some((size_of_val(self.words), WORD));
        }
        let (mut layout, mut words, mut at) = (Layout::of(self.shape), self.words.iter(), 0);
        for kind in self.shape.kinds() {
            let Some(first) = words.next() else { break };
            if kind == ArgumentKind::Scalar {
                put(Side::Input, at, bytes_of(slice::from_ref(first)));
                at += WORD;
                continue;
            }
            let Some(length) = words.next() else { break };
            let (side, offset) = layout.place(kind, usize::try_from(*length).ok()?)?;
            put(Side::Input, at, bytes_of(&[offset as u64, *length]));
            at += 2 * WORD;
            match piece(kind, *first, *length) {
                Piece::Read(bytes) => put(side, offset, bytes),
                Piece::Write(bytes) => put(side, offset, bytes),
                Piece::Append(_) => {}
            }
        }
        Some(layout.sizes)
    }

    /// Takes over what a provider with the packed form left behind, by `get`, which gets an offset in the output, and the
    /// bytes to fill.
    #[inline]
    pub fn take_packed(&mut self, mut status: Status, mut get: impl FnMut(usize, &mut [u8])) -> Reply {
        let (mut value, mut at, mut is_true) = (0, WORD, true);
        get(0, bytes_of_mut(slice::from_mut(&mut value)));
        if !self.shape.has_pieces() {
            return Reply { status: status.number(), value };
        }
        let mut layout = Layout::of(self.shape);
        for (kind, [address, length]) in pieces(self.shape, self.words) {
            if !kind.is_written() {
                continue;
            }
            // The room counts where it lies, the written bytes count for the copy.
            let Some((_, offset)) = layout.place(kind, *length as usize) else { break };
            if kind == ArgumentKind::Out {
                let mut appended = 0;
                get(at, bytes_of_mut(slice::from_mut(&mut appended)));
                at += WORD;
                is_true &= appended <= *length;
                *length = appended.min(*length);
            }
            match piece(kind, *address, *length) {
                Piece::Read(_) => {}
                Piece::Write(bytes) | Piece::Append(bytes) => get(offset, bytes),
            }
        }
        if !is_true {
            status = Status::Failed(CallError::BadAnswer);
        }
        Reply { status: status.number(), value }
    }

    /// Returns the words of the reply's header: `value`, and the numbers of bytes that the provider appended.
    pub fn reply_header(&self, value: u64) -> impl Iterator<Item = u64> {
        core::iter::once(value).chain(self.appended())
    }

    /// Notes how much the provider appended, as its `header` says. Returns whether there was room for that.
    fn note_lengths(&mut self, header: &[u64]) -> bool {
        let (mut written, mut is_true) = (header.iter().skip(1), true);
        for (kind, [_, length]) in pieces(self.shape, self.words) {
            if kind == ArgumentKind::Out {
                let appended = written.next().copied().unwrap_or_default();
                is_true &= appended <= *length;
                *length = appended.min(*length);
            }
        }
        is_true
    }

    /// Returns the reply of a provider that wrote `header`, and notes how much it appended.
    #[inline]
    fn finish(&mut self, mut status: Status, header: &[u64]) -> Reply {
        if self.shape.has_outs() && !self.note_lengths(header) {
            status = Status::Failed(CallError::BadAnswer);
        }
        Reply { status: status.number(), value: header.first().copied().unwrap_or_default() }
    }
}

/// A side of a packed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The entry's input: words, and what the provider only reads.
    Input,
    /// The entry's output: the reply's header, and what the provider may write.
    Output,
}

/// Returns the side on which an argument's memory lies.
#[inline]
const fn side(kind: ArgumentKind) -> Side {
    if kind.is_written() { Side::Output } else { Side::Input }
}

/// Returns the words that a packed input begins with; `None` if they are not all there.
fn words_of<'words>(shape: Shape, words: &'words mut [u64; MAX_WORDS], input: &[u8]) -> Option<&'words mut [u64]> {
    let words = &mut words[..shape.words()];
    let mut given = input.chunks_exact(WORD).map(|word| word.first_chunk().copied().map_or(0, u64::from_le_bytes));
    for word in words.iter_mut() {
        *word = given.next()?;
    }
    Some(words)
}

/// Returns words as bytes.
#[inline]
fn bytes_of(words: &[u64]) -> &[u8] {
    // SAFETY: words are bytes, and the slice is borrowed.
    unsafe { from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// Returns words as bytes that may be written.
#[inline]
fn bytes_of_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: as above, and any bytes are words.
    unsafe { from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// Returns the lengths of the packed form of a call with these words, as far as they are lengths.
fn sizes(shape: Shape, mut words: &[u64]) -> Option<(usize, usize)> {
    let mut layout = Layout::of(shape);
    for kind in shape.kinds() {
        let (of_this, behind) = words.split_at_checked(kind.words())?;
        words = behind;
        if let [_, length] = of_this {
            layout.place(kind, usize::try_from(*length).ok()?)?;
        }
    }
    Some(layout.sizes)
}

/// The layout of a packed frame, as far as it is filled: first the words and the reply's header, then the pieces.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    sizes: (usize, usize),
}

impl Layout {
    /// Creates the layout of a method's packed frame without pieces.
    #[must_use]
    #[inline]
    pub fn of(shape: Shape) -> Layout {
        Layout { sizes: (shape.words() * WORD, shape.reply_words() * WORD) }
    }

    /// Returns the lengths so far, in bytes: input and output.
    #[must_use]
    pub const fn sizes(&self) -> (usize, usize) {
        self.sizes
    }

    /// Places the piece of the next argument that has one, of `length` bytes.
    ///
    /// Returns its side and its offset; `None` if there are no such offsets.
    #[inline]
    pub fn place(&mut self, kind: ArgumentKind, length: usize) -> Option<(Side, usize)> {
        let side = side(kind);
        let size = if side == Side::Input { &mut self.sizes.0 } else { &mut self.sizes.1 };
        // A size is at most `isize::MAX`, so this does not overflow.
        let start = (*size + (PIECE_ALIGNMENT - 1)) & !(PIECE_ALIGNMENT - 1);
        *size = start.checked_add(length).filter(|&end| isize::try_from(end).is_ok())?;
        Some((side, start))
    }
}

/// Iterates over the arguments that lead to memory: kind, address and length in bytes.
#[inline]
fn pieces(shape: Shape, words: &mut [u64]) -> impl Iterator<Item = (ArgumentKind, [&mut u64; 2])> {
    let mut words = words.iter_mut();
    shape.kinds().filter_map(move |kind| {
        let first = words.next()?;
        if kind == ArgumentKind::Scalar {
            return None;
        }
        Some((kind, [first, words.next()?]))
    })
}

/// Returns the memory that an argument leads to. The words are those of a [`Frame`].
#[inline]
fn piece<'frame>(kind: ArgumentKind, address: u64, length: u64) -> Piece<'frame> {
    let (address, length) = (address as usize, length as usize);
    // SAFETY: `Frame::new` demands that the bytes are mapped for `'call`, and `Frame::unpack` takes them from slices
    // that are borrowed for it; a frame is borrowed while its pieces are. Those that are written overlap no others.
    unsafe {
        match (kind, length) {
            (ArgumentKind::Scalar | ArgumentKind::Text | ArgumentKind::Slice, 0) => Piece::Read(&[]),
            (ArgumentKind::SliceMut, 0) => Piece::Write(&mut []),
            (ArgumentKind::Out, 0) => Piece::Append(&mut []),
            (ArgumentKind::Scalar | ArgumentKind::Text | ArgumentKind::Slice, _) => {
                Piece::Read(from_raw_parts(with_exposed_provenance(address), length))
            }
            (ArgumentKind::SliceMut, _) => {
                Piece::Write(from_raw_parts_mut(with_exposed_provenance_mut(address), length))
            }
            (ArgumentKind::Out, _) => Piece::Append(from_raw_parts_mut(with_exposed_provenance_mut(address), length)),
        }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
