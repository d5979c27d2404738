//! Writing of the choice into a module's `Cargo.toml`, in which all else is preserved.

use std::fs;

use anyhow::{Context, Error, Result, anyhow};
use bareflow_builder::discover::ModuleCrate;
use bareflow_builder::subprocess::write_if_changed;
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::choice::Choice;

/// The profile's file name, beside `Cargo.toml`.
pub(super) const PROFILE: &str = "runs.profdata";

/// Writes `choice` into the module's `Cargo.toml`, and its profile beside it.
pub(super) fn write(module: &ModuleCrate, choice: &Choice) -> Result<()> {
    let wrong = |reason: Error| anyhow!("can't write the choice into {}: {reason}", module.manifest.display());
    let text = fs::read_to_string(&module.manifest).map_err(|error| wrong(error.into()))?;
    let text = with_choice(&text, choice).map_err(wrong)?;
    if let Some(profile) = &choice.profile {
        write_if_changed(&module.folder().join(PROFILE), &fs::read(profile)?)?;
    }
    Ok(write_if_changed(&module.manifest, text.as_bytes())?)
}

/// Returns the text of a `Cargo.toml` with the choice in it.
fn with_choice(text: &str, choice: &Choice) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for key in ["package", "metadata", "bareflow"] {
        let implicit = key != "bareflow";
        let item = table.entry(key).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(implicit);
            Item::Table(table)
        });
        table = item.as_table_like_mut().with_context(|| format!("\"{key}\" is no table, expected one"))?;
    }
    set(table, "opt-level", opt_level(&choice.opt_level));
    match &choice.profile {
        Some(_) => set(table, "profile", PROFILE.into()),
        None => drop(table.remove("profile")),
    }
    if choice.variants.is_empty() {
        table.remove("variants");
        return Ok(document.to_string());
    }
    let variants = table.entry("variants").or_insert_with(|| Item::Value(Value::InlineTable(InlineTable::new())));
    // An inline table has no room for comments.
    let in_braces = variants.is_inline_table();
    let variants = variants.as_table_like_mut().context("\"variants\" is no table, expected one")?;
    for level in 2..=4 {
        let key = format!("v{level}");
        match choice.variants.get(&level) {
            Some(opt) => set(variants, &key, opt_level(opt)),
            None => drop(variants.remove(&key)),
        }
    }
    if in_braces {
        variants.fmt();
    }
    Ok(document.to_string())
}

/// Sets a key's value; the comments and spaces around an existing value are preserved.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
    } else {
        table.insert(key, Item::Value(value));
    }
}

/// Returns an optimisation level as in `Cargo.toml`: a number, or a text.
pub(super) fn opt_level(level: &str) -> Value {
    level.parse::<i64>().map_or_else(|_| Value::from(level), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(opt_level: &str, variants: &[(u8, &str)], profile: bool) -> Choice {
        Choice {
            opt_level: opt_level.to_owned(),
            variants: variants.iter().map(|&(level, opt)| (level, opt.to_owned())).collect(),
            profile: profile.then(|| "p".into()),
        }
    }

    const PLAIN: &str = "# All of it.\n[package]\nname = \"a\" # its name\n\n[dependencies]\nb = \"1\"\n";

    #[test]
    fn adds_a_table_where_there_is_none() {
        let written = with_choice(PLAIN, &choice("s", &[(3, "3")], true)).unwrap();
        let expected = "# All of it.\n[package]\nname = \"a\" # its name\n\n[package.metadata.bareflow]\n\
                        opt-level = \"s\"\nprofile = \"runs.profdata\"\nvariants = { v3 = 3 }\n\n[dependencies]\nb = \"1\"\n";
        assert_eq!(written, expected);
    }

    #[test]
    fn changes_what_is_there_and_nothing_else() {
        let table = "[package.metadata.bareflow]\n# Known.\nexpect = 5050\nopt-level = 3 # quick\n\
                     profile = \"runs.profdata\"\n\n# Wide.\n[package.metadata.bareflow.variants]\nv3 = 3 # AVX2\nv4 = 2\n";
        let written = with_choice(&format!("{PLAIN}{table}"), &choice("2", &[(3, "s")], false)).unwrap();
        let expected = "[package.metadata.bareflow]\n# Known.\nexpect = 5050\nopt-level = 2 # quick\n\n\
                        # Wide.\n[package.metadata.bareflow.variants]\nv3 = \"s\" # AVX2\n";
        assert_eq!(written, format!("{PLAIN}{expected}"));
        let braces = format!("{PLAIN}[package.metadata.bareflow]\nopt-level = 2\nvariants = {{v2 = 2}} # both\n");
        let written_in_braces = with_choice(&braces, &choice("2", &[(3, "3"), (4, "2")], false)).unwrap();
        assert!(written_in_braces.ends_with("variants = { v3 = 3, v4 = 2 } # both\n"), "{written_in_braces}");
        let none = with_choice(&written, &choice("2", &[], false)).unwrap();
        assert!(!none.contains("variants") && none.contains("opt-level = 2 # quick\n"), "{none}");
    }

    #[test]
    fn rejects_what_is_no_manifest() {
        let error = with_choice("[package]\nmetadata = 5\n", &choice("2", &[], false)).unwrap_err();
        assert_eq!(error.to_string(), "\"metadata\" is no table, expected one");
        assert!(with_choice("[package", &choice("2", &[], false)).is_err());
    }
}
