//! State that outlives a reload.
//!
//! It is declared by [`state!`](crate::state!), and transferred by the loader when one version of a module replaces
//! another.
//!
//! The transferred state is plain data, field by field, without padding; a [`Schema`] describes the fields. Equal
//! fingerprints mean equal fields.

pub(crate) mod cell;
pub(crate) mod migrate;
mod plain;
pub(crate) mod schema;

pub use migrate::{PreviousState, StateHeader};
pub use plain::PlainData;
pub use schema::{Field, Fields, SCHEMA_SECTION, Schema};

/// A module's state, made by [`state!`](crate::state!).
pub trait State: PlainData {
    /// The value when the module is first loaded.
    const INITIAL: Self;
    /// The fields, in order.
    const FIELDS: &'static [Field<'static>];
}

/// Declares a module's state: plain data, with its initial values.
///
/// ```
/// bareflow_abi::state! {
///     /// What is counted.
///     pub struct Counter {
///         /// Calls so far.
///         pub calls: u64 = 0,
///         /// The last inputs' lengths.
///         pub lengths: [u32; 4] = [0; 4],
///     }
/// }
/// ```
///
/// Fields are numbers, `bool`, `char`, [`Text`](crate::parameters::Text), arrays of them, and other such structures.
#[macro_export]
macro_rules! state {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty = $initial:expr),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type,)+
        }

        impl $crate::state::PlainData for $name {
            const SIZE: usize = 0 $(+ <$type as $crate::state::PlainData>::SIZE)+;
            const FINGERPRINT: u64 = $crate::state::Schema::fingerprint_of(<$name as $crate::state::State>::FIELDS);
            const ZERO: $name = $name { $($field: <$type as $crate::state::PlainData>::ZERO,)+ };

            fn save(&self, put: &mut dyn FnMut(&[u8])) {
                $($crate::state::PlainData::save(&self.$field, put);)+
            }

            fn restore(bytes: &mut &[u8]) -> ::core::option::Option<$name> {
                ::core::option::Option::Some($name { $($field: $crate::state::PlainData::restore(bytes)?,)+ })
            }
        }

        impl $crate::state::State for $name {
            const INITIAL: $name = $name { $($field: $initial,)+ };
            const FIELDS: &'static [$crate::state::Field<'static>] = &[$($crate::state::Field {
                name: ::core::stringify!($field),
                kind: ::core::stringify!($type),
                size: <$type as $crate::state::PlainData>::SIZE as u32,
                fingerprint: <$type as $crate::state::PlainData>::FINGERPRINT,
            },)+];
        }
    };
}

#[cfg(test)]
mod tests;
