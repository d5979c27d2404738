//! Short forms for classes that all look the same.

/// Makes a list of classes of functions by their names.
macro_rules! classes {
    ($($name:ident),+ $(,)?) => {
        /// The classes of this file.
        pub const CLASSES: &[crate::Class] = &[$((stringify!($name), $name)),+];
    };
}

/// Makes a class of each name that executes the instructions behind it. They leave registers
/// that a function must preserve as they were, or else never return (`-> !`).
macro_rules! instructions {
    (in $list:ident: $($(#[$doc:meta])* $name:ident $(-> $never:tt)? { $($line:literal),+ $(,)? })+) => {
        /// The classes that are a few instructions each.
        pub const $list: &[crate::Class] = &[$((stringify!($name), $name)),+];

        $(
            $(#[$doc])*
            fn $name(_: &mut bareflow_abi::Context<'_>) -> i32 {
                instructions!(@run [$($never)?] $($line),+)
            }
        )+
    };
    (@run [] $($line:literal),+) => {{
        // SAFETY: harm is what this module is for, and who loads it contains it; should execution
        // go on, the compiled code finds what it relies on unchanged.
        unsafe { core::arch::asm!($($line),+, clobber_abi("sysv64")) };
        0
    }};
    (@run [!] $($line:literal),+) => {
        // SAFETY: as above, and no compiled code runs after it.
        unsafe { core::arch::asm!($($line),+, options(noreturn)) }
    };
}

/// Makes a class of each name that is one expression; the first name is the context's in all of them.
macro_rules! accesses {
    (in $context:ident: $($(#[$doc:meta])* $name:ident: $access:expr;)+) => {
        /// The classes of this file.
        pub const CLASSES: &[crate::Class] = &[$((stringify!($name), $name)),+];

        $(
            $(#[$doc])*
            fn $name($context: &mut bareflow_abi::Context<'_>) -> i32 {
                let _ = &$context;
                $access
            }
        )+
    };
}
