//! The settings of `module!` for events: `timers`, `subscriptions`, `interrupts`, `notifications`, `stop`, `watchdog` and
//! `task`.

mod emit;
mod names;
mod parse;

use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, LitStr, Path, Result};

use names::check_new;

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
    kind: Kind,
    /// The name, with the place that it was taken from.
    name: Ident,
    /// The function that handles it; a task handles what has none.
    pub(crate) handler: Option<Path>,
    period: Option<Expr>,
    source: Option<LitStr>,
}

/// The kind of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Timer,
    /// The timer by which a task is polled: due once when the module goes live.
    Task,
    Subscription,
    Stop,
    Watchdog,
    /// An interrupt of a device, whose number is the period.
    Interrupt,
}

impl Event {
    /// Creates an event without a handler, a period and a source.
    fn new(kind: Kind, name: Ident) -> Event {
        Event { kind, name, handler: None, period: None, source: None }
    }
}

impl Events {
    /// Adds the events of a task, after all others, and checks that it has no handlers.
    pub(crate) fn complete(&mut self) -> Result<()> {
        let Some(task) = &self.task else { return Ok(()) };
        for event in &mut self.handled {
            match (event.kind, event.handler.take()) {
                (Kind::Timer | Kind::Stop, Some(handler)) => {
                    let message = "module!: a task handles its events itself: it waits for `cx.sleep(..)`, \
                                   `cx.every(..)` and `cx.stopped()`";
                    return Err(Error::new_spanned(handler, message));
                }
                (Kind::Subscription | Kind::Interrupt, Some(name)) if name.get_ident().is_none() => {
                    let message = "module!: a task's subscription or interrupt has a name, and no handler";
                    return Err(Error::new_spanned(name, message));
                }
                (_, Some(name)) if event.name == "task" || event.name == "stop" => {
                    return Err(Error::new_spanned(name, "module!: the task's own events are `task` and `stop`"));
                }
                _ => {}
            }
        }
        let at = task.span();
        self.push(Event::new(Kind::Task, Ident::new("task", at)))?;
        self.push(Event::new(Kind::Stop, Ident::new("stop", at)))
    }

    fn push(&mut self, event: Event) -> Result<()> {
        check_new(&event.name, self.handled.iter().map(|event| &event.name))?;
        self.handled.push(event);
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
}
