//! A policy: the services that modules may declare, and the interfaces that they may import.

use core::fmt;

use bareflow_abi::devices::Selector;
use bareflow_abi::parameters::Text;

use super::permissions::{Permissions, UnknownPermission};
use crate::name::Name;

/// The maximum length of the names of interfaces in a policy, with a comma behind each, in bytes.
pub const MAX_INTERFACES: usize = 95;

/// The words before the name of an interface and that of a device. The latter is in the list, as no interface has a colon.
const INTERFACE: &str = "interface:";
const DEVICE: &str = "device:";

/// The word for devices whose drivers reach all memory by them, which `all` does not allow, and its name in the list.
const TRUSTED: &str = "device-trusted";
const TRUSTED_NAME: &str = "device:trusted";

/// The permissions that modules may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Allowed {
    /// The services, and the heap.
    pub services: Permissions,
    /// The names of the interfaces that may be imported if the service `interfaces` is not allowed, and `device:` with those
    /// of devices, each with a comma behind it.
    #[cfg_attr(feature = "serde", serde(with = "as_text"))]
    interfaces: Text<MAX_INTERFACES>,
}

impl From<Permissions> for Allowed {
    fn from(services: Permissions) -> Allowed {
        Allowed { services, interfaces: Text::new("") }
    }
}

impl Allowed {
    /// Everything: the default policy.
    pub const ALL: Allowed = Allowed { services: Permissions::ALL, interfaces: Text::new("") };

    /// Nothing.
    pub const NONE: Allowed = Allowed { services: Permissions::NONE, interfaces: Text::new("") };

    /// Reads `all`, `none`, or some of `log,clock,call,heap,interfaces,grow`, `interface:NAME` and `device:NAME`; and of
    /// `device-trusted`, for devices whose drivers reach all memory by them, also after `all`.
    ///
    /// # Errors
    /// The part that is not known, or the first interface for which there is no room.
    pub fn parse(text: &str) -> Result<Allowed, UnknownPermission<'_>> {
        let mut allowed = Allowed::NONE;
        if let Ok(services) = Permissions::parse(text) {
            return Ok(services.into());
        }
        let (mut names, mut length) = ([0; MAX_INTERFACES], 0);
        let is_all = |part: &str| part == "all" && text.split(',').all(|other| other == part || other == TRUSTED);
        for part in text.split(',') {
            let device = part.strip_prefix(DEVICE).filter(|name| Selector::parse(name).is_some()).map(|_| part);
            let interface = part.strip_prefix(INTERFACE).filter(|name| Name::new(name).is_some());
            let trusted = (part == TRUSTED).then_some(TRUSTED_NAME);
            let Some(name) = device.or(interface).or(trusted) else {
                match Permissions::parse(part) {
                    Ok(more) if is_all(part) || part != "all" && part != "none" => {
                        allowed.services = allowed.services.union(more)
                    }
                    _ => return Err(UnknownPermission { part }),
                }
                continue;
            };
            let room = names.get_mut(length..length + name.len() + 1);
            let (comma, room) = room.and_then(<[u8]>::split_last_mut).ok_or(UnknownPermission { part })?;
            room.copy_from_slice(name.as_bytes());
            *comma = b',';
            length += name.len() + 1;
        }
        let names = names.get(..length).and_then(|names| core::str::from_utf8(names).ok());
        Ok(Allowed { interfaces: Text::new(names.unwrap_or_default()), ..allowed })
    }

    /// Iterates over the interfaces that are allowed by their names.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !name.starts_with(DEVICE))
    }

    /// Iterates over the devices that are allowed.
    pub fn devices(&self) -> impl Iterator<Item = Selector> {
        self.names().filter_map(|name| Selector::parse(name.strip_prefix(DEVICE)?))
    }

    /// Returns whether devices are allowed whose drivers reach all memory by them.
    #[must_use]
    pub fn trusts_devices(&self) -> bool {
        self.names().any(|name| name == TRUSTED_NAME)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.interfaces.as_str().split_terminator(',')
    }
}

/// Shows the policy as [`parse`](Allowed::parse) reads it.
impl fmt::Display for Allowed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = ",";
        if self.services.is_none() && !self.interfaces.is_empty() {
            separator = "";
        } else {
            write!(out, "{}", self.services)?;
        }
        self.names().try_for_each(|name| {
            let (kind, name) = match name {
                TRUSTED_NAME => ("", TRUSTED),
                _ if name.starts_with(DEVICE) => ("", name),
                _ => (INTERFACE, name),
            };
            write!(out, "{}{kind}{name}", core::mem::replace(&mut separator, ","))
        })
    }
}

/// The names of interfaces as a text.
#[cfg(feature = "serde")]
mod as_text {
    use core::fmt;

    use bareflow_abi::parameters::Text;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    use super::MAX_INTERFACES;

    type Names = Text<MAX_INTERFACES>;

    pub fn serialize<S: Serializer>(names: &Names, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(names)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        struct Names;

        impl Visitor<'_> for Names {
            type Value = super::as_text::Names;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "at most {MAX_INTERFACES} bytes of names")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                if text.len() > MAX_INTERFACES {
                    return Err(E::invalid_length(text.len(), &self));
                }
                Ok(Text::new(text))
            }
        }

        deserializer.deserialize_str(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "all",
            "none",
            "log",
            "log,clock,call,heap",
            "interface:files",
            "log,heap,interface:a,interface:b",
            "device:virtio:net",
            "log,interface:a,device:pci:class:0200",
            "all,device-trusted",
            "device-trusted",
            "log,device:pci:8086:10d3,device-trusted",
        ] {
            assert_eq!(Allowed::parse(text).map(|allowed| allowed.to_string()), Ok(text.to_string()));
        }
        for (text, trusts) in [("all", false), ("all,device-trusted", true), ("device:virtio:net", false)] {
            assert_eq!(Allowed::parse(text).unwrap().trusts_devices(), trusts, "{text}");
        }
        let trusted = Allowed::parse("all,device-trusted").unwrap();
        assert_eq!(
            (trusted.services, trusted.interfaces().count(), trusted.devices().count()),
            (Permissions::ALL, 0, 0)
        );
        let mixed = Allowed::parse("interface:files,log,interface:random,interfaces").unwrap();
        assert_eq!(mixed.to_string(), "log,interfaces,interface:files,interface:random");
        assert_eq!(mixed.interfaces().collect::<Vec<_>>(), ["files", "random"]);
    }

    #[test]
    fn rejects_other_words() {
        let long = (0..14).map(|number| std::format!("interface:name{number:02},")).collect::<String>();
        for (text, part) in [
            ("", ""),
            ("log,", ""),
            ("all,interface:files", "all"),
            ("interface:", "interface:"),
            ("interface:Files", "interface:Files"),
            ("device:virtio:nic", "device:virtio:nic"),
            ("device:trusted", "device:trusted"),
            ("all,log,device-trusted", "all"),
            ("none,device-trusted", "none"),
            ("interface:device:virtio:net", "interface:device:virtio:net"),
            ("interfaces:files", "interfaces:files"),
            (long.trim_end_matches(','), "interface:name13"),
        ] {
            assert_eq!(Allowed::parse(text), Err(UnknownPermission { part }), "{text}");
        }
    }
}
