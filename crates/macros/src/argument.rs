//! The arguments of a method: how each crosses, by its type.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Error, GenericArgument, Ident, PathArguments, Result, Type, TypePath, TypeReference};

/// A way in which an argument crosses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Text,
    Slice,
    SliceMut,
    Out,
}

/// An argument.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    pub(crate) kind: Kind,
    /// Whether it is a reference to one element.
    pub(crate) is_one: bool,
    /// The type of the value or of an element; `str` for a text.
    pub(crate) of: Type,
}

impl Argument {
    pub(crate) fn new(name: &Ident, argument: &Type) -> Result<Argument> {
        let (kind, is_one, of) = match argument {
            Type::Path(path) => (Kind::Scalar, false, by_value(path)?),
            Type::Reference(reference) => by_reference(reference)?,
            other => return Err(refused(other)),
        };
        Ok(Argument { name: name.clone(), kind, is_one, of })
    }

    /// Returns the number of words that it takes.
    pub(crate) fn words(&self) -> usize {
        if self.kind == Kind::Scalar { 1 } else { 2 }
    }

    /// Returns its description, an expression.
    pub(crate) fn description(&self) -> TokenStream {
        let (Argument { is_one, of, .. }, name) = (self, self.name.unraw().to_string());
        let kind = match self.kind {
            Kind::Scalar => return quote!(::bareflow_abi::interface::Argument::scalar::<#of>(#name)),
            Kind::Text => return quote!(::bareflow_abi::interface::Argument::text(#name)),
            Kind::Slice => quote!(Slice),
            Kind::SliceMut => quote!(SliceMut),
            Kind::Out => quote!(Out),
        };
        let kind = quote!(::bareflow_abi::interface::ArgumentKind::#kind);
        quote!(::bareflow_abi::interface::Argument::memory::<#of>(#name, #kind, #is_one))
    }
}

const CAN_CROSS: &str = "pass a scalar, `&str`, `&[T]`, `&mut [T]`, `&T`, `&mut T` or `&mut Out<'_, T>`";

fn refused(found: &impl ToTokens) -> Error {
    Error::new_spanned(found, format!("this can't cross a border: {CAN_CROSS}"))
}

/// Checks a type that is passed or returned by value, as far as its name says what is wrong.
pub(crate) fn by_value(path: &TypePath) -> Result<Type> {
    let Some(last) = path.path.segments.last() else { return Err(refused(path)) };
    let remedy = match last.ident.to_string().as_str() {
        "usize" => "use u64 or u32: a portable module has 4 bytes there",
        "isize" => "use i64 or i32: a portable module has 4 bytes there",
        "u128" => "a value takes one word: pass `&[u64; 2]`",
        "i128" => "a value takes one word: pass `&[i64; 2]`",
        "Vec" | "Box" => "the two sides have no heap in common: pass `&[T]`, `&mut [T]` or `&mut Out<'_, T>`",
        "String" => "the two sides have no heap in common: pass `&str`, or `&mut Out<'_, u8>` to be filled in",
        "Out" => "the caller lends it: pass `&mut Out<'_, T>`",
        "Option" => "pass a scalar and let the method return an error, or add an enum that derives `Scalar`",
        "Self" => "`Self` is another type on each side: pass a scalar that stands for it",
        _ if !last.arguments.is_none() => return Err(refused(path)),
        _ => return Ok(Type::Path(path.clone())),
    };
    Err(Error::new_spanned(path, remedy))
}

fn by_reference(reference: &TypeReference) -> Result<(Kind, bool, Type)> {
    if let Some(lifetime) = &reference.lifetime {
        return Err(Error::new_spanned(lifetime, "arguments are lent for the call only: leave the lifetime out"));
    }
    let (is_mutable, of) = (reference.mutability.is_some(), &*reference.elem);
    let kind = if is_mutable { Kind::SliceMut } else { Kind::Slice };
    match of {
        Type::Slice(slice) => Ok((kind, false, element(&slice.elem)?)),
        Type::Array(_) => Ok((kind, true, element(of)?)),
        Type::Path(path) if path.path.is_ident("str") && is_mutable => {
            Err(Error::new_spanned(reference, "a text stays as it is: pass `&mut [u8]`, or `&mut Out<'_, u8>`"))
        }
        Type::Path(path) if path.path.is_ident("str") => Ok((Kind::Text, false, of.clone())),
        Type::Path(path) => match out_of(path) {
            Some(of) if is_mutable => Ok((Kind::Out, false, element(of)?)),
            Some(_) => Err(Error::new_spanned(reference, "the method appends to it: pass `&mut Out<'_, T>`")),
            None => Ok((kind, true, element(of)?)),
        },
        _ => Err(refused(reference)),
    }
}

/// Checks the type of an element, as far as its name says what is wrong.
fn element(of: &Type) -> Result<Type> {
    match of {
        Type::Array(array) => element(&array.elem).map(|_| of.clone()),
        Type::Path(path) => match path.path.segments.last().map(|last| last.ident.to_string()).as_deref() {
            Some("u128") => Err(Error::new_spanned(of, "use `[u64; 2]`")),
            Some("i128") => Err(Error::new_spanned(of, "use `[i64; 2]`")),
            _ => by_value(path),
        },
        _ => Err(refused(of)),
    }
}

/// Returns the `T` of an `Out<'_, T>`.
fn out_of(path: &TypePath) -> Option<&Type> {
    let last = path.path.segments.last().filter(|last| last.ident == "Out")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(of) => Some(of),
        _ => None,
    })
}
