//! A device that a module has opened: its registers, its interrupt, its queues and the memory that it uses.

use core::sync::atomic::Ordering;

use alloc::vec::Vec;

use allocator_api2::boxed::Box;
use bareflow_containment::page_tables::translate;
use bareflow_device::{Buffer, Completion, DeviceError};
use bareflow_devices::iommu::Domain;
use bareflow_devices::pci::{Command, DeviceFunction, assign_addresses, find_bars};
use bareflow_devices::session::{MAX_QUEUES, Session, Submitted};
use bareflow_devices::virtio::{DevicePages, Queue, QueuePage, Setup, SharedPage, VirtioDevice};
use bareflow_loader::RegionMemory;
use bareflow_suite::console::Style;
use bareflow_suite::error_text;
use x86_64::structures::paging::PhysFrame;

use super::driver_registers::DriverRegisters;
use super::known::{Known, Place, taken};
use super::messages::Message;
use super::ports::{self, HOLE};
use super::setup::{DeviceRegisters, Problem, virtio_device, virtio_device_at};
use super::{interrupts, iommu};
use crate::console;
use crate::memory::layout::PAGE_SIZE;
use crate::memory::{frames, physical};

/// The command of a device that uses memory.
const AS_MASTER: Command = Command::MEMORY_SPACE.union(Command::BUS_MASTER).union(Command::INTERRUPT_DISABLE);

/// An open device.
pub struct OpenDevice {
    number: u32,
    /// The number of its vector.
    slot: usize,
    place: Place,
    interrupt: Option<Message>,
    virtio: Option<VirtioDevice<DeviceRegisters>>,
    /// The addresses that it has, if it is behind an IOMMU.
    domain: Option<Domain>,
    /// The registers that its driver reaches, if it is no virtio device.
    registers: Option<DriverRegisters>,
    /// The frames of its queues.
    frames: Vec<PhysFrame>,
    /// The memory and the buffers that it has of its driver.
    session: Session,
}

impl OpenDevice {
    /// Resets a device, and lets it use memory, of which it has none yet, and send interrupts, which are masked.
    ///
    /// # Errors
    /// Its registers can't be used, or there is no memory.
    pub fn new(number: u32, slot: usize, known: &Known) -> Result<Box<OpenDevice>, DeviceError> {
        let room = Box::try_new_uninit().map_err(|_| DeviceError::NoMemory)?;
        let place = known.place;
        let mut device = OpenDevice {
            number,
            slot,
            place,
            interrupt: None,
            virtio: None,
            domain: None,
            registers: None,
            frames: Vec::new(),
            session: Session::default(),
        };
        let set_up = match place {
            Place::Pci(function) => device.set_up(function, known),
            Place::Mmio(address) => virtio_device_at(address).map(|virtio| device.virtio = Some(virtio)),
        };
        if let Err(Problem { error, text }) = set_up {
            if let Some(text) = text {
                console::show(Style::Warning, format_args!("[WARN] device {place}: {text}\n"));
            }
            device.close(None, &mut |_, _, _| ());
            return Err(error);
        }
        Ok(Box::write(room, device))
    }

    fn set_up(&mut self, function: DeviceFunction, known: &Known) -> Result<(), Problem> {
        let mut root = ports::root().ok_or(DeviceError::BadDevice)?;
        // Off until it was reset.
        root.set_command(function, Command::INTERRUPT_DISABLE);
        self.domain = iommu::open(self.slot, function)?;
        let mut bars = find_bars(&mut root, function)?;
        assign_addresses(&mut root, function, &mut bars, &mut HOLE.lock(), &|range| taken(function, range))?;
        known.set_bars(bars);
        root.set_command(function, Command::MEMORY_SPACE | Command::INTERRUPT_DISABLE);
        // SAFETY: the addresses were just checked.
        self.interrupt = unsafe { Message::new(function, &bars, self.slot, self.number) }?;
        if known.ids.virtio == 0 {
            let reserved = self.interrupt.as_ref().map(Message::reserved).unwrap_or_default();
            // SAFETY: as above.
            self.registers = Some(unsafe { DriverRegisters::new(bars, reserved) });
        } else {
            // SAFETY: as above.
            let mut virtio = unsafe { virtio_device(function, &bars) }?;
            if self.interrupt.is_some() {
                virtio.use_interrupt();
            }
            let has_platform_addresses = virtio.uses_platform_addresses();
            self.virtio = Some(virtio);
            if self.domain.is_some() && !has_platform_addresses {
                return Err(Problem {
                    error: DeviceError::Features,
                    text: Some(error_text!(
                        "it goes past the IOMMU that it is behind: it does not offer the feature ACCESS_PLATFORM; attach it \
                         with `iommu_platform=on,disable-legacy=on`"
                    )),
                });
            }
        }
        // What an earlier driver told another device, it may use until its driver resets it.
        if self.virtio.is_some() {
            root.set_command(function, AS_MASTER);
        }
        Ok(())
    }

    /// Returns the number.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Returns the device as a virtio device.
    pub fn virtio(&mut self) -> Result<&mut VirtioDevice<DeviceRegisters>, DeviceError> {
        self.virtio.as_mut().ok_or(DeviceError::NotVirtio)
    }

    /// Reads a register.
    #[inline]
    pub fn read(&mut self, bar: u32, offset: u32, width: u32) -> Result<u64, DeviceError> {
        self.registers.as_mut().ok_or(DeviceError::Checked)?.read(bar, offset, width)
    }

    /// Writes a register.
    #[inline]
    pub fn write(&mut self, bar: u32, offset: u32, width: u32, value: u64) -> Result<(), DeviceError> {
        self.registers.as_mut().ok_or(DeviceError::Checked)?.write(bar, offset, width, value)
    }

    /// Passes the addresses by which the device reaches buffers to `put`.
    #[inline]
    pub fn addresses(&self, buffers: &[Buffer], put: &mut dyn FnMut(u64)) -> Result<(), DeviceError> {
        self.session.addresses(buffers, put)
    }

    /// Lets the next interrupt come.
    pub fn listen(&self) {
        match &self.interrupt {
            Some(interrupt) => interrupt.listen(),
            None => interrupts::poll(self.number),
        }
    }

    /// Lets the device use the frames of a region.
    pub fn attach(&mut self, number: u32, memory: &RegionMemory) -> Result<(), DeviceError> {
        self.session.check_memory(number)?;
        let mut pages = Vec::new();
        pages.try_reserve_exact(memory.pages as usize).map_err(|_| DeviceError::NoMemory)?;
        for page in 0..u64::from(memory.pages) {
            // A region is mapped from its beginning to its end.
            pages.push(translate(memory.address + page * PAGE_SIZE).ok_or(DeviceError::NoMemory)?);
        }
        iommu::map(&mut self.domain, &mut pages)?;
        // SAFETY: the loader keeps the region until it is detached or the device closed, and its modules share it from now on.
        self.session.attach(number, unsafe { DevicePages::new(pages) })?;
        if let (Place::Pci(function), None, Some(mut root)) = (self.place, &self.virtio, ports::root()) {
            root.set_command(function, AS_MASTER);
        }
        Ok(())
    }

    /// Takes memory from the device.
    pub fn detach(&mut self, number: u32) -> Result<(), DeviceError> {
        iommu::unmap(self.domain.as_ref(), self.session.unused(number)?)?;
        self.session.detach(number)
    }

    /// Sets up a queue in a frame of its own.
    pub fn set_up_queue(&mut self, number: u32, size: u32) -> Result<u32, DeviceError> {
        let virtio = self.virtio.as_mut().ok_or(DeviceError::NotVirtio)?;
        let queue = u16::try_from(number).map_err(|_| DeviceError::NoSuchQueue)?;
        let size = virtio.queue_size(queue, size)?;
        self.session.check_queue(queue)?;
        // One that the device did not take has its frame until the end, too.
        if self.frames.len() >= MAX_QUEUES {
            return Err(DeviceError::TooMany);
        }
        self.frames.try_reserve(1).map_err(|_| DeviceError::NoMemory)?;
        let frame = frames::allocate().ok_or(DeviceError::NoMemory)?;
        self.frames.push(frame);
        let address = frame.start_address().as_u64();
        let page = physical(address);
        // SAFETY: the frame was just allocated, and the physical map covers it.
        unsafe { page.write_bytes(0, PAGE_SIZE as usize) };
        // SAFETY: zeros are a page of a queue. The frame is freed by `close`, with the queue, once the device has no access.
        let page: &'static QueuePage = unsafe { &*page.cast() };
        let mut pages = [address];
        iommu::map(&mut self.domain, &mut pages)?;
        // SAFETY: that is the frame's address, as the device has it, and nothing else uses the frame.
        let page = unsafe { SharedPage::new(page, pages[0]) };
        let own = Queue::new(&page, size).ok_or(DeviceError::NoMemory)?;
        let notify = virtio.set_queue(queue, size, &page)?;
        self.session.add_queue(queue, own, notify)?;
        Ok(size.into())
    }

    /// Says whether a queue is to send interrupts.
    pub fn set_interrupt(&mut self, queue: u32, wanted: bool) -> Result<(), DeviceError> {
        self.session.set_interrupt(queue, wanted)
    }

    /// Starts the device, and tells it of the buffers that it has already.
    pub fn start(&mut self) -> Result<(), DeviceError> {
        let virtio = self.virtio.as_mut().ok_or(DeviceError::NotVirtio)?;
        virtio.start()?;
        self.session.in_flight().for_each(|(queue, place)| virtio.notify(place, queue));
        Ok(())
    }

    /// Returns whether the device broke the rules of its queues.
    pub const fn is_broken(&self) -> bool {
        self.session.broken().is_some()
    }

    /// Gives buffers to the device, and tells it so.
    #[inline]
    pub fn submit(&mut self, queue: u32, buffers: &[Buffer]) -> Result<u32, DeviceError> {
        let submitted = self.session.submit(queue, buffers)?;
        if let (Some(place), Some(virtio)) = (submitted.notify, &self.virtio)
            && virtio.setup() == Setup::Started
        {
            virtio.notify(place, queue as u16);
        }
        match submitted {
            Submitted { taken: 0, error: Some(error), .. } => Err(error),
            // What is the device's already has to be told; the buffer behind it is refused when it comes first.
            Submitted { taken, .. } => Ok(taken),
        }
    }

    /// Takes what the device is done with. Says so if it broke the rules.
    #[inline]
    pub fn collect(&mut self, queue: u32, room: usize, put: &mut dyn FnMut(Completion)) -> Result<u32, DeviceError> {
        let was_broken = self.session.broken().is_some();
        let collected = self.session.collect(queue, room, put);
        if let (Some(broken), false) = (self.session.broken(), was_broken) {
            console::show(Style::Warning, format_args!("[WARN] device {}: {broken}\n", self.place));
        }
        collected
    }

    /// Resets the device, and lets it use no memory any more. Returns whether it uses none, and says so in `known` if it did not
    /// end its reset. Passes what it is done with to `put`, as [`Session::drain`] does.
    pub fn close(mut self, known: Option<&Known>, put: &mut dyn FnMut(u32, u32, Completion)) -> bool {
        if let Some(interrupt) = &self.interrupt {
            interrupt.end();
        }
        let is_reset = self.virtio.as_mut().is_none_or(|virtio| virtio.reset().is_ok());
        if let (false, Some(known)) = (is_reset, known) {
            known.is_lost.store(true, Ordering::Relaxed);
        }
        // One on PCI that does not end its reset reaches nothing either, once it is no bus master.
        let mut is_quiet = match (self.place, ports::root()) {
            (Place::Pci(function), Some(mut root)) => {
                root.set_command(function, Command::INTERRUPT_DISABLE);
                !root.get_status_command(function).1.contains(Command::BUS_MASTER)
            }
            _ => is_reset,
        };
        interrupts::clear(self.slot);
        if let Some(domain) = self.domain.take() {
            is_quiet |= iommu::close(domain);
        }
        if is_quiet {
            self.session.drain(put);
            self.session = Session::default();
            for frame in self.frames.drain(..) {
                // SAFETY: `set_up_queue` allocated it. The queue in it is gone, and the device uses no memory any more.
                unsafe { frames::release(frame) };
            }
        } else {
            let place = self.place;
            let line = format_args!("[WARN] device {place}: it still reaches memory; what it used is never freed\n");
            console::show(Style::Warning, line);
        }
        is_quiet
    }
}
