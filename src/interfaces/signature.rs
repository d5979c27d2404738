//! The signatures of methods, as the text in a blob has them.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use bareflow_abi::interface::{ArgumentKind, MAX_ARGUMENTS, Shape};
use syn::{FnArg, GenericArgument, Pat, PathArguments, ReturnType, TraitItemFn};

use super::line::parse;
use super::types::{Type, Types};

/// A method.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    /// The line that it was read from.
    pub text: String,
    /// Whether it takes `&mut self`.
    pub is_exclusive: bool,
    /// The arguments after `self`.
    pub arguments: Vec<Argument>,
    /// The type of an `Ok`.
    pub returns: Type,
    /// The type of an `Err`.
    pub error: Type,
}

/// An argument of a method.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    /// The argument's name.
    pub name: String,
    /// The way in which it crosses.
    pub kind: ArgumentKind,
    /// Whether it is a reference to one value.
    pub is_one: bool,
    /// The type of the value, or of an element; nothing for a text.
    pub of: Type,
}

impl Signature {
    /// Reads a line of a method, whose types are in `types`.
    ///
    /// # Errors
    /// It is none.
    pub fn read(line: &str, types: &Types) -> Result<Signature> {
        let read = parse::<TraitItemFn>(&format!("{line};"))?.sig;
        let mut inputs = read.inputs.iter();
        let Some(FnArg::Receiver(receiver)) = inputs.next() else { bail!("it has no `self`") };
        let arguments = inputs.map(|input| Argument::read(input, types)).collect::<Result<Vec<_>>>()?;
        ensure!(arguments.len() <= MAX_ARGUMENTS, "it has {} arguments, expected at most 8", arguments.len());
        let ReturnType::Type(_, returned) = &read.output else { bail!("it returns no `Result`") };
        let [returns, error] = &generics(returned, "Result")?[..] else { bail!("it returns no `Result`") };
        Ok(Signature {
            text: line.to_owned(),
            is_exclusive: receiver.mutability.is_some(),
            arguments,
            returns: types.resolve(returns)?,
            error: types.resolve(error)?,
        })
    }

    /// Returns the method's shape.
    pub fn shape(&self) -> Shape {
        let kinds: Vec<_> = self.arguments.iter().map(|argument| argument.kind).collect();
        Shape::new(self.is_exclusive, &kinds)
    }
}

impl Argument {
    fn read(input: &FnArg, types: &Types) -> Result<Argument> {
        let FnArg::Typed(input) = input else { bail!("`self` is there twice") };
        let Pat::Ident(name) = &*input.pat else { bail!("an argument has no name") };
        let argument = |kind, is_one, of| Argument { name: name.ident.to_string(), kind, is_one, of };
        let syn::Type::Reference(reference) = &*input.ty else {
            return Ok(argument(ArgumentKind::Scalar, false, types.resolve(&input.ty)?));
        };
        let (is_mut, of) = (reference.mutability.is_some(), &*reference.elem);
        let kind = if is_mut { ArgumentKind::SliceMut } else { ArgumentKind::Slice };
        Ok(match of {
            syn::Type::Path(path) if path.path.is_ident("str") => argument(ArgumentKind::Text, false, Type::Unit),
            syn::Type::Slice(slice) => argument(kind, false, types.resolve(&slice.elem)?),
            of => match &generics(of, "Out")?[..] {
                [element] if is_mut => argument(ArgumentKind::Out, false, types.resolve(element)?),
                _ => argument(kind, true, types.resolve(of)?),
            },
        })
    }
}

/// Shows the type, as the signature has it.
impl fmt::Display for Argument {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = &self.of;
        match (self.kind, self.is_one) {
            (ArgumentKind::Scalar, _) => write!(out, "{of}"),
            (ArgumentKind::Text, _) => out.write_str("&str"),
            (ArgumentKind::Slice, true) => write!(out, "&{of}"),
            (ArgumentKind::Slice, false) => write!(out, "&[{of}]"),
            (ArgumentKind::SliceMut, true) => write!(out, "&mut {of}"),
            (ArgumentKind::SliceMut, false) => write!(out, "&mut [{of}]"),
            (ArgumentKind::Out, _) => write!(out, "&mut Out<'_, {of}>"),
        }
    }
}

/// Returns the types in the angle brackets behind `name`; none if the type is another one.
fn generics<'of>(of: &'of syn::Type, name: &str) -> Result<Vec<&'of syn::Type>> {
    let syn::Type::Path(path) = of else { return Ok(Vec::new()) };
    let last = path.path.segments.last().context("a path is empty")?;
    let PathArguments::AngleBracketed(all) = &last.arguments else { return Ok(Vec::new()) };
    ensure!(last.ident == name, "{}<..>, expected {name}<..>", last.ident);
    let types = all.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(of) => Some(of),
        _ => None,
    });
    Ok(types.collect())
}
