#![allow(unexpected_cfgs)]

use bareflow_abi::interface::Interface;
use bareflow_abi::{CallError, Context, interface};

#[interface(version = "1.0")]
pub trait Clock {
    fn now(&self) -> Result<u64, CallError>;
}

#[interface(version = "1.0")]
pub trait Name {
    fn set(&self, name: &str) -> Result<u64, CallError>;
}

bareflow_abi::module!(run, imports = { clock: Clock });

fn run(context: &mut Context<'_>, _: Imports<'_>) -> i32 {
    <dyn Name as Interface>::client(context.import(0)).set("a").is_ok().into()
}

fn main() {}
