#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;
use bareflow_events::Events;

async fn task(cx: TaskContext) {
    let mut kept = None;
    cx.with(|context, _| kept = Some(context));
    cx.stopped().await;
}

module!(task = task, imports = { events: Events });

fn main() {}
