//! The messages by which a device on PCI interrupts, one of each: MSI-X, or MSI where its mask can be written.

use core::arch::x86_64::__cpuid;

use bareflow_containment::timer::FIRST_DEVICE;
use bareflow_devices::Registers;
use bareflow_devices::pci::{Bars, DeviceFunction, ENTRY_SIZE, Mask, Messages, Msi, MsiX, Reserved, capabilities};
use bareflow_devices::virtio::Structure;

use super::ecam;
use super::interrupts::{self, Gate};
use super::ports::Ports;
use super::setup::{Problem, registers};
use super::window::Window;

/// The address to which messages are written that interrupt a processor (Intel SDM volume 3, 11.11.1).
const ADDRESS: u32 = 0xfee0_0000;

/// The offsets in an entry of MSI-X's table, and the bit that masks it (PCI 3.0, 6.8.2).
const ENTRY_ADDRESS: u64 = 0;
const ENTRY_ADDRESS_HIGH: u64 = 4;
const ENTRY_DATA: u64 = 8;
const ENTRY_CONTROL: u64 = 12;
const MASKED: u32 = 1;

/// A device's message.
pub struct Message {
    function: DeviceFunction,
    slot: usize,
    capability: Capability,
    gate: Gate,
}

/// The capability by which it is sent.
enum Capability {
    MsiX(MsiX),
    Msi(Msi),
}

impl Message {
    /// Gives a device the vector of a slot, masked; `None` if it has to be polled.
    ///
    /// # Errors
    /// Its capability or its registers can't be.
    ///
    /// # Safety
    /// The addresses in `bars` are of this function's registers.
    pub unsafe fn new(
        function: DeviceFunction,
        bars: &Bars,
        slot: usize,
        device: u32,
    ) -> Result<Option<Message>, Problem> {
        // Bits 24 to 31 are the number of this processor's interrupt controller (Intel SDM volume 2, CPUID).
        let address = ADDRESS | (__cpuid(1).ebx >> 24) << 12;
        let data = FIRST_DEVICE as u16 + slot as u16;
        if let Some(msix) = MsiX::find(&Ports, function, bars)? {
            let length = u64::from(msix.vectors) * ENTRY_SIZE;
            // SAFETY: the caller promises it.
            let table = unsafe { registers(bars, Structure { bar: msix.bar, offset: msix.offset, length }) }?;
            // The table may say anything before it is written.
            msix.set(&mut Ports, function, Messages::Masked);
            let gate = write_table(table, address, data);
            interrupts::set(slot, device, gate, false);
            msix.set(&mut Ports, function, Messages::On);
            return Ok(Some(Message { function, slot, capability: Capability::MsiX(msix), gate }));
        }
        let found = Msi::find(&Ports, function).zip(ecam::registers(function));
        Ok(found.map(|(msi, memory)| {
            let Mask { offset, masked, open, loses } = msi.mask;
            // SAFETY: the window is the function's configuration space, and `Msi::find` says what the word there does.
            let gate = unsafe { Gate::new(memory.address(offset.into()), masked, open) };
            interrupts::set(slot, device, gate, loses);
            msi.enable(&mut Ports, function, (address, data));
            Message { function, slot, capability: Capability::Msi(msi), gate }
        }))
    }

    /// Returns whether a function can send messages.
    pub fn is_sent_by(function: DeviceFunction) -> bool {
        let has_msix = capabilities(&Ports, function).any(|capability| capability.id == MsiX::ID);
        has_msix || Msi::find(&Ports, function).is_some() && ecam::registers(function).is_some()
    }

    /// Returns the registers of it that no driver may reach.
    pub fn reserved(&self) -> [Reserved; 2] {
        match &self.capability {
            Capability::MsiX(msix) => msix.reserved(),
            // They lie in configuration space.
            Capability::Msi(_) => [Reserved::default(); 2],
        }
    }

    /// Lets the next one come.
    pub fn listen(&self) {
        interrupts::listen(self.slot, self.gate);
    }

    /// Ends them.
    pub fn end(&self) {
        self.gate.mask();
        match &self.capability {
            // Not off: a timer of the device's own may still want to send one, and QEMU ends where that finds the capability off.
            Capability::MsiX(msix) => msix.set(&mut Ports, self.function, Messages::Masked),
            Capability::Msi(msi) => msi.disable(&mut Ports, self.function),
        }
    }
}

/// Writes the first entry of a table, and masks all.
fn write_table(table: Window, address: u32, data: u16) -> Gate {
    let controls = (ENTRY_CONTROL..table.length()).step_by(ENTRY_SIZE as usize);
    controls.for_each(|control| table.write_u32(control, MASKED));
    table.write_u32(ENTRY_ADDRESS, address);
    table.write_u32(ENTRY_ADDRESS_HIGH, 0);
    table.write_u32(ENTRY_DATA, data.into());
    // SAFETY: the window is the table, whose first entry's control it is.
    unsafe { Gate::new(table.address(ENTRY_CONTROL), MASKED, 0) }
}
