//! The code that `module!` makes of events: structures with their numbers, their descriptions, and checks of their periods.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Ident, Path};

use super::{Event, Events, Kind};

impl Events {
    /// Returns the structures with the numbers of events and notifications.
    pub(crate) fn constants(&self) -> TokenStream {
        // Only the executor arms a task's timer, and only the loader a watchdog.
        let has_number = |event: &Event| !matches!(event.kind, Kind::Watchdog | Kind::Task);
        let handled = self.handled.iter().zip(0..).filter(|(event, _)| has_number(event));
        let handled: Vec<_> = handled.map(|(event, number)| (&event.name, number)).collect();
        let published: Vec<_> = self.published.iter().zip(0_u32..).collect();
        let events = numbers("Event", "The numbers of the module's events.", "event", &handled);
        let notifications =
            numbers("Notification", "The numbers of the module's notifications.", "notification", &published);
        quote!(#events #notifications)
    }

    /// Returns the descriptions of all, of which `abi` makes the record, where `function` returns a handler's number.
    pub(crate) fn descriptions(&self, abi: &TokenStream, function: impl Fn(Option<&Path>) -> usize) -> TokenStream {
        let describe = |kind: TokenStream, name: &Ident, at_start: bool, function, period, source| {
            let (name, function) = (name.unraw().to_string(), u16::try_from(function).unwrap_or(u16::MAX));
            quote! {
                #abi::events::Event {
                    kind: #abi::events::Kind::#kind,
                    at_start: #at_start,
                    function: #function,
                    period_us: #period,
                    name: #name,
                    source: #source,
                }
            }
        };
        let (no_period, no_source) = (quote!(0), quote!(""));
        let handled = self.handled.iter().map(|event| {
            let kind = match event.kind {
                Kind::Timer | Kind::Task => quote!(Timer),
                Kind::Subscription => quote!(Subscription),
                Kind::Stop => quote!(Stop),
                Kind::Watchdog => quote!(Watchdog),
                Kind::Interrupt => quote!(Interrupt),
            };
            let function = if event.kind == Kind::Watchdog { 0 } else { function(event.handler.as_ref()) };
            let period = event.period.as_ref().map_or_else(|| no_period.clone(), |period| quote!(#period));
            let source = event.source.as_ref().map_or_else(|| no_source.clone(), |source| quote!(#source));
            describe(kind, &event.name, event.kind == Kind::Task, function, period, source)
        });
        let published = self
            .published
            .iter()
            .map(|name| describe(quote!(Notification), name, false, 0, no_period.clone(), no_source.clone()));
        quote!(&[#(#handled,)* #(#published,)*])
    }

    /// Returns checks of the periods, which are known when they are computed.
    pub(crate) fn period_checks(&self, can_arm: bool) -> TokenStream {
        let checks = self.handled.iter().filter_map(|event| {
            let period = event.period.as_ref()?;
            let message = match event.kind {
                Kind::Interrupt => return None,
                Kind::Watchdog => "module!: a watchdog has a time, in microseconds",
                _ if can_arm => return None,
                _ => "module!: a timer with a period of 0 is for `Events::after`, and the module does not import `Events`",
            };
            let at = Span::call_site().located_at(period.span());
            Some(quote_spanned! {at=>
                const _: () = {
                    const PERIOD: ::core::primitive::u64 = #period;
                    ::core::assert!(PERIOD != 0, #message)
                };
            })
        });
        quote!(#(#checks)*)
    }
}

fn numbers(name: &str, about: &str, one: &str, names: &[(&Ident, u32)]) -> TokenStream {
    if names.is_empty() {
        return TokenStream::new();
    }
    let name = format_ident!("{name}");
    let items = names.iter().map(|(name, number)| {
        let about = format!("The {one} `{}`.", name.unraw());
        let constant = Ident::new(&name.unraw().to_string().to_uppercase(), name.span());
        quote!(#[doc = #about] pub const #constant: ::core::primitive::u32 = #number;)
    });
    quote! {
        #[doc = #about]
        #[derive(Clone, Copy, Debug)]
        pub struct #name;

        #[allow(dead_code)]
        impl #name {
            #(#items)*
        }
    }
}
