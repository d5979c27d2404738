//! Tasks: a module that is an `async fn`, polled by the loader whenever one of its events is due.
//!
//! ```ignore
//! use bareflow_events::Events;
//!
//! module!(task = main, imports = { events: Events }, subscriptions = { price: "feed.price" });
//!
//! async fn main(cx: TaskContext) {
//!     let mut second = cx.every(1_000_000);
//!     while let Either::First(_) = select(second.next(), cx.stopped()).await {
//!         cx.with(|context, _| context.log("another second"));
//!     }
//! }
//! ```
//!
//! The loader polls the task by a plain function, `poll`: an ordinary call with a budget, a profile and contained faults.
//! The future lies in the module's own data, without a heap. `docs/events.md` is the guide.
//!
//! Futures of other crates work here, such as `select` and `join` of `embassy-futures`. Those of a [`TaskContext`] look at
//! what is due when they are polled, so what combines them should poll all of them, as those two do; one that polls only
//! what its own wakers name (`FuturesUnordered`) is polled without a pause.
//!
//! `embassy-executor` would be the crate that others use. It is made for a program of many tasks: a queue of those to run,
//! a header for each, a spawner, symbols for the whole program (`__pender`, those of the queue of timers), and for time
//! `embassy-time` with a driver and a tick fixed when it is compiled. Here the loader has the queue, the timers and the
//! budgets, and wants to know from each poll what the task waits for and whether it has ended, which that crate does not
//! tell. One future in one place takes less code than the adapter would.

mod current;
mod function;
mod futures;
mod poll;
mod storage;
mod task_context;
mod waker;

pub use current::Current;
pub use function::{TaskFunction, TaskResult, future_room};
pub use futures::{Next, Notified, Sleep, Ticker, YieldNow};
pub use poll::{end_call, poll};
pub use storage::Storage;
pub use task_context::TaskContext;

use crate::Context;

/// The services of the loader that a task is made of: a client of the interface `events`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no client of the interface `events`",
    label = "a task takes its time from the loader",
    note = "the import with the interface `Events` of a task is that of the crate `bareflow-events`"
)]
pub trait EventClient {
    /// The error of its methods.
    type Error;

    /// Makes the timer `event` due in `microseconds`.
    ///
    /// # Errors
    /// There is no such timer, or the call gave no answer.
    fn after(&mut self, event: u32, microseconds: u64) -> Result<(), Self::Error>;

    /// Publishes a notification. Returns the number of subscribers.
    ///
    /// # Errors
    /// There is no such notification, or the call gave no answer.
    fn notify(&mut self, notification: u32) -> Result<u32, Self::Error>;

    /// Returns the time, in microseconds.
    ///
    /// # Errors
    /// The call gave no answer.
    fn now(&mut self) -> Result<u64, Self::Error>;
}

/// A module with a task. [`module!`](crate::module) implements it.
pub trait Task: Copy + 'static {
    /// The number of the event that is the task's timer.
    const TIMER: u32;
    /// The number of the event that asks the task to end.
    const STOP: u32;
    /// The module's state, `()` if it has none.
    type State: 'static;
    /// The module's imports.
    type Imports<'call>;
    /// The client among them by which the task reaches the loader.
    type Events<'call>: EventClient<Error = Self::Error>;
    /// The error of that client.
    type Error;

    /// Returns what is known of the task between its polls.
    fn current() -> &'static Current<Self::State>;

    /// Returns the imports of a call.
    fn imports<'call>(context: &Context<'call>) -> Self::Imports<'call>;

    /// Returns the client of a call.
    fn events<'call>(context: &Context<'call>) -> Self::Events<'call>;
}

#[cfg(test)]
mod tests;
