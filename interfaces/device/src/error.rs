//! The errors of devices.

use bareflow_abi::{CallError, Failure};

/// An error of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum DeviceError {
    /// The module declares no device of this number.
    NoSuchDevice,
    /// The module does not have the device now: it is not live yet, or not any more.
    NotClaimed,
    /// The device is not open.
    NotOpen,
    /// The device is open.
    Open,
    /// The device is no virtio device.
    NotVirtio,
    /// The calls came in another order than `open`, `negotiate`, `queue`, `start`.
    BadOrder,
    /// The device has no such queue, or it is not set up.
    NoSuchQueue,
    /// The device does not take the features, or lacks what is always needed.
    Features,
    /// The bytes do not lie in the memory, or in the configuration.
    OutOfRange,
    /// There is no memory of this number.
    NoSuchMemory,
    /// The buffer crosses a page whose next one lies elsewhere in the machine's memory.
    CrossesPages,
    /// The chain has no end, too many buffers, one without bytes, or one to be read behind one to be written.
    BadChain,
    /// The device has buffers in the memory.
    InUse,
    /// The module has no such region.
    NoSuchRegion,
    /// The region is not the module's to share.
    WrongAccess,
    /// There are too many devices open, too many memories, or too many queues.
    TooMany,
    /// There was no memory.
    NoMemory,
    /// The device's registers or capabilities can't be used.
    BadDevice,
    /// The device broke the rules of its queues, and is stopped until it is closed.
    Broken,
    /// The device does not answer any more.
    Lost,
    /// The embedder itself drives the device's queues: a virtio device's registers are no module's, nor are addresses
    /// for one whose requests carry none.
    Checked,
    /// There is no such range of registers, or it is in the space of ports.
    NoSuchRange,
    /// The registers are the embedder's: the interrupts of the device.
    Reserved,
    /// A register has 1, 2, 4 or 8 bytes, and lies at a multiple of them.
    BadWidth,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
