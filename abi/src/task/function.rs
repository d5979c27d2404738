//! The functions that can be a task.

use super::storage::room_for;
use super::{Task, TaskContext};

/// A function that can be a task: `async fn main(cx: TaskContext)`, which returns nothing or an `i32`.
#[diagnostic::on_unimplemented(
    message = "this is no task",
    label = "not an `async fn(TaskContext)`",
    note = "expected `async fn main(cx: TaskContext)`, which returns nothing or an `i32`; `module!` makes the type `TaskContext`"
)]
pub trait TaskFunction<T: Task>: Copy {
    /// The future that it returns.
    type Future: Future<Output: TaskResult>;

    /// Calls the function.
    fn start(self, cx: TaskContext<T>) -> Self::Future;
}

impl<T: Task, F: FnOnce(TaskContext<T>) -> R + Copy, R: Future<Output: TaskResult>> TaskFunction<T> for F {
    type Future = R;

    #[inline(always)]
    fn start(self, cx: TaskContext<T>) -> R {
        self(cx)
    }
}

/// A result of a task.
#[diagnostic::on_unimplemented(message = "a task returns nothing or an `i32`", label = "not the result of a task")]
pub trait TaskResult {
    /// Returns the result as a number, 0 for nothing.
    fn number(self) -> i32;
}

impl TaskResult for () {
    fn number(self) -> i32 {
        0
    }
}

impl TaskResult for i32 {
    fn number(self) -> i32 {
        self
    }
}

/// Returns the room for a task's future, in bytes.
#[must_use]
pub const fn future_room<T: Task, F: TaskFunction<T>>(_: F) -> usize {
    room_for::<F::Future>()
}
