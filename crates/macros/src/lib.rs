//! The macros for typed interfaces. They belong to `bareflow-abi`, which re-exports them with its feature `interfaces`.
//!
//! Each only describes what it sees, and leaves the rest to that crate: shapes, fingerprints and texts are computed
//! there from the descriptions.

#![forbid(unsafe_code)]

mod argument;
mod entry;
mod enums;
mod events;
mod interface;
mod method;
mod module;
mod names;
mod plain;
mod settings;
mod task;

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, ItemTrait, parse_macro_input};

/// Makes a trait an interface: `#[interface(version = "1.0")]`.
///
/// Each method takes `&self` (calls may overlap) or `&mut self` (one at a time), and returns a `Result<T, E>`: `T` is `()`
/// or a [`Scalar`](macro@Scalar), `E` is a [`Failure`](macro@Failure). Its at most 8 arguments are scalars, `&str`,
/// `&[T]`, `&mut [T]`, `&T`, `&mut T` or `&mut Out<'_, T>` of [`Plain`](macro@Plain) `T`. Methods may have a default body.
///
/// The trait stays as it is. A client, `FilesClient` for a trait `Files`, is added, and `dyn Files` becomes the key by
/// which modules and embedders name the interface.
#[proc_macro_attribute]
pub fn interface(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemTrait);
    let added = interface::expand(attribute.into(), &item).unwrap_or_else(|error| error.to_compile_error());
    // The trait stays even if it is refused, so that its users cause no errors of their own.
    quote! {
        #[diagnostic::on_unimplemented(
            note = "in `module!`, the type of `state = ..` implements the `exports`, or else the structure that \
                    `provider = Server` makes"
        )]
        #item
        #added
    }
    .into()
}

/// Makes an enum an interface's error.
///
/// Its variants have no fields, and numbers from 1 to 255: in the order of the source, or explicit, which by a rule of
/// the language takes a `#[repr(u16)]`. One variant, `#[call_error] Call(CallError)`, is for calls that gave no answer.
#[proc_macro_derive(Failure, attributes(call_error))]
pub fn failure(input: TokenStream) -> TokenStream {
    expanded(enums::failure(&parse_macro_input!(input as DeriveInput)))
}

/// Lets an enum whose variants have no fields cross by value. It is `Copy`.
#[proc_macro_derive(Scalar)]
pub fn scalar(input: TokenStream) -> TokenStream {
    expanded(enums::scalar(&parse_macro_input!(input as DeriveInput)))
}

/// Lets a structure cross in slices and by reference.
///
/// It is `Copy` and `#[repr(C)]`, without padding, and each of its fields is `Plain`.
#[proc_macro_derive(Plain)]
pub fn plain(input: TokenStream) -> TokenStream {
    expanded(plain::expand(&parse_macro_input!(input as DeriveInput)))
}

/// Makes a crate with imports, exports or events a module. `bareflow_abi::module!` passes its settings on to this.
#[doc(hidden)]
#[proc_macro]
pub fn module(input: TokenStream) -> TokenStream {
    expanded(syn::parse(input).and_then(|settings: settings::Settings| module::expand(&settings)))
}

fn expanded(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|error| error.to_compile_error()).into()
}
