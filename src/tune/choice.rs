//! The choice of candidates that pay off.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::candidates::Candidate;

/// The ratio of ticks, to those of what there is, below which a further variant or a profile pays off.
const PAYS: f64 = 0.9;

/// The ticks by which one reading of a clock that ticks in steps can be off.
const RESOLUTION: u64 = 26;

/// The settings that are worth their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The optimisation level for every processor.
    pub opt_level: String,
    /// The optimisation levels of the variants that pay off, by x86-64 level.
    pub variants: BTreeMap<u8, String>,
    /// The profile, if one pays off.
    pub profile: Option<PathBuf>,
}

impl Choice {
    /// Whether `candidate` is part of the choice.
    pub fn has(&self, candidate: &Candidate) -> bool {
        let codegen = &candidate.codegen;
        let level = if codegen.cpu_level == 1 { Some(&self.opt_level) } else { self.variants.get(&codegen.cpu_level) };
        level == Some(&codegen.opt_level) && codegen.profile == self.profile
    }
}

/// Chooses the cheapest build for each level, or the smallest of those that cost the same.
///
/// A level is chosen only if it pays off over the one below, and a profile only if it pays off for the highest level.
pub(super) fn choose(candidates: &[Candidate]) -> Choice {
    let (plain, plain_ticks) = among(candidates, false);
    match candidates.iter().any(|candidate| candidate.codegen.profile.is_some()) {
        true => {
            let (profiled, ticks) = among(candidates, true);
            if pays(ticks, plain_ticks) { profiled } else { plain }
        }
        false => plain,
    }
}

/// Returns the choice among the candidates with or without a profile, and the ticks of its highest level.
fn among(candidates: &[Candidate], with_profile: bool) -> (Choice, u64) {
    let mut choice = Choice { opt_level: "2".to_owned(), variants: BTreeMap::new(), profile: None };
    let mut below = u64::MAX;
    for level in 1..=4 {
        let of_level = candidates.iter().filter(|candidate| {
            candidate.codegen.cpu_level == level && candidate.codegen.profile.is_some() == with_profile
        });
        let Some((best, ticks)) = best(of_level) else { continue };
        let opt_level = best.codegen.opt_level.clone();
        if level == 1 {
            choice.profile = best.codegen.profile.clone();
            (choice.opt_level, below) = (opt_level, ticks);
        } else if pays(ticks, below) {
            choice.variants.insert(level, opt_level);
            below = ticks;
        }
    }
    (choice, below)
}

fn pays(ticks: u64, below: u64) -> bool {
    below.saturating_sub(ticks) > RESOLUTION && ticks as f64 <= below as f64 * PAYS
}

/// Returns the smallest of the candidates that are as cheap as the cheapest, within the clock's resolution.
fn best<'all>(candidates: impl Iterator<Item = &'all Candidate>) -> Option<(&'all Candidate, u64)> {
    let measured: Vec<_> =
        candidates.filter_map(|candidate| Some((candidate, candidate.ticks.as_ref()?.median))).collect();
    let least = measured.iter().map(|(_, ticks)| *ticks).min()?;
    let same = |ticks: u64| ticks - least <= RESOLUTION.max(least / 50);
    measured.into_iter().filter(|(_, ticks)| same(*ticks)).min_by_key(|(candidate, _)| candidate.blob.len())
}

#[cfg(test)]
mod tests {
    use super::super::candidates::Ticks;
    use super::*;
    use bareflow_builder::CodegenOptions;

    fn candidate(cpu_level: u8, opt_level: &str, profile: bool, bytes: usize, median: Option<u64>) -> Candidate {
        let profile = profile.then(|| PathBuf::from("p"));
        let ticks = median.map(|median| Ticks { median, min: median });
        let codegen = CodegenOptions { cpu_level, opt_level: opt_level.to_owned(), profile };
        Candidate { codegen, blob: vec![0; bytes], ticks, instructions: None }
    }

    fn choice(opt_level: &str, variants: &[(u8, &str)], profile: bool) -> Choice {
        Choice {
            opt_level: opt_level.to_owned(),
            variants: variants.iter().map(|&(level, opt)| (level, opt.to_owned())).collect(),
            profile: profile.then(|| PathBuf::from("p")),
        }
    }

    #[test]
    fn takes_the_cheapest_and_the_smallest_of_equals() {
        let all = [
            candidate(1, "s", false, 200, Some(1015)),
            candidate(1, "2", false, 300, Some(1000)),
            candidate(1, "3", false, 250, Some(2000)),
        ];
        assert_eq!(choose(&all), choice("s", &[], false));
        assert!(choose(&all).has(&all[0]) && !choose(&all).has(&all[1]));
    }

    #[test]
    fn takes_a_level_only_where_it_pays_over_the_one_below() {
        let all = [
            candidate(1, "2", false, 300, Some(10_000)),
            candidate(2, "2", false, 300, Some(9_200)),
            candidate(3, "3", false, 900, Some(4_000)),
            candidate(4, "3", false, 900, None),
        ];
        assert_eq!(choose(&all), choice("2", &[(3, "3")], false));
    }

    #[test]
    fn takes_nothing_for_what_the_clock_can_not_tell_apart() {
        let all = [candidate(1, "2", false, 134, Some(26)), candidate(3, "2", false, 134, Some(0))];
        assert_eq!(choose(&all), choice("2", &[], false));
    }

    #[test]
    fn takes_a_profile_only_where_it_pays() {
        let profiled = |median| [candidate(1, "2", false, 300, Some(1000)), candidate(1, "3", true, 300, Some(median))];
        assert_eq!(choose(&profiled(990)), choice("2", &[], false));
        assert_eq!(choose(&profiled(700)), choice("3", &[], true));
    }
}
