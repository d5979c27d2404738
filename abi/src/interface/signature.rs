//! The signatures of methods: their fingerprints and shapes for the loader, and their texts for people.

use super::bindings::Method;
use super::plain::Plain;
use super::scalar::Scalar;
use super::shape::{ArgumentKind, MAX_ARGUMENTS, Shape};
use super::types::TypeInfo;
use crate::fnv::{START, hash_bytes};

/// An argument of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The argument's name.
    pub name: &'static str,
    /// The way in which it crosses.
    pub kind: ArgumentKind,
    /// Whether it is a reference to one value.
    pub is_one: bool,
    /// The type of the value, or of an element; `str` for a text.
    pub of: &'static TypeInfo,
}

impl Argument {
    /// Creates an argument that crosses by value.
    #[must_use]
    pub const fn scalar<T: Scalar>(name: &'static str) -> Argument {
        Argument { name, kind: ArgumentKind::Scalar, is_one: false, of: T::TYPE }
    }

    /// Creates a text.
    #[must_use]
    pub const fn text(name: &'static str) -> Argument {
        Argument { name, kind: ArgumentKind::Text, is_one: false, of: &TypeInfo::Primitive("str") }
    }

    /// Creates an argument that leads to memory: to one value if `is_one`.
    #[must_use]
    pub const fn memory<T: Plain>(name: &'static str, kind: ArgumentKind, is_one: bool) -> Argument {
        Argument { name, kind, is_one, of: T::TYPE }
    }
}

/// The signature of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The method's name.
    pub name: &'static str,
    /// Whether it takes `&mut self`.
    pub is_exclusive: bool,
    /// The arguments after `self`, at most 8.
    pub arguments: &'static [Argument],
    /// The type of an `Ok`.
    pub returns: &'static TypeInfo,
    /// The type of an `Err`.
    pub error: &'static TypeInfo,
}

impl Signature {
    /// Returns the method's shape.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        let (mut kinds, mut index) = ([ArgumentKind::Scalar; MAX_ARGUMENTS], 0);
        while index < self.arguments.len() {
            kinds[index] = self.arguments[index].kind;
            index += 1;
        }
        Shape::new(self.is_exclusive, kinds.split_at(index).0)
    }

    /// Returns the method as the loader compares it.
    #[must_use]
    pub const fn method(&self) -> Method {
        let shape = self.shape();
        let mut state = hash_bytes(self.name.as_bytes(), START);
        state = hash_bytes(&shape.bits().to_le_bytes(), state);
        let mut index = 0;
        while index < self.arguments.len() {
            state = hash_bytes(&self.arguments[index].of.fingerprint().to_le_bytes(), state);
            index += 1;
        }
        state = hash_bytes(&self.returns.fingerprint().to_le_bytes(), state);
        state = hash_bytes(&self.error.fingerprint().to_le_bytes(), state);
        Method { fingerprint: state, shape }
    }
}

/// Returns the methods with these signatures. For the macro.
///
/// # Panics
/// If there are not `N`.
#[doc(hidden)]
#[must_use]
pub const fn methods<const N: usize>(signatures: &[Signature]) -> [Method; N] {
    let (mut methods, mut index) = ([Method { fingerprint: 0, shape: Shape::EMPTY }; N], 0);
    while index < N {
        methods[index] = signatures[index].method();
        index += 1;
    }
    methods
}
