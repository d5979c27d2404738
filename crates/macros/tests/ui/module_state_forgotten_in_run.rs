#![allow(unexpected_cfgs)]

use bareflow_abi::{Context, module};

struct Book;

fn run(_: &mut Context, _: &mut Book) -> i32 {
    0
}

module!(run);

fn main() {}
