//! Parameters: values that whoever loads a module may set, by name.
//!
//! They are declared by [`parameters!`](crate::parameters!), with types, defaults and ranges, which a record of the blob
//! lists. The loader checks what is set against it, and calls the entry with all values
//! ([`Reason::Parameters`](crate::Reason::Parameters)) before any other call of the image. Without such a call the
//! defaults hold, so a loader that does not know the record can skip it.

pub(crate) mod cell;
pub(crate) mod declaration;
mod record;
mod text;
mod value;

pub use declaration::{Declaration, ParameterValue};
pub use record::{BadParameter, MAX_PARAMETERS, Parameter, Parameters};
pub use text::Text;
pub use value::{ParameterType, Value};

use crate::Context;
use cell::ParameterCell;

/// The section of the list of a module's parameters; the packer makes a record of it and drops it.
pub const PARAMETERS_SECTION: &str = ".bareflow.parameters";

/// The parameters of a module, made by [`parameters!`](crate::parameters!).
pub trait DeclaredParameters: Copy + Send + Sync + 'static {
    /// The values where none are set.
    const DEFAULT: Self;
    /// The declarations, in order.
    const DECLARATIONS: &'static [Declaration];

    /// Reads the values from the start of `bytes`; `None` if there are too few or they are invalid.
    fn restore(bytes: &mut &[u8]) -> Option<Self>;

    /// Returns the storage of the values that were set.
    fn cell() -> &'static ParameterCell<Self>;
}

/// The result of a module that can't take the values.
const NO_VALUES: i32 = i32::MIN;

/// Takes the values from the input. Returns 0, or a result that refuses the load.
pub fn set_parameters<P: DeclaredParameters>(context: &mut Context<'_>) -> i32 {
    let mut bytes = context.input();
    match P::restore(&mut bytes) {
        Some(values) if bytes.is_empty() && P::cell().set(values) => 0,
        _ => NO_VALUES,
    }
}

/// Declares a module's parameters, with their defaults.
///
/// ```
/// use bareflow_abi::parameters::Text;
///
/// bareflow_abi::parameters! {
///     /// The settings of this module.
///     pub struct Settings {
///         /// The longest frame, in bytes.
///         #[range(68..=9000)]
///         pub mtu: u32 = 1500,
///         /// Whether each frame is logged.
///         pub verbose: bool = false,
///         /// The name to answer to.
///         pub hostname: Text<32> = Text::new("bareflow"),
///     }
/// }
///
/// fn run() -> i32 {
///     let settings = Settings::get();
///     if settings.verbose { settings.mtu as i32 } else { 0 }
/// }
///
/// bareflow_abi::module!(run, parameters = Settings);
/// ```
///
/// Types are the numbers of up to 64 bits, `bool`, `char` and [`Text`](crate::parameters::Text) of at most 255 bytes.
/// Numbers may have a range. `get` returns the values; in an ordinary build (tests on the host) these are the defaults.
///
/// ```compile_fail,E0080
/// bareflow_abi::parameters! {
///     struct Settings {
///         #[range(68..=9000)]
///         mtu: u32 = 10,
///     }
/// }
/// # use bareflow_abi::parameters::DeclaredParameters;
/// # fn main() { let _ = Settings::DECLARATIONS.len(); }
/// ```
#[macro_export]
macro_rules! parameters {
    (@range $field:ident, $type:ty, $default:expr) => { ::core::option::Option::None };
    (@range $field:ident, $type:ty, $default:expr, $range:expr) => {{
        const RANGE: ::core::ops::RangeInclusive<$type> = $range;
        const DEFAULT: $type = $default;
        ::core::assert!(
            *RANGE.start() <= DEFAULT && DEFAULT <= *RANGE.end(),
            ::core::concat!(
                "parameters!: the default of `", ::core::stringify!($field), "` lies outside of its range, ",
                ::core::stringify!($range)
            )
        );
        ::core::option::Option::Some((*RANGE.start(), *RANGE.end()))
    }};
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $(
            $(#[doc = $doc:literal])*
            $(#[range($range:expr)])?
            $field_vis:vis $field:ident: $type:ty = $default:expr
        ),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])* $field_vis $field: $type,)+
        }

        impl $name {
            /// Returns the values that the module was loaded with.
            #[must_use]
            #[inline(always)]
            #[allow(dead_code)]
            $vis fn get() -> $name {
                let set = <$name as $crate::parameters::DeclaredParameters>::cell().get();
                set.unwrap_or(<$name as $crate::parameters::DeclaredParameters>::DEFAULT)
            }
        }

        impl $crate::parameters::DeclaredParameters for $name {
            const DEFAULT: $name = $name { $($field: $default,)+ };
            const DECLARATIONS: &'static [$crate::parameters::Declaration] = &[$(
                $crate::parameters::Declaration::new::<$type>(
                    ::core::stringify!($field),
                    ::core::concat!($($doc, "\n",)*),
                    $default,
                    $crate::parameters!(@range $field, $type, $default $(, $range)?),
                ),
            )+];

            fn restore(bytes: &mut &[u8]) -> ::core::option::Option<$name> {
                ::core::option::Option::Some($name { $($field: $crate::state::PlainData::restore(bytes)?,)+ })
            }

            fn cell() -> &'static $crate::__private::ParameterCell<$name> {
                static CELL: $crate::__private::ParameterCell<$name> = $crate::__private::ParameterCell::new();
                &CELL
            }
        }
    };
}

#[cfg(test)]
mod tests;
