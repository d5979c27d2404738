//! Limits on the budgets of single modules, as operators write them: `compiler.heap=64M`.

use bareflow_loader::{BadBudget, Budget, Name};

/// The limits of single modules: on each line or between commas a part `module.key=value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleLimits<'text>(&'text str);

impl<'text> ModuleLimits<'text> {
    /// Takes the limits that were [checked](Self::check) before; what is no limit is passed over.
    #[must_use]
    pub const fn new(text: &'text str) -> ModuleLimits<'text> {
        ModuleLimits(text)
    }

    /// Returns the module that `part` is about; `None` if it is about all of them.
    ///
    /// # Errors
    /// A part that is no limit, or names what is no module.
    pub fn check(part: &str) -> Result<Option<&str>, BadBudget<'_>> {
        let bad = BadBudget { part };
        let (of, limit) = split(part).ok_or(bad)?;
        Budget::LIMITS.parse(limit).map_err(|_| bad)?;
        if of.is_some_and(|name| Name::new(name).is_none()) { Err(bad) } else { Ok(of) }
    }

    /// Returns `limits` with those changed that are set for `module`.
    #[must_use]
    pub fn of(self, module: &str, limits: Budget) -> Budget {
        let own = self.0.split([',', '\n']).filter_map(split).filter(|(name, _)| *name == Some(module));
        own.fold(limits, |limits, (_, limit)| limits.parse(limit).unwrap_or(limits))
    }
}

/// Splits `module.key=value` into the module and the limit. The value may contain dots.
fn split(part: &str) -> Option<(Option<&str>, &str)> {
    let (key, _) = part.split_once('=')?;
    Some(match key.split_once('.') {
        Some((module, _)) => (Some(module), part.get(module.len() + 1..)?),
        None => (None, part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_has_its_own() {
        let limits = ModuleLimits::new("compiler.heap=64M,compiler.time=5s\nsum.stack=16K");
        let compiler = limits.of("compiler", Budget::LIMITS);
        assert_eq!(compiler, Budget { heap_bytes: 64 << 20, time_us: 5_000_000, ..Budget::LIMITS });
        assert_eq!(limits.of("sum", Budget::DEFAULT), Budget { stack_bytes: 16 << 10, ..Budget::DEFAULT });
        assert_eq!(limits.of("compile", Budget::LIMITS), Budget::LIMITS);
        assert_eq!(ModuleLimits::default().of("sum", Budget::LIMITS), Budget::LIMITS);
    }

    #[test]
    fn rejects_what_is_no_limit() {
        assert_eq!(ModuleLimits::check("sum.heap=1M"), Ok(Some("sum")));
        assert_eq!(ModuleLimits::check("heap=1M"), Ok(None));
        for part in ["", "sum", "sum.=1", ".heap=1M", "sum.heap", "sum.speed=1", "Sum.heap=1M", "a.b.heap=1M"] {
            assert_eq!(ModuleLimits::check(part), Err(BadBudget { part }), "{part}");
        }
    }
}
