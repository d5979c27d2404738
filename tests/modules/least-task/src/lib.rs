//! The least task: it waits until it is asked to end.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::module;
use bareflow_events::Events;

module!(task = main, imports = { events: Events });

async fn main(cx: TaskContext) {
    cx.stopped().await;
}
