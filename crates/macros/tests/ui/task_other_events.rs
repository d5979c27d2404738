#![allow(unexpected_cfgs, dead_code)]

use bareflow_abi::module;

#[bareflow_abi::interface(version = "1.0")]
trait Events {
    fn now(&mut self) -> Result<u64, bareflow_abi::CallError>;
}

async fn task(cx: TaskContext) {
    cx.stopped().await;
}

module!(task = task, imports = { events: Events });

fn main() {}
