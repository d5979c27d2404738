//! `module!` for modules with imports, exports or events: the entry, its types, and the sections that the packer reads.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, Result};

use crate::entry::{entry, key};
use crate::settings::{Settings, function_name};
use crate::task::task;

pub(crate) fn expand(settings: &Settings) -> Result<TokenStream> {
    check(settings)?;
    let (imports, provider) = (imports(settings), provider(settings));
    let (constants, entry, sections) = (constants(settings), entry(settings), sections(settings));
    let abi = &settings.abi;
    let parameters = settings.parameters.as_ref().map(|parameters| quote!(#abi::module!(@list #parameters);));
    let (numbers, (task_type, task)) = (settings.events.constants(), task(settings)?);
    Ok(quote! {
        #parameters
        #imports
        #provider
        #numbers
        #task_type
        const _: () = {
            #constants
            #task
            #entry
            #sections
        };
    })
}

fn check(settings: &Settings) -> Result<()> {
    if let (Some(migrate), None) = (&settings.migrate, &settings.state) {
        return Err(Error::new_spanned(migrate, "module!: `migrate` without `state`"));
    }
    match (&settings.provider, settings.interfaces.first()) {
        (Some(provider), None) => {
            return Err(Error::new(provider.span(), "module!: `provider` without an interface among the `exports`"));
        }
        (None, Some(interface)) if settings.state.is_none() => {
            let message = "module!: what implements this? Set `state = ..`, or `provider = Server` for a structure that \
                           this macro makes, with the context and the imports";
            return Err(Error::new_spanned(interface, message));
        }
        _ => {}
    }
    if settings.run.is_none() && settings.function_names().is_empty() && settings.interfaces.is_empty() {
        const REMEDY: &str = "module!: nothing to call: name a function to run, a task, or `exports`";
        return Err(Error::new(Span::call_site(), REMEDY));
    }
    Ok(())
}

/// Returns the structure of the imports.
fn imports(Settings { abi, imports, .. }: &Settings) -> TokenStream {
    if imports.is_empty() {
        return TokenStream::new();
    }
    let names: Vec<_> = imports.iter().map(|import| &import.name).collect();
    let interfaces: Vec<_> = imports.iter().map(|import| key(&import.interface)).collect();
    let abouts = names.iter().map(|name| format!("The import `{name}`."));
    let numbers = 0..imports.len() as u32;
    quote! {
        /// The module's imports, for one call.
        #[derive(Clone, Copy, Debug)]
        pub struct Imports<'call> {
            #(#[doc = #abouts] pub #names: <#interfaces as #abi::Interface>::Client<'call>,)*
        }

        impl<'call> Imports<'call> {
            /// Returns the imports of the call with this context.
            #[must_use]
            #[inline(always)]
            pub fn of(context: &#abi::Context<'call>) -> Imports<'call> {
                // SAFETY: the bindings are made of the same imports.
                Imports { #(#names: <#interfaces as #abi::Interface>::client(unsafe { context.import(#numbers) }),)* }
            }
        }
    }
}

/// Returns the structure that implements the interfaces.
fn provider(Settings { abi, imports, state, provider, .. }: &Settings) -> TokenStream {
    let Some(provider) = provider else { return TokenStream::new() };
    let state = state.as_ref().map(|state| {
        quote! {
            /// The module's state.
            pub state: &'call mut #state,
        }
    });
    let imports = (!imports.is_empty()).then(|| {
        quote! {
            /// The module's imports.
            pub imports: Imports<'call>,
        }
    });
    quote! {
        /// The provider of the module's interfaces, for one call.
        #[allow(missing_debug_implementations)]
        pub struct #provider<'call> {
            /// The call's context; its input and output are empty.
            pub context: &'call mut #abi::Context<'call>,
            #state
            #imports
        }
    }
}

/// Returns flags, bindings and state.
fn constants(settings: &Settings) -> TokenStream {
    let Settings { abi, run, state, migrate, init, exit, reentrant, imports, interfaces, events, .. } = settings;
    let flag = |is_set: bool, name: &str| {
        let name = format_ident!("{name}");
        is_set.then(|| quote!(| #abi::header::#name))
    };
    let flags = [
        flag(state.is_some(), "FLAG_STATE"),
        flag(migrate.is_some(), "FLAG_MIGRATE"),
        flag(init.is_some(), "FLAG_INIT"),
        flag(exit.is_some(), "FLAG_EXIT"),
        flag(run.is_none(), "FLAG_NO_RUN"),
    ];
    let reentrant = reentrant.as_ref().map(|value| quote!(| if #value { #abi::header::FLAG_REENTRANT } else { 0 }));
    let state = state.as_ref().map(|state| {
        quote! {
            const _: () = ::core::assert!(
                FLAGS & #abi::header::FLAG_REENTRANT == 0, "module!: calls that share a state can't overlap"
            );
            static STATE: #abi::__private::StateCell<#state> =
                #abi::__private::StateCell::new(<#state as #abi::state::State>::INITIAL);
        }
    });
    let import_names = imports.iter().map(|import| import.name.to_string());
    let import_interfaces = imports.iter().map(|import| key(&import.interface));
    let interfaces = interfaces.iter().map(key);
    let names = settings.function_names();
    let plain = (!names.is_empty()).then(|| {
        quote! {
            #abi::interface::bindings::NewEntry {
                role: #abi::interface::bindings::Role::Export,
                name: "",
                interface: "",
                version: (0, 0),
                methods: &[#(#abi::interface::bindings::Method {
                    fingerprint: #abi::interface::bindings::function_fingerprint(#names),
                    shape: #abi::interface::Shape::EMPTY,
                }),*],
            },
        }
    });
    let number = |handler: Option<&syn::Path>| {
        let name = handler.map_or_else(|| "poll".to_owned(), function_name);
        names.iter().position(|other| *other == name).unwrap_or_default()
    };
    let events_list = (!events.is_empty()).then(|| {
        let descriptions = events.descriptions(abi, number);
        quote!(const EVENTS: &[#abi::events::Event<'static>] = #descriptions;)
    });
    let checks = events.period_checks(settings.events_import().is_some());
    quote! {
        const FLAGS: u32 = 0 #(#flags)* #reentrant;
        #state
        #checks
        #events_list

        const ENTRIES: &[#abi::interface::bindings::NewEntry] = &[
            #(#abi::interface::bindings::NewEntry::of::<#import_interfaces>(#import_names),)*
            #plain
            #(#abi::interface::bindings::NewEntry::of::<#interfaces>(""),)*
        ];
    }
}

/// Returns the sections that the packer reads.
fn sections(settings: &Settings) -> TokenStream {
    let Settings { abi, state, imports, interfaces, events, .. } = settings;
    let section = |name: &str, section: &str, of: TokenStream, value: TokenStream| {
        let name = format_ident!("{name}");
        quote!(#abi::__section!(#section, #name: #of = #value);)
    };
    let bytes = |size: TokenStream| quote!([u8; #size]);
    let private = quote!(#abi::__private);
    let schema = state.as_ref().map(|state| {
        let fields = quote!(<#state as #abi::state::State>::FIELDS);
        let size = bytes(quote!(#private::schema_size(#fields)));
        section("SCHEMA", ".bareflow.state", size, quote!(#private::encode_schema(#fields)))
    });
    let layout = section("LAYOUT", ".bareflow.layout", bytes(quote!(#private::LAYOUT_SIZE)), quote!(#private::LAYOUT));
    let descriptor = section(
        "DESCRIPTOR",
        ".bareflow.descriptor",
        quote!(#abi::entry::Descriptor),
        quote!(#abi::entry::Descriptor::new(FLAGS)),
    );
    let bindings = section(
        "BINDINGS",
        ".bareflow.bindings",
        bytes(quote!(#abi::interface::bindings::encoded_size(ENTRIES))),
        quote!(#abi::interface::bindings::encode(ENTRIES)),
    );
    let events = (!events.is_empty()).then(|| {
        section(
            "EVENT_LIST",
            ".bareflow.events",
            bytes(quote!(#abi::events::encoded_size(EVENTS))),
            quote!(#abi::events::encode(EVENTS)),
        )
    });
    let described = imports.iter().map(|import| &import.interface).chain(interfaces).map(key);
    let names = settings.function_names();
    let functions = (!names.is_empty()).then(|| {
        let lines = names.iter().map(|name| format!("fn {name}() -> i32\n"));
        let text = format!("functions\n{}", lines.collect::<String>());
        quote!(#text,)
    });
    let signatures = section(
        "SIGNATURES",
        ".bareflow.signatures",
        bytes(quote!(#abi::interface::joined_size(TEXTS))),
        quote!(#abi::interface::join(TEXTS)),
    );
    quote! {
        const TEXTS: &[&str] = &[#(<#described as #abi::Interface>::TEXT,)* #functions];
        #layout
        #descriptor
        #schema
        #bindings
        #signatures
        #events
    }
}
