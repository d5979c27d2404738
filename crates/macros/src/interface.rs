//! `#[interface]`: what a trait's client, description and service are made of.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemTrait, LitStr, MetaNameValue, Result};

use crate::method::Method;
use crate::names::{MAX_NAME, is_name};

/// The maximum number of an interface's methods.
const MAX_METHODS: usize = 255;

pub(crate) fn expand(attribute: TokenStream, item: &ItemTrait) -> Result<TokenStream> {
    let (major, minor) = version(attribute)?;
    check_trait(item)?;
    let name = snake_case(&item.ident)?;
    let mut methods = Vec::new();
    let mut errors: Option<Error> = None;
    for (number, part) in (0..).zip(&item.items) {
        match Method::new(number, part) {
            Ok(method) => methods.push(method),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }
    if !(1..=MAX_METHODS).contains(&methods.len()) {
        return Err(Error::new(item.ident.span(), "an interface has 1 to 255 methods"));
    }
    let (ident, visibility) = (&item.ident, &item.vis);
    let client = format_ident!("{ident}Client");
    let about = format!("A user's end of [`{ident}`]: each method is a call of the provider.");
    let calls = methods.iter().map(Method::call);
    let signatures = methods.iter().map(Method::signature);
    let count = methods.len();
    let arms: Vec<_> = methods.iter().map(|method| (method.is_exclusive, method.arm(ident))).collect();
    let all = arms.iter().map(|(_, arm)| arm);
    let shared = arms.iter().filter(|(is_exclusive, _)| !is_exclusive).map(|(_, arm)| arm);
    Ok(quote! {
        #[doc = #about]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #client<'call> {
            port: ::bareflow_abi::interface::Port<'call, dyn #ident>,
        }

        #[automatically_derived]
        impl #ident for #client<'_> {
            #(#calls)*
        }

        // SAFETY: shapes and client are made of the same arguments.
        #[automatically_derived]
        unsafe impl ::bareflow_abi::interface::Interface for dyn #ident {
            const NAME: &'static str = #name;
            const VERSION: (u16, u16) = (#major, #minor);
            const SIGNATURES: &'static [::bareflow_abi::interface::Signature] = &[#(#signatures),*];
            const METHODS: &'static [::bareflow_abi::interface::bindings::Method] = {
                const METHODS: [::bareflow_abi::interface::bindings::Method; #count] =
                    ::bareflow_abi::interface::methods(<dyn #ident as ::bareflow_abi::interface::Interface>::SIGNATURES);
                &METHODS
            };
            const TEXT: &'static str = {
                const TEXT: &'static str = ::bareflow_abi::interface::text(&::bareflow_abi::interface::encode_text::<{
                    ::bareflow_abi::interface::text_size(
                        #name, (#major, #minor), <dyn #ident as ::bareflow_abi::interface::Interface>::SIGNATURES,
                    )
                }>(#name, (#major, #minor), <dyn #ident as ::bareflow_abi::interface::Interface>::SIGNATURES));
                TEXT
            };
            type Client<'call> = #client<'call>;

            fn client(port: ::bareflow_abi::interface::Port<'_, dyn #ident>) -> #client<'_> {
                #client { port }
            }
        }

        #[automatically_derived]
        impl<__Provider: #ident + ?::core::marker::Sized> ::bareflow_abi::interface::Serve<__Provider> for dyn #ident {
            #[inline]
            fn serve(
                provider: &mut __Provider,
                arguments: &::bareflow_abi::interface::Arguments<'_>,
            ) -> ::core::result::Result<u32, ::bareflow_abi::CallError> {
                match arguments.method() {
                    #(#all)*
                    _ => ::core::result::Result::Err(::bareflow_abi::CallError::NoSuchMethod),
                }
            }

            #[inline]
            fn serve_shared(
                provider: &__Provider,
                arguments: &::bareflow_abi::interface::Arguments<'_>,
            ) -> ::core::result::Result<u32, ::bareflow_abi::CallError> {
                let _ = provider;
                match arguments.method() {
                    #(#shared)*
                    _ => ::core::result::Result::Err(::bareflow_abi::CallError::NoSuchMethod),
                }
            }
        }
    })
}

/// Parses `version = "1.0"`.
fn version(attribute: TokenStream) -> Result<(u16, u16)> {
    const REMEDY: &str = "an interface has a version, `#[interface(version = \"1.0\")]`: major, which changes when users \
                          break, and minor, which grows with new methods";
    if attribute.is_empty() {
        return Err(Error::new(Span::call_site(), REMEDY));
    }
    let setting: MetaNameValue = syn::parse2(attribute).map_err(|error| Error::new(error.span(), REMEDY))?;
    if !setting.path.is_ident("version") {
        return Err(Error::new_spanned(setting.path, REMEDY));
    }
    let text: LitStr = syn::parse2(quote::ToTokens::to_token_stream(&setting.value))
        .map_err(|_| Error::new(setting.value.span(), REMEDY))?;
    let number = |part: &str| {
        let is_short = part == "0" || !part.starts_with('0');
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten().filter(|_| is_short)
    };
    let value = text.value();
    let parsed = value.split_once('.').and_then(|(major, minor)| number(major).zip(number(minor)));
    parsed.filter(|&version| version != (0, 0)).ok_or_else(|| Error::new(text.span(), REMEDY))
}

fn check_trait(item: &ItemTrait) -> Result<()> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "an interface has no generics: both sides must know its types"));
    }
    if let Some(clause) = &item.generics.where_clause {
        return Err(Error::new_spanned(clause, "an interface has no conditions"));
    }
    if !item.supertraits.is_empty() {
        return Err(Error::new_spanned(
            &item.supertraits,
            "an interface has no supertraits: its client would have to implement them; ask for them where you use it",
        ));
    }
    if let Some(token) = &item.unsafety {
        return Err(Error::new_spanned(token, "an interface is safe to implement: a provider is trusted with nothing"));
    }
    Ok(())
}

/// Returns the interface's name: that of the trait in snake case.
fn snake_case(ident: &Ident) -> Result<String> {
    let (mut name, mut may_break) = (String::new(), false);
    let text = ident.unraw().to_string();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        // A word begins with a capital after a small letter, and with the last of several capitals.
        let begins_word =
            letter.is_uppercase() && (may_break || letters.peek().is_some_and(|next| next.is_lowercase()));
        if begins_word && !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        may_break = letter.is_lowercase() || letter.is_ascii_digit();
        name.extend(letter.to_lowercase());
    }
    if !is_name(&name, MAX_NAME) {
        return Err(Error::new(
            ident.span(),
            format!("`{name}` is no interface's name: `[a-z0-9_]`, at most {MAX_NAME} bytes"),
        ));
    }
    Ok(name)
}
