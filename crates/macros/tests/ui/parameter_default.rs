#![allow(unexpected_cfgs)]

bareflow_abi::parameters! {
    struct Settings {
        #[range(68..=9000)]
        mtu: u32 = 10,
    }
}

fn run() -> i32 {
    0
}

bareflow_abi::module!(run, parameters = Settings);

fn main() {}
