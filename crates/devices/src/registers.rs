//! Registers of a device.

/// A range of registers. Reads and writes of what lies outside, or is not aligned, read ones and do nothing: drivers of this
/// crate check the range before.
pub trait Registers {
    /// Returns the number of bytes.
    fn length(&self) -> u64;

    /// Reads a byte.
    fn read_u8(&self, offset: u64) -> u8;

    /// Reads two bytes.
    fn read_u16(&self, offset: u64) -> u16;

    /// Reads four bytes.
    fn read_u32(&self, offset: u64) -> u32;

    /// Writes a byte.
    fn write_u8(&self, offset: u64, value: u8);

    /// Writes two bytes.
    fn write_u16(&self, offset: u64, value: u16);

    /// Writes four bytes.
    fn write_u32(&self, offset: u64, value: u32);
}

/// A part of a range of registers.
#[derive(Clone, Copy, Debug)]
pub struct Part<R> {
    whole: R,
    start: u64,
    length: u64,
}

impl<R: Registers> Part<R> {
    /// Takes `length` bytes from `start` on; `None` if they do not lie in the range.
    pub fn new(whole: R, start: u64, length: u64) -> Option<Part<R>> {
        start.checked_add(length).filter(|&end| end <= whole.length()).map(|_| Part { whole, start, length })
    }

    /// Returns the place of `bytes` bytes at `offset` in the whole range.
    fn place(&self, offset: u64, bytes: u64) -> Option<u64> {
        let end = offset.checked_add(bytes)?;
        (end <= self.length).then(|| self.start + offset)
    }
}

impl<R: Registers> Registers for Part<R> {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_u8(&self, offset: u64) -> u8 {
        self.place(offset, 1).map_or(u8::MAX, |place| self.whole.read_u8(place))
    }

    fn read_u16(&self, offset: u64) -> u16 {
        self.place(offset, 2).map_or(u16::MAX, |place| self.whole.read_u16(place))
    }

    fn read_u32(&self, offset: u64) -> u32 {
        self.place(offset, 4).map_or(u32::MAX, |place| self.whole.read_u32(place))
    }

    fn write_u8(&self, offset: u64, value: u8) {
        if let Some(place) = self.place(offset, 1) {
            self.whole.write_u8(place, value);
        }
    }

    fn write_u16(&self, offset: u64, value: u16) {
        if let Some(place) = self.place(offset, 2) {
            self.whole.write_u16(place, value);
        }
    }

    fn write_u32(&self, offset: u64, value: u32) {
        if let Some(place) = self.place(offset, 4) {
            self.whole.write_u32(place, value);
        }
    }
}
