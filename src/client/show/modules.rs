//! The list of modules as a table.

use bareflow_protocol::report::Module;

use bareflow_suite::statistics::OrDash;

use super::aligned;

const TITLES: [&str; 9] = ["NAME", "VERSION", "LOAD", "DOMAIN", "STATE", "CALLS", "P50", "P99", "MEMORY"];

/// Formats the modules, one per line. Where several have the same name, `*` marks the active one.
#[must_use]
pub fn table(modules: &[Module]) -> String {
    // The last columns are there only if a module has something in them.
    let has_parameters = modules.iter().any(|module| !module.parameters.is_empty());
    let has_imports = modules.iter().any(|module| !module.imports.is_empty());
    let row = |module: &Module| {
        let several = modules.iter().filter(|other| other.name == module.name).count() > 1;
        let mark = if several && module.active { "*" } else { "" };
        let mut row = vec![
            module.name.clone(),
            format!("{}{mark}", module.version),
            module.generation.to_string(),
            module.domain.to_string(),
            module.state.to_string(),
            module.call_count.to_string(),
            OrDash(module.p50_cycles).to_string(),
            OrDash(module.p99_cycles).to_string(),
            memory(module.memory_bytes),
        ];
        row.extend(has_parameters.then(|| joined(&module.parameters)));
        row.extend(has_imports.then(|| joined(&module.imports)));
        row
    };
    let mut titles = TITLES.to_vec();
    titles.extend(has_parameters.then_some("PARAMETERS"));
    titles.extend(has_imports.then_some("IMPORTS"));
    aligned(&titles, &[2, 5, 6, 7, 8], modules.iter().map(row))
}

fn joined(list: &[impl ToString]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Formats bytes in KiB, rounded up, as memory is allocated in pages.
fn memory(bytes: u64) -> String {
    format!("{}K", bytes.div_ceil(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::show::stats::tests::module;
    use bareflow_protocol::report::{BoundImport, SetParameter};

    #[test]
    fn marks_the_active_one_of_several() {
        let mut modules = [module("sum", "1.0.0"), module("sum", "1.1.0"), module("primes", "1.0.0")];
        modules[0].active = false;
        modules[2].p50_cycles = None;
        let expected = "\
NAME    VERSION  LOAD  DOMAIN  STATE   CALLS  P50  P99  MEMORY
sum     1.0.0       1  kernel  loaded      3   20   30     12K
sum     1.1.0*      1  kernel  loaded      3   20   30     12K
primes  1.0.0       1  kernel  loaded      3    -   30     12K";
        assert_eq!(table(&modules), expected);
        let set = |name: &str, value: &str| SetParameter { name: name.to_owned(), value: value.to_owned() };
        modules[1].parameters = vec![set("step", "3"), set("verbose", "true")];
        let expected = "\
NAME    VERSION  LOAD  DOMAIN  STATE   CALLS  P50  P99  MEMORY  PARAMETERS
sum     1.0.0       1  kernel  loaded      3   20   30     12K
sum     1.1.0*      1  kernel  loaded      3   20   30     12K  step=3 verbose=true
primes  1.0.0       1  kernel  loaded      3    -   30     12K";
        assert_eq!(table(&modules), expected);
        let bound = |name: &str, provider: &str| BoundImport { name: name.to_owned(), provider: provider.to_owned() };
        modules[2].imports = vec![bound("source", "disk@1.0.0"), bound("random", "kernel")];
        let found = table(&modules);
        assert!(found.contains("MEMORY  PARAMETERS           IMPORTS\n"), "{found}");
        assert!(found.ends_with("12K                       source=disk@1.0.0 random=kernel"), "{found}");
    }
}
