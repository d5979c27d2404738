//! The futures of a task: times, ticks, events, and the next call.

use core::marker::PhantomData;
use core::num::NonZeroU64;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::Task;
use super::waker::wake_foreign;

/// A future that waits for a time: [`TaskContext::sleep`](super::TaskContext::sleep).
#[derive(Debug)]
#[must_use = "a future does nothing before it is awaited"]
pub struct Sleep<T> {
    time: u64,
    of: PhantomData<*const T>,
}

impl<T> Sleep<T> {
    pub(super) const fn until(time: u64) -> Sleep<T> {
        Sleep { time, of: PhantomData }
    }
}

impl<T: Task> Future for Sleep<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        ready_if(T::current().has_come::<T>(self.time), context)
    }
}

/// A clock that ticks: [`TaskContext::every`](super::TaskContext::every).
#[derive(Debug)]
pub struct Ticker<T> {
    next: u64,
    period: NonZeroU64,
    of: PhantomData<*const T>,
}

impl<T: Task> Ticker<T> {
    pub(super) fn new(now: u64, period: u64) -> Ticker<T> {
        let period = NonZeroU64::new(period).unwrap_or(NonZeroU64::MIN);
        Ticker { next: now.saturating_add(period.get()), period, of: PhantomData }
    }

    /// Waits for the next tick, and returns how many there were: more than 1 if some were missed, which are not made up for.
    ///
    /// A future that is dropped before its end loses no tick.
    #[expect(clippy::should_implement_trait, reason = "it is awaited: no iterator would do")]
    pub fn next(&mut self) -> Next<'_, T> {
        Next(self)
    }
}

/// A future that waits for a tick: [`Ticker::next`].
#[derive(Debug)]
#[must_use = "a future does nothing before it is awaited"]
pub struct Next<'ticker, T>(&'ticker mut Ticker<T>);

impl<T: Task> Future for Next<'_, T> {
    type Output = u64;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        let ticker = &mut *self.get_mut().0;
        if !T::current().has_come::<T>(ticker.next) {
            return pending(context);
        }
        let missed = T::current().last_now::<T>().saturating_sub(ticker.next) / ticker.period;
        let ticks = missed.saturating_add(1);
        ticker.next = ticker.next.saturating_add(ticks.saturating_mul(ticker.period.get()));
        Poll::Ready(ticks)
    }
}

/// A future that waits for an event: [`TaskContext::notified`](super::TaskContext::notified).
#[derive(Debug)]
#[must_use = "a future does nothing before it is awaited"]
pub struct Notified<T> {
    event: u32,
    of: PhantomData<*const T>,
}

impl<T> Notified<T> {
    pub(super) const fn new(event: u32) -> Notified<T> {
        Notified { event, of: PhantomData }
    }
}

impl<T: Task> Future for Notified<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        ready_if(T::current().take::<T>(self.event), context)
    }
}

/// A future that ends the call once: [`TaskContext::yield_now`](super::TaskContext::yield_now).
#[derive(Debug)]
#[must_use = "a future does nothing before it is awaited"]
pub struct YieldNow {
    has_yielded: bool,
}

impl YieldNow {
    pub(super) const fn new() -> YieldNow {
        YieldNow { has_yielded: false }
    }
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if core::mem::replace(&mut self.has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn ready_if(is_ready: bool, context: &Context<'_>) -> Poll<()> {
    if is_ready { Poll::Ready(()) } else { pending(context) }
}

/// Waits, by a waker of any kind.
fn pending<R>(context: &Context<'_>) -> Poll<R> {
    wake_foreign(context.waker());
    Poll::Pending
}
