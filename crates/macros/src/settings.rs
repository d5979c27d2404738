//! The settings of `module!`, parsed.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::token::Brace;
use syn::{Error, Expr, Ident, Path, Result, Token, Type, braced, bracketed};

use crate::events::Events;
use crate::names::{MAX_FUNCTION_NAME, MAX_NAME, is_name};

/// The settings of a module with imports, exports or events.
pub(crate) struct Settings {
    /// The path of `bareflow_abi`, as its own macro names it.
    pub(crate) abi: TokenStream,
    pub(crate) run: Option<Path>,
    pub(crate) parameters: Option<Type>,
    pub(crate) state: Option<Type>,
    pub(crate) migrate: Option<Expr>,
    pub(crate) init: Option<Expr>,
    pub(crate) exit: Option<Expr>,
    pub(crate) reentrant: Option<Expr>,
    pub(crate) imports: Vec<Import>,
    /// The plain functions: those among the exports, then those that handle events.
    pub(crate) functions: Vec<Path>,
    /// The interfaces among the exports.
    pub(crate) interfaces: Vec<Path>,
    pub(crate) provider: Option<Ident>,
    pub(crate) events: Events,
}

/// An import: its name and its interface.
pub(crate) struct Import {
    pub(crate) name: Ident,
    pub(crate) interface: Path,
}

impl Parse for Import {
    fn parse(input: ParseStream<'_>) -> Result<Import> {
        let name: Ident = input.parse()?;
        if !input.peek(Token![:]) || input.peek(Token![::]) {
            return Err(Error::new(name.span(), "module!: an import has a name of its own: write `name: Interface`"));
        }
        input.parse::<Token![:]>()?;
        Ok(Import { name, interface: input.parse()? })
    }
}

const EXPECTED: &str = "expected parameters, state, imports, exports, provider, timers, subscriptions, interrupts, notifications, stop, \
                        watchdog, task, init, exit, migrate or reentrant";

impl Parse for Settings {
    fn parse(input: ParseStream<'_>) -> Result<Settings> {
        let abi;
        bracketed!(abi in input);
        let mut settings = Settings {
            abi: abi.parse()?,
            run: None,
            parameters: None,
            state: None,
            migrate: None,
            init: None,
            exit: None,
            reentrant: None,
            imports: Vec::new(),
            functions: Vec::new(),
            interfaces: Vec::new(),
            provider: None,
            events: Events::default(),
        };
        if !input.peek2(Token![=]) {
            settings.run = Some(input.parse()?);
            settings.end(input)?;
        }
        let mut seen = Vec::new();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if seen.contains(&key) {
                return Err(Error::new(key.span(), format!("module!: `{key}` is there twice")));
            }
            if !input.peek(Token![=]) {
                let message = format!(
                    "module!: expected a setting, `{key} = ..`; a function to run comes first, before all settings, and others \
                     are among the `exports`"
                );
                return Err(Error::new(key.span(), message));
            }
            input.parse::<Token![=]>()?;
            settings.setting(&key, input)?;
            seen.push(key);
            settings.end(input)?;
        }
        settings.events.complete()?;
        settings.add_handlers()?;
        Ok(settings)
    }
}

impl Settings {
    fn setting(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        match key.to_string().as_str() {
            "parameters" => self.parameters = Some(input.parse()?),
            "state" => self.state = Some(input.parse()?),
            "migrate" => self.migrate = Some(input.parse()?),
            "init" => self.init = Some(input.parse()?),
            "exit" => self.exit = Some(input.parse()?),
            "reentrant" => self.reentrant = Some(input.parse()?),
            "provider" => self.provider = Some(input.parse()?),
            "imports" => {
                if !input.peek(Brace) {
                    return Err(Error::new(input.span(), "module!: write `imports = { name: Interface }`"));
                }
                let list;
                braced!(list in input);
                self.imports.extend(Punctuated::<Import, Token![,]>::parse_terminated(&list)?);
                check_imports(key, &self.imports)?;
            }
            "exports" => {
                let list;
                bracketed!(list in input);
                let exports = Punctuated::<Path, Token![,]>::parse_terminated(&list)?;
                if exports.is_empty() {
                    return Err(Error::new(
                        key.span(),
                        "module!: name an interface or a function, or leave `exports` out",
                    ));
                }
                let (interfaces, functions): (Vec<_>, Vec<_>) = exports.into_iter().partition(is_interface);
                functions.iter().try_for_each(check_function)?;
                check_twice(&functions)?;
                check_twice(&interfaces)?;
                (self.interfaces, self.functions) = (interfaces, functions);
            }
            other => {
                if !self.events.setting(key, input)? {
                    return Err(Error::new(key.span(), format!("module!: no setting `{other}` here, {EXPECTED}")));
                }
            }
        }
        Ok(())
    }

    /// Adds the functions that handle events to the plain functions.
    fn add_handlers(&mut self) -> Result<()> {
        for handler in self.events.handled.iter().filter_map(|event| event.handler.as_ref()) {
            match self.functions.iter().find(|function| function_name(function) == function_name(handler)) {
                None => self.functions.push(handler.clone()),
                Some(same) if quote!(#same).to_string() == quote!(#handler).to_string() => {}
                Some(_) => return Err(Error::new_spanned(handler, "module!: another function has this name")),
            }
        }
        let poll = self.functions.iter().find(|function| function_name(function) == "poll");
        match poll.filter(|_| self.events.task.is_some()) {
            Some(poll) => {
                Err(Error::new_spanned(poll, "module!: the function by which a task is polled has this name"))
            }
            None => Ok(()),
        }
    }

    /// Returns the names of the plain functions, in the order of their numbers.
    pub(crate) fn function_names(&self) -> Vec<String> {
        let poll = self.events.task.iter().map(|_| "poll".to_owned());
        self.functions.iter().map(function_name).chain(poll).collect()
    }

    /// Returns the import by which the module reaches its own events.
    pub(crate) fn events_import(&self) -> Option<&Import> {
        let is_events = |path: &Path| path.segments.last().is_some_and(|last| last.ident == "Events");
        self.imports.iter().find(|import| is_events(&import.interface))
    }

    fn end(&self, input: ParseStream<'_>) -> Result<()> {
        if input.is_empty() { Ok(()) } else { input.parse::<Token![,]>().map(|_| ()) }
    }
}

/// Returns whether an export is an interface: its name starts with a capital.
fn is_interface(path: &Path) -> bool {
    path.segments.last().is_some_and(|last| last.ident.to_string().starts_with(|first: char| first.is_uppercase()))
}

fn check_imports(key: &Ident, imports: &[Import]) -> Result<()> {
    if imports.is_empty() {
        return Err(Error::new(key.span(), "module!: name an import, `source: Files`, or leave `imports` out"));
    }
    for (number, Import { name, .. }) in imports.iter().enumerate() {
        if !is_name(&name.to_string(), MAX_NAME) {
            let message = format!("module!: `{name}` is no import's name: `[a-z0-9_]`, at most {MAX_NAME} bytes");
            return Err(Error::new(name.span(), message));
        }
        if imports.iter().take(number).any(|other| other.name == *name) {
            return Err(Error::new(name.span(), format!("module!: an import `{name}` is there already")));
        }
    }
    Ok(())
}

fn check_function(path: &Path) -> Result<()> {
    match path.segments.last() {
        Some(last) if is_name(&last.ident.to_string(), MAX_FUNCTION_NAME) => Ok(()),
        _ => {
            let message = format!("module!: no function's name: `[a-z0-9_]`, at most {MAX_FUNCTION_NAME} bytes");
            Err(Error::new_spanned(path, message))
        }
    }
}

fn check_twice(exports: &[Path]) -> Result<()> {
    for (number, path) in exports.iter().enumerate() {
        let name = path.segments.last().map(|last| &last.ident);
        if exports.iter().take(number).any(|other| other.segments.last().map(|last| &last.ident) == name) {
            return Err(Error::new_spanned(path, "module!: an export has this name already"));
        }
    }
    Ok(())
}

/// Returns the name by which a function is exported.
pub(crate) fn function_name(path: &Path) -> String {
    path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default()
}
