//! The devices of an embedder that modules may drive.

use bareflow_abi::devices::DeviceIds;
use bareflow_device::{Buffer, Completion, DeviceError};

use super::RegionMemory;

/// The memory that a device reaches, whatever its driver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The regions that are attached to it: the embedder writes all addresses that it gets, and the device is trusted to use
    /// no others.
    Checked,
    /// The regions that are attached to it, whatever it does: an IOMMU keeps it from all else.
    Iommu,
    /// All memory: its driver gives it addresses that nobody checks. A module gets it only if it is trusted
    /// ([`Allowed::trusts_devices`](crate::Allowed::trusts_devices)).
    Trusted,
}

impl Reach {
    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Reach::Checked => "checked",
            Reach::Iommu => "iommu",
            Reach::Trusted => "trusted",
        }
    }
}

/// The facts about a device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceFacts {
    /// The identification.
    pub ids: DeviceIds,
    /// The place: on PCI the bus, the device and the function, elsewhere the address of the registers.
    pub location: u64,
    /// Whether it is on PCI.
    pub is_on_pci: bool,
    /// Whether it sends interrupts; else it is looked at each tick.
    pub has_interrupt: bool,
    /// The memory that it reaches.
    pub reach: Reach,
    /// Whether the embedder itself drives it.
    pub is_embedders: bool,
    /// The number of times that the IOMMU kept it from memory.
    pub faults: u64,
    /// Whether it is open, and broke the rules of its queues: it is to be closed.
    pub is_broken: bool,
    /// The reason why no one can use it, if there is one.
    pub problem: Option<&'static str>,
}

/// Devices, known by their numbers from 0 on.
///
/// The loader calls the methods from [`open`](Self::open) on only for the module that has the device. None of them calls a
/// module, and none waits for a device without a limit.
///
/// # Safety
/// - A device that is not open uses no memory, and one that is open none but that of the regions that are attached to it and what the
///   embedder itself gave it.
/// - Once [`detach`](Self::detach) succeeded, the device does not use that region any more; once [`close`](Self::close)
///   returned true, none.
/// - A buffer names a region by the number that [`attach`](Self::attach) was told.
///
/// As far as that is the device's own doing, [`Reach`] says who is trusted; of [`Reach::Trusted`], its driver is, too.
#[expect(unsafe_code, reason = "declares a contract")]
pub unsafe trait DeviceBus {
    /// Returns the number of devices, which never changes. The first call looks for them.
    fn count(&self) -> u32;

    /// Returns what is known of a device.
    fn facts(&self, device: u32) -> Option<DeviceFacts>;

    /// Resets a device, and lets it use memory and send interrupts, which are masked at first.
    ///
    /// # Errors
    /// It can't be used, or too many are open.
    fn open(&self, device: u32) -> Result<(), DeviceError>;

    /// Resets a device, takes all memory from it, and masks its interrupts. Returns whether it uses no memory any more; if
    /// it may, no one gets it again. Passes what it was done with and no one had collected to `put`: the queue, the number of the
    /// memory in which the chain ends, and the completion.
    fn close(&self, device: u32, put: &mut dyn FnMut(u32, u32, Completion)) -> bool;

    /// Unmasks the interrupts of a device: at the next one, its bit is in [`take_interrupts`](Self::take_interrupts), once.
    ///
    /// # Errors
    /// It is not open.
    fn listen(&self, device: u32) -> Result<(), DeviceError>;

    /// Lets a device use memory, which stays until it is detached, or the device closed. `number`: that of the memory, below
    /// [`MAX_MEMORIES`](bareflow_device::MAX_MEMORIES) and not in use.
    ///
    /// # Errors
    /// There is too much of it, or the device is not open. The device does not use the memory.
    fn attach(&self, device: u32, number: u32, memory: &RegionMemory) -> Result<(), DeviceError>;

    /// Takes memory from a device.
    ///
    /// # Errors
    /// The device has buffers in it.
    fn detach(&self, device: u32, memory: u32) -> Result<(), DeviceError>;

    /// Takes note that a module gets a device of [`Reach::Trusted`], so that people are told.
    fn note_trust(&self, device: u32, module: &str);

    /// Reads a register.
    ///
    /// # Errors
    /// As for the method of [`Device`](bareflow_device::Device); so of the next two.
    fn read(&self, device: u32, bar: u32, offset: u32, width: u32) -> Result<u64, DeviceError>;

    /// Writes a register.
    ///
    /// # Errors
    /// As above.
    fn write(&self, device: u32, bar: u32, offset: u32, width: u32, value: u64) -> Result<(), DeviceError>;

    /// Passes the addresses of buffers to `put`.
    ///
    /// # Errors
    /// As above.
    fn addresses(&self, device: u32, buffers: &[Buffer], put: &mut dyn FnMut(u64)) -> Result<(), DeviceError>;

    /// Agrees on the features of a virtio device.
    ///
    /// # Errors
    /// As for the method of [`Virtio`](bareflow_device::Virtio); so of all that follow.
    fn negotiate(&self, device: u32, wanted: u64) -> Result<u64, DeviceError>;

    /// Sets up a queue.
    ///
    /// # Errors
    /// As above.
    fn set_up_queue(&self, device: u32, queue: u32, size: u32) -> Result<u32, DeviceError>;

    /// Says whether a queue is to send interrupts.
    ///
    /// # Errors
    /// As above.
    fn set_interrupt(&self, device: u32, queue: u32, wanted: bool) -> Result<(), DeviceError>;

    /// Starts the device.
    ///
    /// # Errors
    /// As above.
    fn start(&self, device: u32) -> Result<(), DeviceError>;

    /// Copies bytes of the configuration.
    ///
    /// # Errors
    /// As above.
    fn config(&self, device: u32, offset: u32, into: &mut [u8]) -> Result<(), DeviceError>;

    /// Gives buffers to the device. Returns how many it took.
    ///
    /// # Errors
    /// As above.
    fn submit(&self, device: u32, queue: u32, buffers: &[Buffer]) -> Result<u32, DeviceError>;

    /// Passes up to `room` completions to `put`. Returns how many chains the device still has.
    ///
    /// # Errors
    /// As above.
    fn collect(
        &self,
        device: u32,
        queue: u32,
        room: usize,
        put: &mut dyn FnMut(Completion),
    ) -> Result<u32, DeviceError>;

    /// Takes the devices that sent interrupts since the last call: a bit for each.
    fn take_interrupts(&self) -> u64;
}
