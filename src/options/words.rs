//! Options that are one of a few words.

use bareflow_loader::{Domain, Timing};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// The domains of native modules, each with its help.
const NATIVE: [(&str, &str); 2] = [
    ("kernel", "Ring 0, called directly; with `host`, in this process"),
    ("user", "Ring 3, in an address space of its own; with `host`, in a child process"),
];

/// Returns the parser of a domain.
pub(super) fn domain() -> impl TypedValueParser<Value = Domain> {
    let sandbox =
        "Ring 0 for portable modules that a trusted engine compiled, ring 3 for all else: see docs/domains.md";
    let [kernel, user] = NATIVE;
    one_of([kernel, user, ("sandbox", sandbox)], Domain::from_name)
}

/// Returns the parser of a domain of native modules.
pub(super) fn native_domain() -> impl TypedValueParser<Value = Domain> {
    one_of(NATIVE, Domain::from_name)
}

/// Returns the parser of a timing.
pub(super) fn timing() -> impl TypedValueParser<Value = Timing> {
    let precise = "With fences: each reading covers the whole call and nothing else";
    one_of([("precise", precise), ("fast", "Without fences: only two reads of the clock")], Timing::from_name)
}

/// Returns the parser of one of a few words, each with its help.
fn one_of<T: Clone + Send + Sync + 'static, const N: usize>(
    words: [(&'static str, &'static str); N],
    from_name: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    let words = PossibleValuesParser::new(words.map(|(word, help)| PossibleValue::new(word).help(help)));
    words.try_map(move |word| from_name(&word).ok_or("expected one of the words"))
}
