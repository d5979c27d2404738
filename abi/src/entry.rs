//! The macro [`module!`](crate::module), which turns functions into a module.

use crate::fingerprint::FINGERPRINT;
use crate::header::{FLAG_ACCOUNT, FLAG_REENTRANT};

/// The symbol of a module's entry.
pub const ENTRY_SYMBOL: &str = "bareflow_entry";

/// The section of a module's [`Descriptor`]; the packer reads it and drops it.
pub const DESCRIPTOR_SECTION: &str = ".bareflow.descriptor";

/// The section of a module's marks; the packer reads it and drops it.
///
/// Each mark is a letter for code that calls a service (`l`og, clock (`t`ime), `c`all) or allocates on the `h`eap.
pub const USES_SECTION: &str = ".bareflow.uses";

/// A module's ABI version and flags, as the packer finds them in the ELF file.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The fingerprint of the ABI.
    pub abi_fingerprint: u64,
    /// The ABI's major version.
    pub abi_major: u16,
    /// The ABI's minor version.
    pub abi_minor: u16,
    /// The `FLAG_*` bits of the header.
    pub flags: u32,
}

impl Descriptor {
    /// The size of a descriptor, in bytes.
    pub const SIZE: usize = size_of::<Descriptor>();

    /// Creates the descriptor of a module that is built against this version of the crate.
    #[must_use]
    pub const fn new(flags: u32) -> Descriptor {
        assert!(
            !cfg!(feature = "critical-section") || flags & FLAG_REENTRANT == 0,
            "module!: calls of a reentrant module overlap, and no critical section keeps them apart; \
             leave out `reentrant` or the feature `critical-section` of bareflow-abi"
        );
        let flags = if cfg!(feature = "alloc") { flags | FLAG_ACCOUNT } else { flags };
        Descriptor { abi_fingerprint: FINGERPRINT, abi_major: crate::ABI_MAJOR, abi_minor: crate::ABI_MINOR, flags }
    }

    /// Decodes a descriptor.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Descriptor::SIZE]) -> Descriptor {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        Descriptor {
            abi_fingerprint: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            abi_major: u16::from_le_bytes([i, j]),
            abi_minor: u16::from_le_bytes([k, l]),
            flags: u32::from_le_bytes([m, n, o, p]),
        }
    }
}

/// Makes a crate a module. Used once per crate, in `lib.rs`:
///
/// ```
/// use bareflow_abi::{Context, module};
///
/// fn sum(context: &mut Context<'_>) -> i32 {
///     context.input().iter().map(|&byte| i32::from(byte)).sum()
/// }
///
/// module!(sum);
/// ```
///
/// With settings:
///
/// ```
/// # use bareflow_abi::{Context, module, state, state::PreviousState};
/// state! {
///     struct Counter {
///         calls: u64 = 0,
///     }
/// }
///
/// fn count(_: &mut Context<'_>, counter: &mut Counter) -> i32 {
///     counter.calls += 1;
///     counter.calls as i32
/// }
///
/// fn from_older(old: &PreviousState<'_>, counter: &mut Counter) -> i32 {
///     counter.calls = old.get::<u32>("calls").map_or(0, u64::from);
///     0
/// }
///
/// fn prepare() -> i32 {
///     0
/// }
///
/// module!(count, state = Counter, migrate = from_older, init = prepare);
/// ```
///
/// Each function is a `fn() -> i32` or a `fn(&mut Context) -> i32`; in a module with state, made by
/// [`state!`](crate::state!), it may also be a `fn(&mut Context, &mut Counter) -> i32`. `state` must be the first
/// setting, `parameters` ([`parameters!`](crate::parameters!)) comes before it. `migrate` is a `fn(&PreviousState, &mut Counter) -> i32`: it fills in the state from that of a version with
/// other fields. The module gets its name and version from its `Cargo.toml`. In an ordinary build (tests on the host)
/// the macro only checks the functions' types. The settings are `parameters`, `state`, `migrate`, `init`, `exit` and `reentrant = true`,
/// which lets calls of a module without state overlap.
///
/// Typed interfaces need the feature `interfaces`; see [`interface`](mod@crate::interface):
///
#[cfg_attr(feature = "interfaces", doc = "```")]
#[cfg_attr(not(feature = "interfaces"), doc = "```ignore")]
/// # use bareflow_abi::{CallError, Context, interface, module};
/// # #[interface(version = "1.0")]
/// # trait Files { fn size(&mut self, path: &str) -> Result<u64, CallError>; }
/// fn scan(_: &mut Context, mut with: Imports) -> i32 {
///     with.source.size("a").map_or(-1, |size| size as i32)
/// }
///
/// fn reset() -> i32 {
///     0
/// }
///
/// module!(scan, imports = { source: Files }, exports = [Files, reset], provider = Server);
///
/// impl Files for Server<'_> {
///     fn size(&mut self, path: &str) -> Result<u64, CallError> {
///         self.context.log(path);
///         self.imports.source.size(path)
///     }
/// }
/// ```
///
/// - `imports = { name: Interface }` makes a structure `Imports`, which the functions may take as their last argument.
/// - `exports = [..]` names interfaces (with a capital) and functions. The state implements the interfaces, or a structure
///   that `provider = Server` makes, with the fields `context`, and `state` and `imports` if there are any.
/// - The function to run may be left out if there are exports.
///
/// Events need that feature, too, and the crate `bareflow-events` for timers that the module arms and for what it publishes:
///
/// - `timers = { on_tick: 100_000 }` calls the function `on_tick` each 100,000 µs; with 0, when the module has armed it.
/// - `subscriptions = { on_price: "feed.price" }` calls `on_price` when the module `feed` publishes `price`.
/// - `notifications = [price]` names what the module publishes itself.
/// - `stop = on_stop` is called when the module is asked to end; `watchdog = 500_000` makes it a fault if no handler returned
///   for so many µs.
/// - `task = main` instead polls an `async fn main(cx: TaskContext)` for all of its events ([`task`](crate::task)).
///
/// The handlers are exported by themselves. `Event::ON_TICK` and `Notification::PRICE` are the numbers of both.
#[macro_export]
macro_rules! module {
    (@plain $run:path, parameters = $parameters:ty, state = $state:ty $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::module!(@list $parameters);
        $crate::module!(
            @plain $run, state = $state $(, $key = $value)*,
            __parameters = $crate::__private::set_parameters::<$parameters>
        );
    };
    (@plain $run:path, parameters = $parameters:ty $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::module!(@list $parameters);
        $crate::module!(
            @plain $run $(, $key = $value)*, __parameters = $crate::__private::set_parameters::<$parameters>
        );
    };
    (@plain $run:path, state = $state:ty $(, $key:ident = $value:expr)* $(,)?) => {
        const _: () = {
            const FLAGS: u32 = $crate::header::FLAG_STATE $(| $crate::module!(@flag $key $value))*;
            const _: () = ::core::assert!(
                FLAGS & $crate::header::FLAG_REENTRANT == 0, "module!: calls that share a state can't overlap"
            );
            static STATE: $crate::__private::StateCell<$state> =
                $crate::__private::StateCell::new(<$state as $crate::state::State>::INITIAL);

            #[cfg_attr(bareflow_module, unsafe(export_name = "bareflow_entry"))]
            #[allow(dead_code)]
            extern "C" fn entry(context: &mut $crate::Context<'_>, reason: u32) -> i32 {
                if let ::core::option::Option::Some(done) = $crate::__private::prepare(context, reason) {
                    return done;
                }
                STATE.enter(|state| {
                    if reason == $crate::Reason::Save as u32 {
                        return $crate::__private::save_state(state, context);
                    }
                    if reason == $crate::Reason::Migrate as u32 {
                        return $crate::__private::restore_state(state, context, $crate::module!(@migrate $($key $value)*));
                    }
                    $($crate::module!(@call_with $key $value, context, reason, state);)*
                    $crate::__private::StatefulEntry::enter_with($run, context, state)
                })
            }

            $crate::__section!(
                ".bareflow.layout",
                LAYOUT: [u8; $crate::__private::LAYOUT_SIZE] = $crate::__private::LAYOUT
            );

            $crate::__section!(
                ".bareflow.descriptor",
                DESCRIPTOR: $crate::entry::Descriptor = $crate::entry::Descriptor::new(FLAGS)
            );

            $crate::__section!(
                ".bareflow.state",
                SCHEMA: [u8; $crate::__private::schema_size(<$state as $crate::state::State>::FIELDS)] =
                    $crate::__private::encode_schema(<$state as $crate::state::State>::FIELDS)
            );
        };
    };
    (@plain $run:path $(, $key:ident = $value:expr)* $(,)?) => {
        const _: () = {
            const FLAGS: u32 = 0 $(| $crate::module!(@flag $key $value))*;
            const _: () = ::core::assert!(
                FLAGS & $crate::header::FLAG_MIGRATE == 0, "module!: `migrate` without `state`, which comes first"
            );

            // Without flags an entry is only ever called to run, so the reason is not checked.
            #[cfg_attr(bareflow_module, unsafe(export_name = "bareflow_entry"))]
            #[allow(dead_code)]
            extern "C" fn entry(context: &mut $crate::Context<'_>, reason: u32) -> i32 {
                if let ::core::option::Option::Some(done) = $crate::__private::prepare(context, reason) {
                    return done;
                }
                $($crate::module!(@call $key $value, context, reason);)*
                $crate::Entry::enter($run, context)
            }

            $crate::__section!(
                ".bareflow.layout",
                LAYOUT: [u8; $crate::__private::LAYOUT_SIZE] = $crate::__private::LAYOUT
            );

            $crate::__section!(
                ".bareflow.descriptor",
                DESCRIPTOR: $crate::entry::Descriptor = $crate::entry::Descriptor::new(FLAGS)
            );
        };
    };
    (@list $parameters:ty) => {
        const _: () = {
            const LIST: &[$crate::parameters::Declaration] =
                <$parameters as $crate::parameters::DeclaredParameters>::DECLARATIONS;

            $crate::__section!(
                ".bareflow.parameters",
                PARAMETERS: [u8; $crate::__private::list_size(LIST)] = $crate::__private::encode_list(LIST)
            );
        };
    };
    (@flag init $value:expr) => { $crate::header::FLAG_INIT };
    (@flag exit $value:expr) => { $crate::header::FLAG_EXIT };
    (@flag migrate $value:expr) => { $crate::header::FLAG_MIGRATE };
    (@flag __parameters $value:expr) => { 0 };
    (@flag reentrant $value:expr) => { if $value { $crate::header::FLAG_REENTRANT } else { 0 } };
    (@flag $other:ident $value:expr) => {
        ::core::compile_error!(::core::concat!(
            "module!: no setting `", ::core::stringify!($other),
            "` here, expected parameters and state (which come first, in this order), init, exit, migrate or reentrant"
        ))
    };
    (@call init $value:expr, $context:ident, $reason:ident) => {
        if $reason == $crate::Reason::Init as u32 {
            return $crate::Entry::enter($value, $context);
        }
    };
    (@call __parameters $value:expr, $context:ident, $reason:ident) => {
        if $reason == $crate::Reason::Parameters as u32 {
            return $value($context);
        }
    };
    (@call exit $value:expr, $context:ident, $reason:ident) => {
        if $reason == $crate::Reason::Exit as u32 {
            return $crate::Entry::enter($value, $context);
        }
    };
    (@call $other:ident $value:expr, $context:ident, $reason:ident) => {};
    (@call_with init $value:expr, $context:ident, $reason:ident, $state:ident) => {
        if $reason == $crate::Reason::Init as u32 {
            return $crate::__private::StatefulEntry::enter_with($value, $context, $state);
        }
    };
    (@call_with exit $value:expr, $context:ident, $reason:ident, $state:ident) => {
        if $reason == $crate::Reason::Exit as u32 {
            return $crate::__private::StatefulEntry::enter_with($value, $context, $state);
        }
    };
    (@call_with __parameters $value:expr, $context:ident, $reason:ident, $state:ident) => {
        $crate::module!(@call __parameters $value, $context, $reason);
    };
    (@call_with $other:ident $value:expr, $context:ident, $reason:ident, $state:ident) => {};
    (@migrate migrate $value:tt $($rest:tt)*) => { ::core::option::Option::Some($value) };
    (@migrate $other:ident $value:tt $($rest:tt)*) => { $crate::module!(@migrate $($rest)*) };
    (@migrate) => { ::core::option::Option::None };
    (@plain $($other:tt)*) => {
        ::core::compile_error!("module!: expected a function first, and then settings: `module!(run, key = value, ..)`")
    };
    // Settings of interfaces and events are no expressions, so they are looked for first.
    (@find [$($all:tt)*] imports = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] exports = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] provider = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] timers = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] subscriptions = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] notifications = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] stop = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] watchdog = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] task = $($rest:tt)*) => { $crate::__module_with_interfaces!($($all)*); };
    (@find [$($all:tt)*] $other:tt $($rest:tt)*) => { $crate::module!(@find [$($all)*] $($rest)*); };
    (@find [$($all:tt)*]) => { $crate::module!(@plain $($all)*); };
    ($($all:tt)*) => { $crate::module!(@find [$($all)*] $($all)*); };
}

/// Puts a constant into a section of the linked file, for the packer.
#[doc(hidden)]
#[macro_export]
macro_rules! __section {
    ($section:literal, $name:ident: $type:ty = $value:expr) => {
        #[cfg_attr(bareflow_module, unsafe(link_section = $section))]
        // In WebAssembly it is a custom section whether it is used or not, and would be data, too.
        #[cfg_attr(all(bareflow_module, not(target_family = "wasm")), used)]
        #[allow(dead_code)]
        static $name: $type = $value;
    };
}

/// Passes settings with interfaces on to the macro that knows them.
#[cfg(feature = "interfaces")]
#[doc(hidden)]
#[macro_export]
macro_rules! __module_with_interfaces {
    ($($all:tt)*) => { $crate::__private::module_with_interfaces! { [$crate] $($all)* } };
}

/// Refuses settings with interfaces.
///
/// ```compile_fail
/// fn run() -> i32 {
///     0
/// }
///
/// bareflow_abi::module!(exports = [run]);
/// ```
#[cfg(not(feature = "interfaces"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __module_with_interfaces {
    ($($all:tt)*) => {
        ::core::compile_error!(
            "module!: imports, exports, provider and all settings of events need the feature `interfaces`: in Cargo.toml, \
             `bareflow-abi = { .., features = [\"interfaces\"] }`"
        );
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_descriptor_as_it_lies_in_memory() {
        let descriptor = Descriptor {
            abi_fingerprint: 0x0807_0605_0403_0201,
            abi_major: 0x0a09,
            abi_minor: 0x0c0b,
            flags: 0x100f_0e0d,
        };
        let bytes = core::array::from_fn(|index| index as u8 + 1);
        assert_eq!(Descriptor::from_bytes(&bytes), descriptor);
    }
}
