//! `#[derive(Plain)]`: structures that cross in slices and by reference.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Data, DeriveInput, Error, Fields, Meta, Result, Token};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "what crosses has no generics: both sides must know the type"));
    }
    let fields = match &input.data {
        Data::Struct(data) if matches!(&data.fields, Fields::Named(fields) if !fields.named.is_empty()) => &data.fields,
        Data::Struct(_) => {
            return Err(Error::new_spanned(&input.ident, "a structure that crosses has fields, and they have names"));
        }
        Data::Enum(_) => {
            const REMEDY: &str = "not every number is a variant: derive `Scalar`, and pass it by value";
            return Err(Error::new_spanned(&input.ident, REMEDY));
        }
        Data::Union(_) => return Err(Error::new_spanned(&input.ident, "a union may have padding: use a structure")),
    };
    check_layout(input)?;
    let (name, text) = (&input.ident, input.ident.to_string());
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let names = fields.iter().filter_map(|field| field.ident.as_ref()).map(|name| name.to_string());
    Ok(quote! {
        const _: () = ::core::assert!(
            ::core::mem::size_of::<#name>() == 0 #(+ ::core::mem::size_of::<#types>())*,
            ::core::concat!(
                "`", #text, "` has padding, whose bytes would cross unset: order the fields by size, \
                 or fill the gaps with fields"
            )
        );

        // SAFETY: all fields are `Plain`, as their descriptions show, and there is no padding, as was just checked.
        #[automatically_derived]
        unsafe impl ::bareflow_abi::interface::Plain for #name {
            const TYPE: &'static ::bareflow_abi::interface::TypeInfo = &::bareflow_abi::interface::TypeInfo::Struct(
                #text,
                &[#((#names, <#types as ::bareflow_abi::interface::Plain>::TYPE)),*],
            );
        }
    })
}

/// Checks that the layout is `repr(C)` and nothing else.
fn check_layout(input: &DeriveInput) -> Result<()> {
    const REMEDY: &str = "the compiler may order the fields as it likes: add `#[repr(C)]`";
    let mut parts = Vec::new();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        parts.extend(attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?);
    }
    if parts.is_empty() {
        return Err(Error::new_spanned(&input.ident, REMEDY));
    }
    match parts.iter().find(|part| !part.path().is_ident("C")) {
        Some(part) => Err(Error::new_spanned(part, "a structure that crosses is `#[repr(C)]` and nothing else")),
        None => Ok(()),
    }
}
