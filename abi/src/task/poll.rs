//! The polls of a task.

use core::task::{self, Poll};

use super::function::{TaskFunction, TaskResult};
use super::storage::Storage;
use super::waker::waker;
use super::{Task, TaskContext};
use crate::Context;

/// Polls a task for the events in the input: a word with a bit for each. Returns 0, or 1 if it has ended.
///
/// The output is a word: the events that the task waits for, a bit for each, or, when it ends, its result.
///
/// # Safety
/// All calls for `storage` have the same `main`, and do not overlap. No thread keeps what belongs to the task.
pub unsafe fn poll<T: Task, F: TaskFunction<T>, const ROOM: usize>(
    storage: &'static Storage<ROOM>,
    main: F,
    context: &mut Context<'_>,
    state: &mut T::State,
) -> i32 {
    let current = T::current();
    let due = context.input().first_chunk().map_or(0, |due| u64::from_le_bytes(*due));
    let waker = waker(&current.is_woken);
    let entered = current.enter::<T>(context, state, due);
    // SAFETY: as the caller promises.
    let polled = unsafe { storage.poll(|| main.start(TaskContext::new()), &mut task::Context::from_waker(&waker)) };
    drop(entered);
    let (output, has_ended) = match polled {
        Some(Poll::Pending) => (current.waiting::<T>(), 0),
        Some(Poll::Ready(result)) => (i64::from(result.number()) as u64, 1),
        None => (0, 1),
    };
    if has_ended != 0 {
        current.end();
    }
    context.write_word(output);
    has_ended
}

/// Ends a call of a module with a task, be it a poll or another one, which may have woken the task.
#[inline]
pub fn end_call<T: Task>(context: &Context<'_>) {
    T::current().arm::<T>(context);
}
