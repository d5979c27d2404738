//! The interfaces `device` and `virtio`: the devices that a module drives.
//!
//! The loader itself provides both under the name `loader`. A module declares its devices in `Cargo.toml`, and names them by
//! their numbers in that order. It gets a device when it goes live, and is told so by the device's event, as of each
//! interrupt from then on.
//!
//! Memory that a device reads or writes is a region that the module [attaches](Device::attach). The embedder writes the queues
//! of a virtio device, of buffers that it has checked, and its driver has no addresses. The driver of any other device writes
//! [registers](Device::write) and tells it [addresses](Device::addresses).

#![no_std]
#![forbid(unsafe_code)]

mod error;
mod values;

pub use error::DeviceError;
pub use values::{Buffer, Completion, Description, MAX_CONFIG, MAX_LEFTOVERS, MAX_MEMORIES};

use bareflow_abi::{Out, interface};

/// The devices of the module that calls.
#[interface(version = "1.1")]
pub trait Device {
    /// Says what a device is.
    fn describe(&self, device: u32, into: &mut Description) -> Result<(), DeviceError>;

    /// Resets a device and lets it use memory and send interrupts.
    ///
    /// One that is no virtio device is not reset, and neither uses memory nor sends interrupts before the first memory is attached:
    /// its driver resets it by its registers until then, as it may still have the addresses of an earlier driver.
    fn open(&mut self, device: u32) -> Result<(), DeviceError>;

    /// Resets a device, takes all memory from it, and lets it use none any more.
    fn close(&mut self, device: u32) -> Result<(), DeviceError>;

    /// Makes the device's event due at its next interrupt: at once, if that came already.
    ///
    /// Each interrupt makes it due once, until this is called again.
    fn listen(&mut self, device: u32) -> Result<(), DeviceError>;

    /// Lets a device use a region, which the caller owns or was lent as shared memory. Returns the number of the memory, by
    /// which buffers name it.
    ///
    /// From then on it is shared memory, and can't be taken back.
    fn attach(&mut self, device: u32, region: u32) -> Result<u32, DeviceError>;

    /// Takes memory from a device again that has no buffers in it. Of one that was told [addresses](Device::addresses) in it, the
    /// driver has ended the use of these before.
    fn detach(&mut self, device: u32, memory: u32) -> Result<(), DeviceError>;

    /// Reads a register of `width` bytes, 1, 2, 4 or 8, at `offset` in the range `bar`. All ones if the device is gone.
    /// Since 1.1.
    ///
    /// # Errors
    /// [`DeviceError::Checked`] of a virtio device; [`DeviceError::Reserved`] of the table of its interrupts.
    fn read(&mut self, device: u32, bar: u32, offset: u32, width: u32) -> Result<u64, DeviceError>;

    /// Writes a register; of `value`, the lowest `width` bytes. Since 1.1.
    ///
    /// # Errors
    /// As of [`read`](Device::read).
    fn write(&mut self, device: u32, bar: u32, offset: u32, width: u32, value: u64) -> Result<(), DeviceError>;

    /// Appends to `into` the addresses by which the device reaches the first bytes of buffers, of as many as there is room for.
    /// Their tokens and flags do not count. Each address holds for the whole buffer, until its memory is detached or the
    /// device closed. Since 1.1.
    ///
    /// # Errors
    /// [`DeviceError::Checked`] of a virtio device whose requests carry no addresses; those of a buffer, after which
    /// `into` has the addresses of the buffers before it.
    fn addresses(&self, device: u32, buffers: &[Buffer], into: &mut Out<'_, u64>) -> Result<(), DeviceError>;
}

/// The virtio devices of the module that calls, by the specification of OASIS, Virtual I/O Device 1.2.
#[interface(version = "1.1")]
pub trait Virtio {
    /// Begins to set up a device that is open, and asks for features by their bits. Returns those that both sides have.
    ///
    /// What the queues look like is not the driver's to choose: those features are never accepted, `VERSION_1` always.
    fn negotiate(&mut self, device: u32, wanted: u64) -> Result<u64, DeviceError>;

    /// Sets up a queue, of up to `size` buffers. Returns for how many.
    fn queue(&mut self, device: u32, queue: u32, size: u32) -> Result<u32, DeviceError>;

    /// Says whether a queue's completions are to send interrupts, as they do at first.
    fn interrupt(&mut self, device: u32, queue: u32, wanted: bool) -> Result<(), DeviceError>;

    /// Starts a device whose queues are set up.
    fn start(&mut self, device: u32) -> Result<(), DeviceError>;

    /// Appends bytes of a device's configuration from `offset` on to `into`: as many as there is room for, 256 at the most.
    ///
    /// They are of one and the same state of it. A field of two, four or eight bytes is read as such if it is read by itself.
    fn config(&self, device: u32, offset: u32, into: &mut Out<'_, u8>) -> Result<(), DeviceError>;

    /// Gives buffers to the device, in order. Returns how many it took: whole chains, as long as there is room.
    ///
    /// # Errors
    /// Of the first chain, if the device can't have it. A later one ends what is taken, and is refused when it comes first.
    fn submit(&mut self, device: u32, queue: u32, buffers: &[Buffer]) -> Result<u32, DeviceError>;

    /// Appends to `into` what the device is done with, as much as there is room for. Returns how many chains it still has.
    fn collect(&mut self, device: u32, queue: u32, into: &mut Out<'_, Completion>) -> Result<u32, DeviceError>;

    /// Gives buffers to the device as [`submit`](Virtio::submit) does, then appends to `into` what
    /// [`collect`](Virtio::collect) does, and with `listens` does what [`listen`](Device::listen) does if there is room
    /// left. Returns how many buffers the device took. Since 1.1.
    ///
    /// # Errors
    /// Those of `submit`, after which nothing was given or collected; and those of `collect` and `listen`, after which the
    /// device may have taken buffers, and completions may be lost.
    fn exchange(
        &mut self,
        device: u32,
        queue: u32,
        buffers: &[Buffer],
        into: &mut Out<'_, Completion>,
        listens: bool,
    ) -> Result<u32, DeviceError>;

    /// Appends to `into` what the device was done with when it was closed, by its driver or since that ended, and no one
    /// had collected, as much as there is room for: chains of a queue that end in memory which others lent to the driver,
    /// and which is attached again. Since 1.1.
    ///
    /// Each is returned once, and the newest [`MAX_LEFTOVERS`] are kept. Attached memory that is closed again has none of
    /// before.
    fn leftovers(&mut self, device: u32, queue: u32, into: &mut Out<'_, Completion>) -> Result<(), DeviceError>;
}
