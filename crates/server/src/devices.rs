//! The devices that modules drive.

use alloc::vec::Vec;

use bareflow_abi::devices::Selector;
use bareflow_loader::{DeviceDetails, Platform};
use bareflow_protocol::control::Device;
use bareflow_suite::fallible::{NoMemory, push};
use bareflow_suite::text;

use crate::{Server, ServerEnvironment};

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Returns all devices, in the order of their places.
    pub(crate) fn devices(&self) -> Result<Vec<Device>, NoMemory> {
        let mut found = Vec::new();
        for details in self.manager.devices() {
            push(&mut found, device(&details)?)?;
        }
        Ok(found)
    }
}

fn device(details: &DeviceDetails) -> Result<Device, NoMemory> {
    let DeviceDetails { facts, owner, is_open, is_lost, regions } = details;
    let (ids, place) = (facts.ids, facts.location);
    let place = if facts.is_on_pci {
        text!("{:02x}:{:02x}.{}", place >> 8, place >> 3 & 31, place & 7)?
    } else {
        text!("{place:#x}")?
    };
    let kind = if ids.virtio != 0 { Selector::Virtio(ids.virtio) } else { Selector::Model(ids.vendor, ids.device) };
    let state = match (facts.is_embedders, owner, is_open) {
        (true, ..) => "kernel",
        _ if *is_lost => "lost",
        _ if facts.is_broken => "broken",
        (_, None, _) => "free",
        (_, Some(_), false) => "claimed",
        (_, Some(_), true) => "open",
    };
    Ok(Device {
        place,
        device: text!("{kind}")?,
        class: text!("{:02x}{:02x}", ids.class, ids.subclass)?,
        reach: facts.reach.name().into(),
        interrupt: if facts.has_interrupt { "interrupt" } else { "polled" }.into(),
        owner: owner.map(|owner| text!("{owner}")).transpose()?,
        state: state.into(),
        regions: *regions as u32,
        faults: facts.faults,
        problem: facts.problem.map(Into::into),
    })
}
