//! The devices that a module drives, as a record of its blob.
//!
//! The packer writes it, and the loader reads it. An entry is the length of a text, and the text, a [`Selector`]. Since ABI
//! 1.6.

use core::fmt;

/// The maximum number of devices of a module.
pub const MAX_DEVICES: usize = 8;

/// The types of virtio devices that have a name, by their numbers (OASIS, Virtual I/O Device 1.2, 5).
const VIRTIO_NAMES: [(&str, u16); 11] = [
    ("net", 1),
    ("block", 2),
    ("console", 3),
    ("entropy", 4),
    ("balloon", 5),
    ("scsi", 8),
    ("9p", 9),
    ("gpu", 16),
    ("input", 18),
    ("socket", 19),
    ("crypto", 20),
];

/// A device's identification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceIds {
    /// The vendor; 0 where there is no bus.
    pub vendor: u16,
    /// The vendor's number of the device.
    pub device: u16,
    /// The class of PCI.
    pub class: u8,
    /// The class's part.
    pub subclass: u8,
    /// The type of virtio device; 0 if it is none.
    pub virtio: u16,
}

/// The devices that a module can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// A type of virtio device, on any bus: `virtio:net`.
    Virtio(u16),
    /// A model on PCI, by vendor and device: `pci:8086:10d3`.
    Model(u16, u16),
    /// A class and subclass on PCI: `pci:class:0200`.
    Class(u8, u8),
}

impl Selector {
    /// Reads a selector as it is written: numbers are in hexadecimal, lower case, with all digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Selector> {
        if let Some(name) = text.strip_prefix("virtio:") {
            return virtio_type(name).map(Selector::Virtio);
        }
        let (first, second) = text.strip_prefix("pci:")?.split_once(':')?;
        let second = number(second)?;
        if first == "class" {
            let [class, subclass] = second.to_be_bytes();
            return Some(Selector::Class(class, subclass));
        }
        Some(Selector::Model(number(first)?, second))
    }

    /// Returns whether a device is one of these.
    #[must_use]
    pub fn fits(&self, ids: &DeviceIds) -> bool {
        match *self {
            Selector::Virtio(kind) => kind != 0 && ids.virtio == kind,
            Selector::Model(vendor, device) => (ids.vendor, ids.device) == (vendor, device),
            Selector::Class(class, subclass) => ids.vendor != 0 && (ids.class, ids.subclass) == (class, subclass),
        }
    }
}

/// Shows the selector as [`parse`](Selector::parse) reads it.
impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Selector::Virtio(kind) => match virtio_name(kind) {
                Some(name) => write!(out, "virtio:{name}"),
                None => write!(out, "virtio:{kind:04x}"),
            },
            Selector::Model(vendor, device) => write!(out, "pci:{vendor:04x}:{device:04x}"),
            Selector::Class(class, subclass) => write!(out, "pci:class:{class:02x}{subclass:02x}"),
        }
    }
}

/// Returns the name of a type of virtio device, if it has one.
#[must_use]
pub fn virtio_name(kind: u16) -> Option<&'static str> {
    VIRTIO_NAMES.iter().find(|(_, number)| *number == kind).map(|(name, _)| *name)
}

fn virtio_type(name: &str) -> Option<u16> {
    let named = VIRTIO_NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    // What has a name is written by it, so that each selector has one form.
    named.or_else(|| number(name).filter(|&kind| kind != 0 && virtio_name(kind).is_none()))
}

/// Reads a number of four digits.
fn number(text: &str) -> Option<u16> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == 4 && text.bytes().all(is_digit)).then(|| u16::from_str_radix(text, 16).ok())?
}

/// An error in the devices of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadDevice {
    /// An entry extends beyond the end of the record.
    CutOff,
    /// The text is no selector.
    Selector,
    /// There are more than [`MAX_DEVICES`].
    TooMany,
}

impl BadDevice {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadDevice::CutOff => "it extends beyond the end of the record",
            BadDevice::Selector => "it is not `virtio:NAME`, `pci:VVVV:DDDD` or `pci:class:CCSS`",
            BadDevice::TooMany => "it is one too many",
        }
    }
}

/// An iterator over the devices of a record; it ends at the first entry that is invalid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Devices<'bytes>(&'bytes [u8]);

impl<'bytes> Devices<'bytes> {
    /// Creates an iterator over a record.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Devices<'bytes> {
        Devices(bytes)
    }

    /// Validates a record.
    ///
    /// # Errors
    /// The number of the first invalid entry, counted from 1, and the reason.
    pub fn check(bytes: &'bytes [u8]) -> Result<(), (usize, BadDevice)> {
        let (mut rest, mut count) = (Devices(bytes), 0);
        while !rest.0.is_empty() {
            count += 1;
            if count > MAX_DEVICES {
                return Err((count, BadDevice::TooMany));
            }
            rest.read().map_err(|why| (count, why))?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Selector, BadDevice> {
        let (length, rest) = self.0.split_first().ok_or(BadDevice::CutOff)?;
        let (text, rest) = rest.split_at_checked(usize::from(*length)).ok_or(BadDevice::CutOff)?;
        let selector = core::str::from_utf8(text).ok().and_then(Selector::parse).ok_or(BadDevice::Selector)?;
        self.0 = rest;
        Ok(selector)
    }
}

impl Iterator for Devices<'_> {
    type Item = Selector;

    fn next(&mut self) -> Option<Selector> {
        self.read().ok()
    }
}

/// Encodes an entry, piece by piece.
pub fn encode(selector: &str, put: &mut dyn FnMut(&[u8])) {
    // A selector is short; a longer text is cut, and then none.
    let text = selector.as_bytes();
    let text = text.get(..text.len().min(usize::from(u8::MAX))).unwrap_or_default();
    put(&[text.len() as u8]);
    put(text);
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    const NIC: DeviceIds = DeviceIds { vendor: 0x1af4, device: 0x1041, class: 2, subclass: 0, virtio: 1 };

    fn record(texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        texts.iter().for_each(|text| encode(text, &mut |part| bytes.extend_from_slice(part)));
        bytes
    }

    #[test]
    fn reads_what_it_shows() {
        for (text, selector, fits) in [
            ("virtio:net", Selector::Virtio(1), true),
            ("virtio:block", Selector::Virtio(2), false),
            ("virtio:001a", Selector::Virtio(26), false),
            ("pci:1af4:1041", Selector::Model(0x1af4, 0x1041), true),
            ("pci:8086:10d3", Selector::Model(0x8086, 0x10d3), false),
            ("pci:class:0200", Selector::Class(2, 0), true),
            ("pci:class:0108", Selector::Class(1, 8), false),
        ] {
            assert_eq!(Selector::parse(text), Some(selector), "{text}");
            assert_eq!(selector.to_string(), text);
            assert_eq!(selector.fits(&NIC), fits, "{text}");
        }
        let on_no_bus = DeviceIds { virtio: 1, ..DeviceIds::default() };
        assert!(Selector::Virtio(1).fits(&on_no_bus));
        assert!(!Selector::Class(0, 0).fits(&on_no_bus));
        assert!(!Selector::Virtio(0).fits(&DeviceIds::default()));
    }

    #[test]
    fn rejects_all_else() {
        for text in [
            "",
            "virtio",
            "virtio:",
            "virtio:nic",
            "virtio:0001",
            "virtio:0000",
            "virtio:1a",
            "pci:",
            "pci:8086",
            "pci:8086:10D3",
            "pci:8086:+0d3",
            "pci:8086:10d",
            "pci:808:10d3",
            "pci:class:02",
            "pci:class:020000",
            "usb:1",
            "pci:class:0200:1",
            "Virtio:net",
            " virtio:net",
        ] {
            assert_eq!(Selector::parse(text), None, "{text}");
            assert_eq!(Devices::check(&record(&["virtio:net", text])), Err((2, BadDevice::Selector)), "{text}");
        }
    }

    #[test]
    fn lists_the_devices_of_a_record() {
        let bytes = record(&["virtio:net", "pci:class:0200"]);
        assert_eq!(Devices::check(&bytes), Ok(()));
        assert!(Devices::new(&bytes).eq([Selector::Virtio(1), Selector::Class(2, 0)]));
        assert_eq!(Devices::check(&[]), Ok(()));
        let first = 1 + "virtio:net".len();
        for length in (1..bytes.len()).filter(|&length| length != first) {
            let number = if length < first { 1 } else { 2 };
            assert_eq!(Devices::check(&bytes[..length]), Err((number, BadDevice::CutOff)), "{length}");
        }
        assert_eq!(Devices::check(&record(&["virtio:net"; MAX_DEVICES])), Ok(()));
        let error = Err((MAX_DEVICES + 1, BadDevice::TooMany));
        assert_eq!(Devices::check(&record(&["virtio:net"; MAX_DEVICES + 1])), error);
    }
}
