use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
pub trait Clock {
    fn now(&self) -> Result<u64, CallError>;
}

#[interface(version = "1.0")]
pub trait Name {
    fn set(&self, name: &str) -> Result<u64, CallError>;
}

fn mixed_up(clock: ClockClient<'_>) -> NameClient<'_> {
    NameClient { port: clock.port }
}

fn main() {}
