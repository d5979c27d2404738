//! The bindings of a module: the interfaces that it imports and exports, as a record of its blob.
//!
//! [`module!`](crate::module) encodes them, the packer adds the providers that `Cargo.toml` names, and the loader reads
//! them. An entry is a [header](HEADER_SIZE), the import's own name, the interface's name, the provider's selector, and
//! for each method its fingerprint (`u64`) and its [`Shape`] (`u32`).

use super::Interface;
use super::shape::Shape;
use crate::const_bytes::put;
use crate::fnv::{START, hash_bytes};
use crate::header::{NAME_SIZE, is_name_byte};

/// The section of a module's bindings; the packer makes a record of it and drops it.
pub const BINDINGS_SECTION: &str = ".bareflow.bindings";

/// The section of the signatures of a module's methods; the packer makes a record of it and drops it.
pub const SIGNATURES_SECTION: &str = ".bareflow.signatures";

/// The maximum number of entries.
pub const MAX_ENTRIES: usize = 64;

/// The maximum number of an entry's methods.
pub const MAX_METHODS: usize = 255;

/// The size of an entry before its names, in bytes.
///
/// Role, the lengths of the three names (a `u8` each), the number of methods, major and minor version (a `u16` each).
pub const HEADER_SIZE: usize = 10;

/// The size of a method, in bytes.
pub const METHOD_SIZE: usize = 12;

/// The longest provider's selector, in bytes.
pub const MAX_SELECTOR: usize = 255;

/// The part that a module plays for an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The module uses the interface.
    Import = 0,
    /// The module implements the interface, or exports functions without one.
    Export = 1,
}

/// A method, as the loader compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// The fingerprint of its name and types; of a plain function, that of its name: [`function_fingerprint`].
    pub fingerprint: u64,
    /// The way in which its arguments cross.
    pub shape: Shape,
}

/// Returns the fingerprint of a plain function, which has no types but those of every module's `run`.
#[must_use]
pub const fn function_fingerprint(name: &str) -> u64 {
    hash_bytes(name.as_bytes(), START)
}

/// An import or export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'bytes> {
    /// The part that the module plays.
    pub role: Role,
    /// The import's own name; empty for exports.
    pub name: &'bytes str,
    /// The interface's name; empty for the module's plain functions.
    pub interface: &'bytes str,
    /// The provider that an import asks for, such as `disk` or `disk@^1`; empty if any will do.
    pub provider: &'bytes str,
    /// The interface's version: major, minor.
    pub version: (u16, u16),
    methods: &'bytes [u8],
}

impl<'bytes> Entry<'bytes> {
    /// Returns the number of methods.
    #[must_use]
    pub const fn method_count(&self) -> usize {
        self.methods.len() / METHOD_SIZE
    }

    /// Returns the method with this number.
    #[must_use]
    pub fn method(&self, number: usize) -> Option<Method> {
        self.methods().nth(number)
    }

    /// Iterates over the methods.
    pub fn methods(&self) -> impl Iterator<Item = Method> + use<'bytes> {
        self.methods.chunks_exact(METHOD_SIZE).map_while(|method| {
            let (fingerprint, shape) = method.split_first_chunk()?;
            let shape = Shape::from_bits(u32::from_le_bytes(*shape.first_chunk()?))?;
            Some(Method { fingerprint: u64::from_le_bytes(*fingerprint), shape })
        })
    }

    /// Encodes the entry with the provider `provider`, piece by piece.
    pub fn encode_with(&self, provider: &str, put: &mut dyn FnMut(&[u8])) {
        let length = |text: &str| text.len() as u8;
        put(&[self.role as u8, length(self.name), length(self.interface), length(provider)]);
        for number in [self.method_count() as u16, self.version.0, self.version.1] {
            put(&number.to_le_bytes());
        }
        for part in [self.name, self.interface, provider] {
            put(part.as_bytes());
        }
        put(self.methods);
    }
}

/// An error in the bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadBinding {
    /// An entry extends beyond the end of the record.
    CutOff,
    /// The role is neither import nor export.
    Role,
    /// A name breaks the naming rule, or is missing, or is there though it may not be.
    Name,
    /// The provider's selector is not one of an import, or no text.
    Provider,
    /// An import, an interface that is exported, or the list of functions is there twice.
    Twice,
    /// A method's shape is unknown, or a plain function has arguments.
    Shape,
    /// A method is there twice.
    MethodTwice,
    /// There are more than [`MAX_ENTRIES`] entries or [`MAX_METHODS`] methods, or none.
    Count,
}

impl BadBinding {
    /// Returns a description for messages.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            BadBinding::CutOff => "it ends behind the record's end",
            BadBinding::Role => "it is neither an import nor an export",
            BadBinding::Name => "its name breaks the rule",
            BadBinding::Provider => "its provider is no selector",
            BadBinding::Twice => "it is there twice",
            BadBinding::Shape => "a method has arguments of an unknown kind",
            BadBinding::MethodTwice => "a method is there twice",
            BadBinding::Count => "there are too many or no methods, or it is one entry too many",
        }
    }
}

/// An iterator over the entries of a record; it ends at the first that is invalid.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'bytes>(&'bytes [u8]);

impl<'bytes> Entries<'bytes> {
    /// Creates an iterator over encoded entries.
    #[must_use]
    pub const fn new(bytes: &'bytes [u8]) -> Entries<'bytes> {
        Entries(bytes)
    }

    /// Validates the record `bytes`.
    ///
    /// # Errors
    /// The number of the first invalid entry, counted from 1, and the reason.
    pub fn check(bytes: &'bytes [u8]) -> Result<(), (usize, BadBinding)> {
        let (mut rest, mut count) = (Entries(bytes), 0);
        while !rest.0.is_empty() {
            count += 1;
            let wrong = |what| Err((count, what));
            if count > MAX_ENTRIES {
                return wrong(BadBinding::Count);
            }
            let entry = match rest.read() {
                Ok(entry) => entry,
                Err(what) => return wrong(what),
            };
            let same = |other: &Entry<'_>| {
                other.role == entry.role
                    && other.name == entry.name
                    && (entry.role == Role::Import || other.interface == entry.interface)
            };
            if Entries(bytes).take(count - 1).any(|other| same(&other)) {
                return wrong(BadBinding::Twice);
            }
            if let Err(what) = check_methods(&entry) {
                return wrong(what);
            }
        }
        Ok(())
    }

    /// Iterates over the imports, which are numbered in this order.
    pub fn imports(self) -> impl Iterator<Item = Entry<'bytes>> {
        self.filter(|entry| entry.role == Role::Import)
    }

    /// Iterates over the exports, with the number of each one's first function.
    pub fn exports(self) -> impl Iterator<Item = (usize, Entry<'bytes>)> {
        let mut next = 0;
        self.filter(|entry| entry.role == Role::Export).map(move |entry| {
            let first = next;
            next += entry.method_count();
            (first, entry)
        })
    }

    /// Returns the number of functions: of the methods of all exports.
    #[must_use]
    pub fn function_count(self) -> usize {
        self.exports().map(|(_, entry)| entry.method_count()).sum()
    }

    /// Returns the numbers of the plain functions, which are those without an interface.
    #[must_use]
    pub fn plain_functions(self) -> core::ops::Range<usize> {
        let plain = self.exports().find(|(_, entry)| entry.interface.is_empty());
        plain.map_or(0..0, |(first, entry)| first..first + entry.method_count())
    }

    /// Returns the function with this number, and the export that it belongs to.
    #[must_use]
    pub fn function(self, number: usize) -> Option<(Entry<'bytes>, Method)> {
        let (first, entry) = self.exports().find(|(first, entry)| number < first + entry.method_count())?;
        Some((entry, entry.method(number - first)?))
    }

    fn read(&mut self) -> Result<Entry<'bytes>, BadBinding> {
        let (header, rest) = self.0.split_first_chunk::<HEADER_SIZE>().ok_or(BadBinding::CutOff)?;
        let [role, name, interface, provider, a, b, c, d, e, f] = *header;
        let (name, rest) = rest.split_at_checked(name.into()).ok_or(BadBinding::CutOff)?;
        let (interface, rest) = rest.split_at_checked(interface.into()).ok_or(BadBinding::CutOff)?;
        let (provider, rest) = rest.split_at_checked(provider.into()).ok_or(BadBinding::CutOff)?;
        let count = usize::from(u16::from_le_bytes([a, b]));
        if !(1..=MAX_METHODS).contains(&count) {
            return Err(BadBinding::Count);
        }
        let (methods, rest) = rest.split_at_checked(count * METHOD_SIZE).ok_or(BadBinding::CutOff)?;
        let role = match role {
            0 => Role::Import,
            1 => Role::Export,
            _ => return Err(BadBinding::Role),
        };
        let is_import = role == Role::Import;
        let may_be_empty = interface.is_empty() && !is_import;
        if is_name(name) != is_import || !(name.is_empty() || is_import) || !(may_be_empty || is_name(interface)) {
            return Err(BadBinding::Name);
        }
        let text = |bytes| core::str::from_utf8(bytes).map_err(|_| BadBinding::Provider);
        if !(is_import || provider.is_empty()) {
            return Err(BadBinding::Provider);
        }
        let version = (u16::from_le_bytes([c, d]), u16::from_le_bytes([e, f]));
        self.0 = rest;
        Ok(Entry { role, name: text(name)?, interface: text(interface)?, provider: text(provider)?, version, methods })
    }
}

/// Returns whether bytes are a name.
fn is_name(bytes: &[u8]) -> bool {
    (1..NAME_SIZE).contains(&bytes.len()) && bytes.iter().copied().all(is_name_byte)
}

/// Checks that all methods have known shapes, and that none is there twice.
fn check_methods(entry: &Entry<'_>) -> Result<(), BadBinding> {
    let mut count = 0;
    for method in entry.methods() {
        if entry.interface.is_empty() && method.shape != Shape::EMPTY {
            return Err(BadBinding::Shape);
        }
        if entry.methods().take(count).any(|earlier| earlier.fingerprint == method.fingerprint) {
            return Err(BadBinding::MethodTwice);
        }
        count += 1;
    }
    if count == entry.method_count() { Ok(()) } else { Err(BadBinding::Shape) }
}

impl<'bytes> Iterator for Entries<'bytes> {
    type Item = Entry<'bytes>;

    fn next(&mut self) -> Option<Entry<'bytes>> {
        self.read().ok()
    }
}

/// An entry that is not encoded yet: for [`module!`](crate::module).
#[derive(Clone, Copy, Debug)]
pub struct NewEntry {
    /// The part that the module plays.
    pub role: Role,
    /// The import's own name; empty for exports.
    pub name: &'static str,
    /// The interface's name; empty for the module's plain functions.
    pub interface: &'static str,
    /// The interface's version: major, minor.
    pub version: (u16, u16),
    /// The methods.
    pub methods: &'static [Method],
}

impl NewEntry {
    /// Creates the entry of an import with this name; if it is empty, that of an export.
    #[must_use]
    pub const fn of<I: Interface + ?Sized>(name: &'static str) -> NewEntry {
        let role = if name.is_empty() { Role::Export } else { Role::Import };
        NewEntry { role, name, interface: I::NAME, version: I::VERSION, methods: I::METHODS }
    }
}

/// Returns the size of the encoded entries, in bytes.
#[must_use]
pub const fn encoded_size(entries: &[NewEntry]) -> usize {
    let (mut size, mut index) = (0, 0);
    while index < entries.len() {
        let entry = &entries[index];
        size += HEADER_SIZE + entry.name.len() + entry.interface.len() + entry.methods.len() * METHOD_SIZE;
        index += 1;
    }
    size
}

/// Encodes entries without providers, in exactly [`encoded_size`] bytes.
///
/// # Panics
/// If the loader would refuse them: there are too many, or a name is too long.
#[must_use]
pub const fn encode<const N: usize>(entries: &[NewEntry]) -> [u8; N] {
    assert!(entries.len() <= MAX_ENTRIES, "a module has at most 64 imports and exports");
    let (mut bytes, mut at, mut index) = ([0; N], 0, 0);
    while index < entries.len() {
        let entry = &entries[index];
        assert!(entry.name.len() < NAME_SIZE && entry.interface.len() < NAME_SIZE, "names have at most 31 bytes");
        assert!(entry.methods.len() <= MAX_METHODS, "an interface has at most 255 methods");
        at = put(&mut bytes, at, &[entry.role as u8, entry.name.len() as u8, entry.interface.len() as u8, 0]);
        at = put(&mut bytes, at, &(entry.methods.len() as u16).to_le_bytes());
        at = put(&mut bytes, at, &entry.version.0.to_le_bytes());
        at = put(&mut bytes, at, &entry.version.1.to_le_bytes());
        at = put(&mut bytes, at, entry.name.as_bytes());
        at = put(&mut bytes, at, entry.interface.as_bytes());
        let mut method = 0;
        while method < entry.methods.len() {
            at = put(&mut bytes, at, &entry.methods[method].fingerprint.to_le_bytes());
            at = put(&mut bytes, at, &entry.methods[method].shape.bits().to_le_bytes());
            method += 1;
        }
        index += 1;
    }
    bytes
}

#[cfg(test)]
#[path = "bindings_tests.rs"]
mod tests;
