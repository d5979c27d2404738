//! The settings of `module!` for events: `timers`, `subscriptions`, `notifications`, `stop`, `watchdog` and `task`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, LitStr, Path, Result, Token, braced, bracketed};

/// The maximum number of events, and of notifications.
const MAX_EVENTS: usize = 64;

/// The maximum length of an event's name.
const MAX_NAME: usize = 31;

/// The maximum length of the name of another module.
const MAX_MODULE_NAME: usize = 31;

/// The events of a module.
#[derive(Default)]
pub(crate) struct Events {
    /// The events that it handles, in the order of their numbers.
    pub(crate) handled: Vec<Event>,
    /// The notifications that it publishes.
    pub(crate) published: Vec<Ident>,
    /// The function that is its task.
    pub(crate) task: Option<Path>,
}

/// An event that a module handles.
pub(crate) struct Event {
    kind: &'static str,
    /// The name, with the place that it was taken from.
    name: Ident,
    /// The function that handles it; a task handles what has none.
    pub(crate) handler: Option<Path>,
    period: Option<Expr>,
    source: Option<LitStr>,
}

/// An entry of a list: `name: value`.
struct Entry<V>(Path, V);

impl<V: Parse> Parse for Entry<V> {
    fn parse(input: ParseStream<'_>) -> Result<Entry<V>> {
        let path: Path = input.parse()?;
        if !input.peek(Token![:]) {
            return Err(Error::new_spanned(&path, "module!: write `name: value`"));
        }
        input.parse::<Token![:]>()?;
        Ok(Entry(path, input.parse()?))
    }
}

impl Events {
    /// Parses the value of a setting, if it is one of events.
    pub(crate) fn setting(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<bool> {
        match key.to_string().as_str() {
            "timers" => {
                for Entry(handler, period) in entries(key, input, "on_tick: 100_000")? {
                    self.add("Timer", name_of(&handler)?, Some(handler), Some(period), None)?;
                }
            }
            "subscriptions" => {
                for Entry(handler, source) in entries(key, input, "on_price: \"feed.price\"")? {
                    check_source(&source)?;
                    self.add("Subscription", name_of(&handler)?, Some(handler), None, Some(source))?;
                }
            }
            "notifications" => {
                let list;
                bracketed!(list in input);
                let names = Punctuated::<Ident, Token![,]>::parse_terminated(&list)?;
                if names.is_empty() {
                    return Err(Error::new(key.span(), "module!: name a notification, or leave `notifications` out"));
                }
                for name in names {
                    check_name(&name)?;
                    check_new(&name, &self.published)?;
                    self.published.push(name);
                }
            }
            "stop" => {
                let handler: Path = input.parse()?;
                self.add("Stop", Ident::new("stop", handler.span()), Some(handler), None, None)?;
            }
            "watchdog" => {
                let period: Expr = input.parse()?;
                self.add("Watchdog", Ident::new("watchdog", period.span()), None, Some(period), None)?;
            }
            "task" => self.task = Some(input.parse()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Adds the events of a task, behind all others, and checks that it has no handlers.
    pub(crate) fn complete(&mut self) -> Result<()> {
        let Some(task) = &self.task else { return Ok(()) };
        for event in &mut self.handled {
            match (event.kind, event.handler.take()) {
                ("Timer" | "Stop", Some(handler)) => {
                    let message = "module!: a task handles its events itself: it waits for `cx.sleep(..)`, \
                                   `cx.every(..)` and `cx.stopped()`";
                    return Err(Error::new_spanned(handler, message));
                }
                ("Subscription", Some(name)) if name.get_ident().is_none() => {
                    return Err(Error::new_spanned(name, "module!: a task's subscription has a name, and no handler"));
                }
                (_, Some(name)) if event.name == "task" || event.name == "stop" => {
                    return Err(Error::new_spanned(name, "module!: the task's own events are `task` and `stop`"));
                }
                _ => {}
            }
        }
        let at = task.span();
        self.add("Timer", Ident::new("task", at), None, None, None)?;
        self.add("Stop", Ident::new("stop", at), None, None, None)
    }

    fn add(
        &mut self,
        kind: &'static str,
        name: Ident,
        handler: Option<Path>,
        period: Option<Expr>,
        source: Option<LitStr>,
    ) -> Result<()> {
        check_new(&name, self.handled.iter().map(|event| &event.name))?;
        self.handled.push(Event { kind, name, handler, period, source });
        Ok(())
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.handled.is_empty() && self.published.is_empty()
    }

    /// Returns the number of a task's own event of this name.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.handled.iter().zip(0..).find(|(event, _)| event.name == name).map(|(_, number)| number)
    }

    /// Returns the structures with the numbers of events and notifications.
    pub(crate) fn constants(&self) -> TokenStream {
        let has_task = self.task.is_some();
        // The executor alone arms a task's timer, and the loader a watchdog.
        let is_own = |event: &Event| event.kind != "Watchdog" && !(has_task && event.name == "task");
        let handled = self.handled.iter().zip(0..).filter(|(event, _)| is_own(event));
        let handled: Vec<_> = handled.map(|(event, number)| (&event.name, number)).collect();
        let published: Vec<_> = self.published.iter().zip(0_u32..).collect();
        let events = numbers("Event", "The numbers of the module's events.", "event", &handled);
        let notifications =
            numbers("Notification", "The numbers of the module's notifications.", "notification", &published);
        quote!(#events #notifications)
    }

    /// Returns the descriptions of all, of which `abi` makes the record, where `function` returns a handler's number.
    pub(crate) fn descriptions(&self, abi: &TokenStream, function: impl Fn(Option<&Path>) -> usize) -> TokenStream {
        let describe =
            |kind: &str, name: String, is_task: bool, function, period: &TokenStream, source: &TokenStream| {
                let (kind, function) = (format_ident!("{kind}"), u16::try_from(function).unwrap_or(u16::MAX));
                quote! {
                    #abi::events::Event {
                        kind: #abi::events::Kind::#kind,
                        at_start: #is_task,
                        function: #function,
                        period_us: #period,
                        name: #name,
                        source: #source,
                    }
                }
            };
        let (no_period, no_source) = (quote!(0), quote!(""));
        let handled = self.handled.iter().map(|event| {
            let is_task = event.kind == "Timer" && event.handler.is_none();
            let function = if event.kind == "Watchdog" { 0 } else { function(event.handler.as_ref()) };
            let period = event.period.as_ref().map_or_else(|| no_period.clone(), |period| quote!(#period));
            let source = event.source.as_ref().map_or_else(|| no_source.clone(), |source| quote!(#source));
            describe(event.kind, event.name.unraw().to_string(), is_task, function, &period, &source)
        });
        let published = self
            .published
            .iter()
            .map(|name| describe("Notification", name.unraw().to_string(), false, 0, &no_period, &no_source));
        quote!(&[#(#handled,)* #(#published,)*])
    }

    /// Returns checks of the periods, which are known when they are computed.
    pub(crate) fn period_checks(&self, can_arm: bool) -> TokenStream {
        let checks = self.handled.iter().filter_map(|event| {
            let period = event.period.as_ref()?;
            let message = match event.kind {
                "Watchdog" => "module!: a watchdog has a time, in microseconds",
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

fn entries<V: Parse>(key: &Ident, input: ParseStream<'_>, example: &str) -> Result<Punctuated<Entry<V>, Token![,]>> {
    if !input.peek(syn::token::Brace) {
        return Err(Error::new(input.span(), format!("module!: write `{key} = {{ {example} }}`")));
    }
    let list;
    braced!(list in input);
    let entries = Punctuated::<Entry<V>, Token![,]>::parse_terminated(&list)?;
    if entries.is_empty() {
        return Err(Error::new(key.span(), format!("module!: write `{key} = {{ {example} }}`, or leave `{key}` out")));
    }
    Ok(entries)
}

/// Returns the name of the event that a function handles: the function's own.
fn name_of(handler: &Path) -> Result<Ident> {
    let Some(last) = handler.segments.last() else { return Err(Error::new_spanned(handler, "module!: no name")) };
    check_name(&last.ident)?;
    Ok(last.ident.clone())
}

fn check_name(name: &Ident) -> Result<()> {
    if is_name(&name.unraw().to_string()) {
        return Ok(());
    }
    let message = format!("module!: `{name}` is no event's name: `[a-z_][a-z0-9_]*`, at most {MAX_NAME} bytes");
    Err(Error::new(name.span(), message))
}

fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(is_allowed)
        && !text.starts_with(|first: char| first.is_ascii_digit())
}

fn check_source(source: &LitStr) -> Result<()> {
    let text = source.value();
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let is_source = text.split_once('.').is_some_and(|(module, name)| {
        (1..=MAX_MODULE_NAME).contains(&module.len()) && module.bytes().all(is_allowed) && is_name(name)
    });
    if is_source {
        return Ok(());
    }
    let message = "module!: name a module and what it publishes, as in \"feed.price\"";
    Err(Error::new(source.span(), message))
}

/// Checks that a name is not among those that came before, and that there is room for it.
fn check_new<'name>(name: &Ident, others: impl IntoIterator<Item = &'name Ident>) -> Result<()> {
    let mut count = 0;
    for other in others {
        if other == name {
            return Err(Error::new(name.span(), format!("module!: `{name}` is there already")));
        }
        count += 1;
    }
    if count < MAX_EVENTS {
        return Ok(());
    }
    Err(Error::new(
        name.span(),
        format!("module!: a module has at most {MAX_EVENTS} events, and as many notifications"),
    ))
}
