//! All forms of `module!` with imports and exports, each of which compiles.

#![allow(dead_code)]
#![allow(unexpected_cfgs, reason = "what is for module builds only")]

use bareflow_abi::interface::bindings::{NewEntry, encoded_size};
use bareflow_abi::{CallError, Context, interface};

/// A clock.
#[interface(version = "0.1")]
pub trait Clock {
    /// Returns the time.
    fn now(&self) -> Result<u64, CallError>;
}

/// A light.
#[interface(version = "1.0")]
pub trait Light {
    /// Switches it.
    fn switch(&mut self, is_on: bool) -> Result<(), CallError>;
}

bareflow_abi::state! {
    /// A state.
    pub struct Lamp {
        is_on: bool = false,
    }
}

impl Light for Lamp {
    fn switch(&mut self, is_on: bool) -> Result<(), CallError> {
        self.is_on = is_on;
        Ok(())
    }
}

impl Clock for Lamp {
    fn now(&self) -> Result<u64, CallError> {
        Err(CallError::NotBound)
    }
}

mod imports {
    use super::*;

    fn run(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
        let copy = with;
        i32::from(with.lamp.switch(true).is_ok()) + copy.clock.now().map_or(-1, |now| now as i32)
    }

    bareflow_abi::module!(run, imports = { clock: Clock, lamp: super::Light, other: super::Light });

    #[test]
    fn are_not_bound_without_a_loader() {
        let mut context = Context::new(&bareflow_abi::Services::NONE, b"", &mut []);
        let with = Imports::of(&context);
        assert_eq!(with.clock.now(), Err(CallError::NotBound));
        assert_eq!(run(&mut context, with), -1);
    }
}

mod state {
    use super::*;

    bareflow_abi::module!(state = Lamp, exports = [Light, super::Clock]);
}

mod functions {
    fn first() -> i32 {
        1
    }

    mod inner {
        use super::super::*;

        pub fn second(_: &mut Context<'_>) -> i32 {
            2
        }
    }

    bareflow_abi::module!(exports = [first, inner::second], reentrant = true);
}

mod all {
    use super::*;

    bareflow_abi::parameters! {
        /// Parameters.
        pub struct Parameters {
            /// The brightness.
            pub level: u32 = 1,
        }
    }

    fn run(_: &mut Context<'_>, lamp: &mut Lamp, with: Imports<'_>) -> i32 {
        i32::from(lamp.is_on) + with.clock.now().map_or(-1, |now| now as i32)
    }

    fn old(_: &bareflow_abi::state::PreviousState<'_>, _: &mut Lamp) -> i32 {
        0
    }

    fn start(_: &mut Context<'_>, _: &mut Lamp) -> i32 {
        0
    }

    fn stop(_: &mut Context<'_>, with: Imports<'_>) -> i32 {
        i32::from(with.clock.now().is_ok())
    }

    fn toggle(context: &mut Context<'_>, lamp: &mut Lamp) -> i32 {
        lamp.is_on = !lamp.is_on;
        context.write(&[u8::from(lamp.is_on)]);
        0
    }

    impl Light for Server<'_> {
        fn switch(&mut self, is_on: bool) -> Result<(), CallError> {
            self.context.log("switched");
            self.state.is_on = is_on;
            self.imports.clock.now().map(|_| ())
        }
    }

    impl Clock for Server<'_> {
        fn now(&self) -> Result<u64, CallError> {
            self.imports.clock.now()
        }
    }

    bareflow_abi::module!(
        run,
        parameters = Parameters,
        state = Lamp,
        imports = { clock: Clock },
        exports = [Clock, toggle, Light],
        provider = Server,
        init = start,
        exit = stop,
        migrate = old,
    );
}

mod provider {
    use super::*;

    bareflow_abi::module!(exports = [Clock], provider = Server, init = start, reentrant = true);

    fn start() -> i32 {
        0
    }

    impl Clock for Server<'_> {
        fn now(&self) -> Result<u64, CallError> {
            Ok(0)
        }
    }
}

#[test]
fn a_binding_is_small() {
    let size = |entry| encoded_size(&[entry]);
    assert_eq!(size(NewEntry::of::<dyn Light>("")), 10 + "light".len() + 12);
    assert_eq!(size(NewEntry::of::<dyn Clock>("time")), 10 + "time".len() + "clock".len() + 12);
}
