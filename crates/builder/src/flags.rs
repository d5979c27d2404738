//! The compiler settings in a crate's own files, besides the module's table.
//!
//! They are `[profile.release]` of the crate's workspace, and the `rustflags` of its `.cargo/config.toml`. Files
//! outside of the crate have no influence, so the same sources give the same blob everywhere.

use std::path::Path;

use toml_edit::{DocumentMut, Item};

use crate::discover::ModuleCrate;
use crate::error::BuildError;
use crate::settings::{Checks, CodegenOptions};
use crate::toolchain::MODULE_TARGET;

impl ModuleCrate {
    /// Returns the code-generation options of the crate: for every processor, then for those of higher levels.
    ///
    /// # Errors
    /// When the crate's settings can't be understood.
    pub fn codegen_options(&self) -> Result<Vec<CodegenOptions>, BuildError> {
        let mut options = self.settings.codegen_options(self.folder()).map_err(|reason| self.wrong_settings(reason))?;
        if let (None, Some(level), Some(codegen)) =
            (&self.settings.opt_level, own(self, MODULE_TARGET)?.opt_level, options.first_mut())
        {
            codegen.opt_level = level;
        }
        Ok(options)
    }
}

/// The settings read from a crate's own files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CrateFlags {
    pub checks: Checks,
    pub opt_level: Option<String>,
    pub rustflags: Vec<String>,
}

/// Reads the settings for `target` from the crate's own files.
pub(crate) fn own(module: &ModuleCrate, target: &str) -> Result<CrateFlags, BuildError> {
    let mut own = CrateFlags::default();
    let manifest = document(&module.root.join("Cargo.toml"), &module.name)?;
    if let Some(profile) = manifest.as_ref().and_then(|manifest| manifest.get("profile")?.get("release")) {
        let is_set = |key| profile.get(key).and_then(Item::as_bool).unwrap_or(false);
        own.checks = Checks { overflow: is_set("overflow-checks"), debug_assertions: is_set("debug-assertions") };
        let level = profile.get("opt-level");
        let number = level.and_then(Item::as_integer).map(|level| level.to_string());
        own.opt_level = number.or_else(|| Some(level?.as_str()?.to_owned()));
    }
    let mut flags = module.settings.rustflags.clone();
    let folders =
        if module.root == module.folder() { vec![module.folder()] } else { vec![&module.root, module.folder()] };
    for folder in folders {
        for name in [".cargo/config.toml", ".cargo/config"] {
            if let Some(config) = document(&folder.join(name), &module.name)? {
                let of = |table: Option<&Item>| table.and_then(|table| words(table.get("rustflags")?));
                // As in cargo, the flags for the target replace the general ones.
                let own = of(config.get("target").and_then(|targets| targets.get(target)));
                flags.extend(own.or_else(|| of(config.get("build"))).unwrap_or_default());
                break;
            }
        }
    }
    own.rustflags = joined(&flags).map_err(|flag| BuildError::Manifest {
        krate: module.name.clone(),
        reason: format!(
            "rustflags: \"{flag}\", expected --cfg, --check-cfg, -A, -W or -D: all else is the same for every module \
             (for newer processors see `variants`)"
        ),
    })?;
    Ok(own)
}

fn document(path: &Path, krate: &str) -> Result<Option<DocumentMut>, BuildError> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    let wrong =
        |error| BuildError::Manifest { krate: krate.to_owned(), reason: format!("{}: {error}", path.display()) };
    text.parse().map(Some).map_err(wrong)
}

/// Returns the words of a list, or of a text.
fn words(item: &Item) -> Option<Vec<String>> {
    if let Some(text) = item.as_str() {
        return Some(text.split_whitespace().map(ToOwned::to_owned).collect());
    }
    Some(item.as_array()?.iter().filter_map(|word| word.as_str().map(ToOwned::to_owned)).collect())
}

/// Joins each flag with its value. Refuses flags that would change the kind of code.
///
/// The error is the first flag that a module can't have.
fn joined(words: &[String]) -> Result<Vec<String>, String> {
    const TAKEN: [&str; 5] = ["--cfg", "--check-cfg", "-A", "-W", "-D"];
    let (mut flags, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        let flag = match TAKEN.contains(&word.as_str()) {
            true => words.next().map(|value| format!("{word}{}{value}", if word.starts_with("--") { "=" } else { "" })),
            false => TAKEN.iter().any(|taken| word.starts_with(taken)).then(|| word.clone()),
        };
        flags.push(flag.ok_or_else(|| word.clone())?);
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_flags_that_choose_code_and_refuses_those_that_change_its_kind() {
        let split = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let taken = joined(&split("--cfg backend=\"soft\" --cfg=fast -A dead_code -Wunused"));
        assert_eq!(taken.unwrap(), ["--cfg=backend=\"soft\"", "--cfg=fast", "-Adead_code", "-Wunused"]);
        for refused in ["-C target-cpu=native", "-Ctarget-cpu=native", "-Zbuild-std", "--cfg"] {
            assert_eq!(joined(&split(refused)).unwrap_err(), refused.split(' ').next().unwrap());
        }
    }
}
