//! The types in signatures.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use syn::{Expr, ExprLit, ExprUnary, Fields, Item, Lit, UnOp};

use super::line::{MAX_DEPTH, parse};

/// A type of values that cross.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    /// `()`.
    Unit,
    /// `bool`.
    Bool,
    /// `char`.
    Char,
    /// An integer: its name, its size in bytes, and its least and greatest value.
    Integer(&'static str, usize, [i128; 2]),
    /// A float: its name, and its size in bytes.
    Float(&'static str, usize),
    /// `CallError`.
    CallError,
    /// An array: its elements' type and their number.
    Array(Box<Type>, usize),
    /// A structure: its name, and its fields' names and types.
    Struct(String, Vec<(String, Type)>),
    /// An enum: its name, and its variants' names and numbers.
    Enum(String, Vec<(String, i64)>),
}

/// The types of the language that cross.
const PRIMITIVES: [Type; 13] = [
    Type::Bool,
    Type::Char,
    Type::CallError,
    Type::Integer("u8", 1, [0, u8::MAX as i128]),
    Type::Integer("u16", 2, [0, u16::MAX as i128]),
    Type::Integer("u32", 4, [0, u32::MAX as i128]),
    Type::Integer("u64", 8, [0, u64::MAX as i128]),
    Type::Integer("i8", 1, [i8::MIN as i128, i8::MAX as i128]),
    Type::Integer("i16", 2, [i16::MIN as i128, i16::MAX as i128]),
    Type::Integer("i32", 4, [i32::MIN as i128, i32::MAX as i128]),
    Type::Integer("i64", 8, [i64::MIN as i128, i64::MAX as i128]),
    Type::Float("f32", 4),
    Type::Float("f64", 8),
];

/// The size of the largest type that is understood, in bytes.
const MAX_SIZE: usize = 64 << 10;

impl Type {
    /// Returns the size of a value in a slice, in bytes. Only numbers, arrays and structures have one.
    pub fn size(&self) -> Option<usize> {
        let size = match self {
            Type::Integer(_, size, _) | Type::Float(_, size) => Some(*size),
            Type::Array(element, length) => element.size()?.checked_mul(*length),
            Type::Struct(_, fields) => {
                fields.iter().try_fold(0_usize, |sum, (_, field)| sum.checked_add(field.size()?))
            }
            Type::Unit | Type::Bool | Type::Char | Type::CallError | Type::Enum(..) => None,
        };
        size.filter(|size| (1..=MAX_SIZE).contains(size))
    }

    /// Returns the number of levels of arrays and structures in each other.
    fn depth(&self) -> usize {
        match self {
            Type::Array(element, _) => 1 + element.depth(),
            Type::Struct(_, fields) => 1 + fields.iter().map(|(_, field)| field.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Returns the type as its signature has it, followed by its definition if it has one.
    pub fn with_definition(&self) -> String {
        match self {
            Type::Struct(name, fields) => {
                let fields = fields.iter().map(|(name, of)| format!("{name}: {}", of.with_definition()));
                format!("{name} {{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
            Type::Enum(name, variants) => {
                let variants = variants.iter().map(|(name, number)| format!("{name} = {number}"));
                format!("{name} {{ {} }}", variants.collect::<Vec<_>>().join(", "))
            }
            Type::Array(element, length) => format!("[{}; {length}]", element.with_definition()),
            other => other.to_string(),
        }
    }

    /// Returns whether both are the same to the loader: names of structures and enums do not count.
    pub fn serves_as(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Struct(_, one), Type::Struct(_, other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .zip(other)
                        .all(|((name, one), (as_name, other))| name == as_name && one.serves_as(other))
            }
            (Type::Enum(_, one), Type::Enum(_, other)) => one == other,
            (Type::Array(one, length), Type::Array(other, as_length)) => length == as_length && one.serves_as(other),
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Unit => out.write_str("()"),
            Type::Bool => out.write_str("bool"),
            Type::Char => out.write_str("char"),
            Type::CallError => out.write_str("CallError"),
            Type::Integer(name, ..) | Type::Float(name, _) => out.write_str(name),
            Type::Array(element, length) => write!(out, "[{element}; {length}]"),
            Type::Struct(name, _) | Type::Enum(name, _) => out.write_str(name),
        }
    }
}

/// The types that an interface names, in the order of their definitions.
#[derive(Debug, Default)]
pub(crate) struct Types(Vec<Type>);

impl Types {
    /// Reads a line of definition, which may refer to those before it.
    pub fn define(&mut self, line: &str) -> Result<()> {
        let defined = match parse(line)? {
            Item::Struct(of) => {
                let fields =
                    if let Fields::Named(fields) = of.fields { fields.named.into_iter().collect() } else { vec![] };
                let read = |field: syn::Field| {
                    let name = field.ident.context("a field has no name")?.to_string();
                    Ok((name, self.resolve(&field.ty)?))
                };
                Type::Struct(of.ident.to_string(), fields.into_iter().map(read).collect::<Result<_>>()?)
            }
            Item::Enum(of) => {
                let read = |variant: &syn::Variant| {
                    let (_, number) = variant.discriminant.as_ref().context("a variant has no number")?;
                    Ok((variant.ident.to_string(), integer(number)?))
                };
                Type::Enum(of.ident.to_string(), of.variants.iter().map(read).collect::<Result<_>>()?)
            }
            _ => bail!("neither a structure nor an enum"),
        };
        // Otherwise, a few lines could describe a type that takes all memory here.
        ensure!(matches!(defined, Type::Enum(..)) || defined.size().is_some(), "no bytes, or too many");
        ensure!(defined.depth() <= MAX_DEPTH, "nested more than {MAX_DEPTH} levels deep");
        self.0.push(defined);
        Ok(())
    }

    /// Returns the type that syntax denotes.
    pub fn resolve(&self, of: &syn::Type) -> Result<Type> {
        match of {
            syn::Type::Tuple(tuple) if tuple.elems.is_empty() => Ok(Type::Unit),
            syn::Type::Array(array) => {
                let length = usize::try_from(integer(&array.len)?)?;
                Ok(Type::Array(Box::new(self.resolve(&array.elem)?), length))
            }
            syn::Type::Path(path) => {
                let name = path.path.get_ident().context("a path, expected a name")?.to_string();
                let known = self.0.iter().chain(&PRIMITIVES).find(|known| known.to_string() == name);
                known.cloned().with_context(|| format!("the type {name} is not described"))
            }
            _ => bail!("a type of an unknown kind"),
        }
    }
}

/// Reads an integer, which may be negative.
fn integer(of: &Expr) -> Result<i64> {
    match of {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Ok(number.base10_parse()?),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => match &**expr {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Ok(format!("-{}", number.base10_digits()).parse()?),
            _ => bail!("no number"),
        },
        _ => bail!("no number"),
    }
}
