//! The structures that cross.

use bareflow_abi::Plain;

/// The most memories of a device.
pub const MAX_MEMORIES: usize = 16;

/// The most chains of a device that are kept when it is closed.
pub const MAX_LEFTOVERS: usize = 128;

/// The most bytes of a configuration that are read at once.
pub const MAX_CONFIG: usize = 256;

/// A part of memory that a device is to read or write.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Buffer {
    /// The number of the memory, as [`attach`](crate::Device::attach) returned it.
    pub memory: u32,
    /// The offset in it.
    pub offset: u32,
    /// The length, in bytes.
    pub length: u32,
    /// A number of the driver's own, by which it knows the completion of this chain; that of the first buffer counts.
    pub token: u16,
    /// [`WRITE`](Buffer::WRITE), [`NEXT`](Buffer::NEXT).
    pub flags: u16,
}

impl Buffer {
    /// The flag of a buffer that the device writes. Those that it reads come first in a chain.
    pub const WRITE: u16 = 1;

    /// The flag of a buffer whose chain goes on with the next buffer.
    pub const NEXT: u16 = 2;
}

/// A chain of buffers that a device is done with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Completion {
    /// The number that the driver gave the chain.
    pub token: u16,
    /// Zero.
    pub reserved: u16,
    /// The number of bytes that the device wrote, never more than it was given.
    pub length: u32,
}

/// The description of a device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Description {
    /// The vendor on PCI; 0 where there is no bus.
    pub vendor: u16,
    /// The vendor's number of the device.
    pub device: u16,
    /// The class and the subclass.
    pub class: u16,
    /// The type of virtio device; 0 if it is none.
    pub virtio: u16,
    /// The bus, the device and the function, as PCI encodes them.
    pub location: u32,
    /// Whether it sends interrupts (1), or is looked at each millisecond (0).
    pub has_interrupt: u32,
}
