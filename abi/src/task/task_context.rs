//! The task's own view: the call that polls it, and what it can wait for.

use core::marker::PhantomData;

use super::futures::{Notified, Sleep, Ticker, YieldNow};
use super::{EventClient, Task};
use crate::Context;

/// The handle of a task to the call that polls it, to the module's state and imports, and to what it can wait for.
///
/// It outlives the call, and can be copied. A [`Context`] and imports belong to one call, so no future holds them across
/// an `.await`: [`with`](Self::with) lends those of the call under way.
///
/// All methods panic outside of a poll of the task.
#[derive(Clone, Copy, Debug)]
pub struct TaskContext<T: Task> {
    /// A task stays with the call that polls it.
    of: PhantomData<*const T>,
}

impl<T: Task> TaskContext<T> {
    pub(super) const fn new() -> TaskContext<T> {
        TaskContext { of: PhantomData }
    }

    /// Lends the context and the imports of the call under way to `work`.
    ///
    /// # Panics
    /// Within another `with`, outside of which the other methods are for, except [`state`](Self::state).
    pub fn with<R>(self, work: impl for<'call> FnOnce(&mut Context<'call>, T::Imports<'call>) -> R) -> R {
        T::current().lend_context(|context| {
            let imports = T::imports(context);
            work(context, imports)
        })
    }

    /// Lends the module's state, which `state!` made, to `work`. A reload carries it over; the task itself starts anew.
    ///
    /// # Panics
    /// Within another `state`.
    pub fn state<R>(self, work: impl FnOnce(&mut T::State) -> R) -> R {
        T::current().lend_state(work)
    }

    /// Publishes a notification, such as `Notification::PRICE`. Returns the number of subscribers.
    ///
    /// # Errors
    /// As for `Events::notify`.
    pub fn notify(self, notification: u32) -> Result<u32, T::Error> {
        T::current().lend_context(|context| T::events(context).notify(notification))
    }

    /// Returns the time, in microseconds since some point in the past.
    ///
    /// # Panics
    /// If the loader does not tell it.
    #[must_use]
    pub fn now(self) -> u64 {
        T::current().ask_now::<T>()
    }

    /// Waits until `microseconds` have passed from now on; for ever, if that is later than can be said.
    #[must_use = "a future does nothing before it is awaited"]
    pub fn sleep(self, microseconds: u64) -> Sleep<T> {
        Sleep::until(self.now().saturating_add(microseconds))
    }

    /// Returns a clock that ticks each time that `microseconds` have passed, from now on; 0 is taken as 1.
    #[must_use]
    pub fn every(self, microseconds: u64) -> Ticker<T> {
        Ticker::new(self.now(), microseconds)
    }

    /// Waits for an event, such as `Event::PRICE`.
    ///
    /// However many notifications came since the last one was waited for are one. If two futures wait for the same event,
    /// one of them gets it.
    #[must_use = "a future does nothing before it is awaited"]
    pub fn notified(self, event: u32) -> Notified<T> {
        Notified::new(event)
    }

    /// Waits until `look` finds something: it looks at once, and again each time that `event` comes.
    ///
    /// So a task waits for a ring that it shares with another module: `look` opens the region and pops an element, and the
    /// other one publishes when it has pushed some.
    pub async fn until<R>(
        self,
        event: u32,
        mut look: impl for<'call> FnMut(&mut Context<'call>, T::Imports<'call>) -> Option<R>,
    ) -> R {
        loop {
            if let Some(found) = self.with(&mut look) {
                return found;
            }
            self.notified(event).await;
        }
    }

    /// Waits until the task is asked to end. From then on it is ready at once.
    #[must_use = "a future does nothing before it is awaited"]
    pub fn stopped(self) -> Notified<T> {
        Notified::new(T::STOP)
    }

    /// Ends this call, and goes on in another one, after what is due already.
    #[must_use = "a future does nothing before it is awaited"]
    pub fn yield_now(self) -> YieldNow {
        YieldNow::new()
    }
}
