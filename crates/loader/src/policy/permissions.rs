//! Permissions: what a module's header declares, checked against the policy of the one who loads it.

use core::fmt;

use bareflow_abi::header::{Header, SERVICE_NAMES};

/// The heap's bit. It is neither a service nor a bit of the header, which declares a heap by its size.
const HEAP: u32 = 1 << 31;

/// A set of services and the heap: those that a module declares, or those that a policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Permissions(u32);

impl Permissions {
    /// All permissions: the default policy.
    pub const ALL: Permissions = Permissions(u32::MAX);

    /// The heap alone.
    pub const HEAP: Permissions = Permissions(HEAP);

    /// No permissions.
    pub const NONE: Permissions = Permissions(0);

    /// Returns the permissions that a module declares.
    #[must_use]
    pub const fn declared(header: &Header) -> Permissions {
        Permissions(header.services & !HEAP | if header.heap_size > 0 { HEAP } else { 0 })
    }

    /// Reads `all`, `none`, or some of `log,clock,call,heap`.
    ///
    /// # Errors
    /// The part that is not known.
    pub fn parse(text: &str) -> Result<Permissions, UnknownPermission<'_>> {
        match text {
            "all" => return Ok(Permissions::ALL),
            "none" => return Ok(Permissions::NONE),
            _ => {}
        }
        text.split(',').try_fold(Permissions::NONE, |Permissions(bits), part| {
            let bit = names().find_map(|(bit, name)| (name == part).then_some(bit));
            bit.map(|bit| Permissions(bits | bit)).ok_or(UnknownPermission { part })
        })
    }

    /// Returns the permissions that `policy` does not allow.
    #[must_use]
    pub const fn difference(self, policy: Permissions) -> Permissions {
        Permissions(self.0 & !policy.0)
    }

    /// Returns the permissions of both.
    #[must_use]
    pub const fn union(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }

    /// Returns the permissions without a service.
    #[must_use]
    pub(crate) const fn without(self, service: u32) -> Permissions {
        Permissions(self.0 & !service)
    }

    /// Returns whether a service is one of them.
    #[must_use]
    pub(crate) const fn has(self, service: u32) -> bool {
        self.0 & service != 0
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Iterates over all names, with their bits.
fn names() -> impl Iterator<Item = (u32, &'static str)> {
    SERVICE_NAMES.into_iter().chain([(HEAP, "heap")])
}

/// Shows the set as [`parse`](Permissions::parse) reads it; bits without a name are shown as a number.
impl fmt::Display for Permissions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = names().fold(0, |bits, (bit, _)| bits | bit);
        match self.0 {
            u32::MAX => return out.write_str("all"),
            0 => return out.write_str("none"),
            _ => {}
        }
        let mut separator = "";
        for (_, name) in names().filter(|(bit, _)| self.0 & bit != 0) {
            write!(out, "{separator}{name}")?;
            separator = ",";
        }
        if self.0 & !known != 0 { write!(out, "{separator}{}", ServiceNames(self.0 & !known)) } else { Ok(()) }
    }
}

/// A part of a policy that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{part}\" {}", expected(.part))]
pub struct UnknownPermission<'text> {
    /// The part.
    pub part: &'text str,
}

/// Returns what was expected of a part.
fn expected(part: &str) -> &'static str {
    match part {
        "all" => "goes only with device-trusted; leave out the others, which it allows already",
        "none" => "goes with no other; leave it out",
        _ => {
            "can't be allowed, expected all, none, or some of log,clock,call,heap,interfaces,grow,interface:NAME,\
             device:virtio:NAME,device:pci:VVVV:DDDD,device:pci:class:CCSS,device-trusted"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn reads_what_it_writes() {
        for text in ["all", "none", "log", "clock,heap", "log,clock,call,heap"] {
            assert_eq!(Permissions::parse(text).map(|allowed| allowed.to_string()), Ok(text.to_string()));
        }
        assert_eq!(Permissions::parse("heap,log"), Permissions::parse("log,heap"));
    }

    #[test]
    fn rejects_other_words() {
        for (text, part) in [("", ""), ("log,", ""), ("log,network", "network"), ("all,log", "all"), ("Log", "Log")] {
            assert_eq!(Permissions::parse(text), Err(UnknownPermission { part }), "{text}");
        }
        let text = |part| UnknownPermission { part }.to_string();
        assert_eq!(
            text("network"),
            "\"network\" can't be allowed, expected all, none, or some of log,clock,call,heap,interfaces,grow,interface:NAME,\
             device:virtio:NAME,device:pci:VVVV:DDDD,device:pci:class:CCSS,device-trusted"
        );
        let all = "\"all\" goes only with device-trusted; leave out the others, which it allows already";
        assert_eq!(text("all"), all);
        assert_eq!(text("none"), "\"none\" goes with no other; leave it out");
    }

    #[test]
    fn says_what_a_header_declares() {
        let header = Header { services: 0x41, heap_size: 1, ..Header::default() };
        let declared = Permissions::declared(&header);
        assert_eq!(declared.to_string(), "log,heap,unknown (0x40)");
        assert_eq!(declared.difference(Permissions::ALL), Permissions::NONE);
        assert_eq!(declared.difference(Permissions::parse("log").unwrap()).to_string(), "heap,unknown (0x40)");
        assert!(Permissions::declared(&Header::default()).is_none());
    }
}

/// A set of services, shown by their names.
#[derive(Clone, Copy, Debug)]
pub struct ServiceNames(pub u32);

impl fmt::Display for ServiceNames {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("none");
        }
        let mut rest = self.0;
        let mut separator = "";
        for (bit, name) in SERVICE_NAMES {
            if self.0 & bit != 0 {
                write!(out, "{separator}{name}")?;
                separator = ", ";
                rest &= !bit;
            }
        }
        if rest != 0 { write!(out, "{separator}unknown ({rest:#x})") } else { Ok(()) }
    }
}
