//! Macros for classes that look alike.

/// Defines a list of classes of functions by their names.
macro_rules! classes {
    ($($name:ident),+ $(,)?) => {
        /// The classes of this file.
        pub const CLASSES: &[crate::Class] = &[$((stringify!($name), $name)),+];
    };
}

/// Defines a class for each name, which executes the instructions after it.
///
/// They must restore the registers that a function must preserve, or never return (`-> !`).
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
        // SAFETY: damage is this module's purpose, and whoever loads it contains it; if execution continues, the
        // compiled code finds what it relies on unchanged.
        unsafe { core::arch::asm!($($line),+, clobber_abi("sysv64")) };
        0
    }};
    (@run [!] $($line:literal),+) => {
        // SAFETY: as above, and no compiled code runs after it.
        unsafe { core::arch::asm!($($line),+, options(noreturn)) }
    };
}

/// Defines a class for each name, which is one expression; the first name is the context's in all of them.
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
