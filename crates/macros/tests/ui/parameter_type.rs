#![allow(unexpected_cfgs)]

bareflow_abi::parameters! {
    struct Settings {
        mtu: usize = 10,
    }
}

fn run() -> i32 {
    0
}

bareflow_abi::module!(run, parameters = Settings);

fn main() {}
