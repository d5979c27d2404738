//! The parsing of the settings for events.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, Path, Result, Token, braced, bracketed};

use super::names::{check_name, check_new, check_source, name_of};
use super::{Event, Events, Kind};

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
                    let event = Event::new(Kind::Timer, name_of(&handler)?);
                    self.push(Event { handler: Some(handler), period: Some(period), ..event })?;
                }
            }
            "subscriptions" => {
                for Entry(handler, source) in entries(key, input, "on_price: \"feed.price\"")? {
                    check_source(&source)?;
                    let event = Event::new(Kind::Subscription, name_of(&handler)?);
                    self.push(Event { handler: Some(handler), source: Some(source), ..event })?;
                }
            }
            "interrupts" => {
                for Entry(handler, device) in entries(key, input, "on_nic: 0")? {
                    let event = Event::new(Kind::Interrupt, name_of(&handler)?);
                    self.push(Event { handler: Some(handler), period: Some(device), ..event })?;
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
                let event = Event::new(Kind::Stop, Ident::new("stop", handler.span()));
                self.push(Event { handler: Some(handler), ..event })?;
            }
            "watchdog" => {
                let period: Expr = input.parse()?;
                let event = Event::new(Kind::Watchdog, Ident::new("watchdog", period.span()));
                self.push(Event { period: Some(period), ..event })?;
            }
            "task" => self.task = Some(input.parse()?),
            _ => return Ok(false),
        }
        Ok(true)
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
