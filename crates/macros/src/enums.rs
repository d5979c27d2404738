//! `#[derive(Scalar)]` and `#[derive(Failure)]`: enums as words.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Expr, ExprLit, Fields, Ident, Lit, Result, Variant};

pub(crate) fn scalar(input: &DeriveInput) -> Result<TokenStream> {
    let variants = variants(input, "Scalar", "pass a structure as `&T`, and derive `Plain` for it")?;
    if let Some(variant) = variants.iter().find(|variant| !matches!(variant.fields, Fields::Unit)) {
        return Err(Error::new_spanned(variant, "an enum crosses as a number: its variants have no fields"));
    }
    let (name, text) = (&input.ident, input.ident.to_string());
    let names: Vec<_> = variants.iter().map(|variant| &variant.ident).collect();
    let texts = names.iter().map(|name| name.to_string());
    Ok(quote! {
        #[automatically_derived]
        impl ::bareflow_abi::interface::Scalar for #name {
            const TYPE: &'static ::bareflow_abi::interface::TypeInfo = &::bareflow_abi::interface::TypeInfo::Enum(
                #text,
                &[#((#texts, #name::#names as ::core::primitive::i64)),*],
            );

            #[inline]
            fn to_word(self) -> ::core::primitive::u64 {
                self as ::core::primitive::i64 as ::core::primitive::u64
            }

            #[inline]
            fn from_word(word: ::core::primitive::u64) -> ::core::option::Option<#name> {
                #(if word == #name::#names as ::core::primitive::i64 as ::core::primitive::u64 {
                    return ::core::option::Option::Some(#name::#names);
                })*
                ::core::option::Option::None
            }
        }
    })
}

pub(crate) fn failure(input: &DeriveInput) -> Result<TokenStream> {
    let variants = variants(input, "Failure", "an error crosses as a number: make it an enum")?;
    let is_call_error =
        |variant: &Variant| variant.attrs.iter().any(|attribute| attribute.path().is_ident("call_error"));
    let (call_errors, own): (Vec<_>, Vec<_>) = variants.into_iter().partition(|variant| is_call_error(variant));
    let call_error = match call_errors[..] {
        [variant] => match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => &variant.ident,
            _ => {
                return Err(Error::new_spanned(
                    variant,
                    "the variant for calls without an answer is `Call(CallError)`",
                ));
            }
        },
        [] => {
            const REMEDY: &str = "a call can fail on its way: add a variant `#[call_error] Call(CallError)`";
            return Err(Error::new_spanned(&input.ident, REMEDY));
        }
        [_, second, ..] => return Err(Error::new_spanned(second, "one variant is `#[call_error]`")),
    };
    let (mut numbers, mut next): (Vec<u32>, u32) = (Vec::new(), 1);
    for variant in &own {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "an error crosses as a number: its variants have no fields"));
        }
        let number = variant.discriminant.as_ref().map_or(Ok(next), |(_, number)| literal(number))?;
        if !(1..=255).contains(&number) || numbers.contains(&number) {
            return Err(Error::new_spanned(variant, "an error has a number of its own, from 1 to 255"));
        }
        numbers.push(number);
        next = number + 1;
    }
    let (name, text) = (&input.ident, input.ident.to_string());
    let names: Vec<&Ident> = own.iter().map(|variant| &variant.ident).collect();
    let texts = names.iter().map(|name| name.to_string());
    let described = numbers.iter().map(|&number| i64::from(number));
    Ok(quote! {
        #[automatically_derived]
        impl ::core::convert::From<::bareflow_abi::CallError> for #name {
            #[inline]
            fn from(error: ::bareflow_abi::CallError) -> #name {
                #name::#call_error(error)
            }
        }

        #[automatically_derived]
        impl ::bareflow_abi::interface::Failure for #name {
            const TYPE: &'static ::bareflow_abi::interface::TypeInfo =
                &::bareflow_abi::interface::TypeInfo::Enum(#text, &[#((#texts, #described)),*]);

            #[inline]
            fn number(&self) -> ::core::primitive::u32 {
                match *self {
                    #(#name::#names => #numbers,)*
                    #name::#call_error(ref error) => ::bareflow_abi::interface::Failure::number(error),
                }
            }

            #[inline]
            fn from_number(number: ::core::primitive::u32) -> ::core::option::Option<#name> {
                match number {
                    #(#numbers => ::core::option::Option::Some(#name::#names),)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    })
}

/// Returns the variants of an enum without generics, or an error with the remedy.
fn variants<'input>(input: &'input DeriveInput, derived: &str, remedy: &str) -> Result<Vec<&'input Variant>> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "what crosses has no generics: both sides must know the type"));
    }
    match &input.data {
        Data::Enum(data) if data.variants.is_empty() => {
            Err(Error::new_spanned(&input.ident, "an enum without variants has no value that could cross"))
        }
        Data::Enum(data) => Ok(data.variants.iter().collect()),
        _ => Err(Error::new_spanned(&input.ident, format!("`{derived}` is for enums: {remedy}"))),
    }
}

fn literal(number: &Expr) -> Result<u32> {
    const REMEDY: &str = "write the number as it is, from 1 to 255: it is part of the interface";
    let Expr::Lit(ExprLit { lit: Lit::Int(literal), .. }) = number else {
        return Err(Error::new_spanned(number, REMEDY));
    };
    literal.base10_parse().map_err(|_| Error::new_spanned(number, REMEDY))
}
