//! The interface `report`, which the loader provides. Unlike a provider of the embedder's, it has the manager at hand.

use bareflow_abi::header::NAME_SIZE;
use bareflow_abi::interface::{Frame, Reply, serve_shared};
use bareflow_abi::{CallError, Out};
use bareflow_report::{Domain as ReportedDomain, ModuleRow, NAME_BYTES, Overview, Report, State};

use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::platform::Platform;
use crate::policy::Domain;
use crate::profile::ModuleProfile;

const _: () = assert!(NAME_BYTES == NAME_SIZE);

/// The most rows of a call, each of which is a profile that is read.
const ROWS: usize = 16;

/// The report on a manager's modules.
struct ReportOf<'manager, P: Platform>(&'manager ModuleManager<P>);

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of the interface.
    #[inline(never)]
    pub(crate) fn serve_report(&self, method: u32, frame: &mut Frame<'_>) -> Reply {
        serve_shared::<dyn Report, _>(&ReportOf(self), method, frame)
    }

    fn row(&self, id: ModuleId) -> Option<ModuleRow> {
        let profile = self.stats(id)?;
        let starts_in_us = self.starts_in_us(id);
        let mut row = ModuleRow {
            version: profile.version.parts(),
            generation: profile.generation,
            memory_bytes: profile.memory.bytes(),
            call_count: profile.call_count,
            function_calls: self.function_calls(id),
            timed_calls: profile.timed_calls,
            p50_cycles: profile.cycles.map_or(0, |cycles| cycles.p50),
            p99_cycles: profile.cycles.map_or(0, |cycles| cycles.p99),
            starts_in_us: starts_in_us.unwrap_or_default(),
            faults: profile.faults,
            restarts: profile.restarts,
            state: state(&profile, starts_in_us.is_some()) as u8,
            domain: match profile.domain {
                Domain::Kernel => ReportedDomain::Kernel,
                Domain::User => ReportedDomain::User,
                Domain::Sandbox => ReportedDomain::Sandbox,
            } as u8,
            tier: self.tier(id),
            is_active: profile.active.into(),
            ..ModuleRow::default()
        };
        row.name.iter_mut().zip(profile.name.as_str().bytes()).for_each(|(target, byte)| *target = byte);
        Some(row)
    }

    /// Returns the time until a module starts again, if it waits for that.
    fn starts_in_us(&self, id: ModuleId) -> Option<u64> {
        #[cfg(feature = "supervision")]
        return self.supervised(id)?.starts_in_us;
        #[cfg(not(feature = "supervision"))]
        {
            let _ = id;
            None
        }
    }

    /// Returns the number of calls of a module's functions.
    fn function_calls(&self, id: ModuleId) -> u64 {
        let Some(module) = self.get(id) else { return 0 };
        let functions = module.metadata.interfaces().map_or(&[][..], |interfaces| &interfaces.functions);
        functions.iter().map(|function| function.call_count()).fold(0, u64::saturating_add)
    }

    /// Returns the tier of a module.
    fn tier(&self, id: ModuleId) -> u8 {
        #[cfg(feature = "portable")]
        return self.provenance(id).map_or(ModuleRow::NATIVE, |provenance| provenance.tier());
        #[cfg(not(feature = "portable"))]
        {
            let _ = id;
            ModuleRow::NATIVE
        }
    }
}

fn state(profile: &ModuleProfile, waits: bool) -> State {
    match (profile.retired, profile.stopped) {
        (true, _) => State::Retired,
        (false, true) if waits => State::Waiting,
        (false, true) => State::Faulted,
        (false, false) => State::Loaded,
    }
}

impl<P: Platform> Report for ReportOf<'_, P> {
    fn overview(&self, into: &mut Overview) -> Result<(), CallError> {
        let ReportOf(manager) = self;
        *into = Overview {
            now_us: manager.platform.microseconds().unwrap_or_default(),
            now_cycles: manager.platform.clock(),
            memory_bytes: manager.usage().unwrap_or_default().bytes(),
            modules: u32::try_from(manager.ids().count()).unwrap_or(u32::MAX),
            zero: 0,
        };
        Ok(())
    }

    fn modules(&self, from: u32, into: &mut Out<'_, ModuleRow>) -> Result<u32, CallError> {
        let ReportOf(manager) = self;
        let mut left = into.remaining().min(ROWS);
        if left == 0 {
            return Err(CallError::BadArgument);
        }
        // A position is the number of a slot, in which a module stays.
        for id in manager.ids().skip_while(|id| id.index < from as usize) {
            if left == 0 {
                return u32::try_from(id.index).map_err(|_| CallError::BadAnswer);
            }
            if let Some(row) = manager.row(id) {
                into.push(row);
                left -= 1;
            }
        }
        Ok(0)
    }
}

#[cfg(all(test, feature = "reload", feature = "semver", feature = "supervision"))]
mod tests {
    use super::*;
    use crate::fault::{Fault, FaultKind};
    use crate::policy::{FaultPolicy, LoadOptions};
    use crate::testing::{LeakedManager as Manager, blob, leaked_manager as manager};
    use std::string::{String, ToString};
    use std::vec::Vec;

    const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(0), address: None };

    fn load(manager: &Manager, name: &str, policy: &str) -> ModuleId {
        let options = LoadOptions { on_fault: FaultPolicy::parse(policy).unwrap(), ..LoadOptions::default() };
        manager.load_with(&blob::small(name), &options).unwrap()
    }

    /// Reads up to `COUNT` rows from a position on. Returns them and the next position.
    fn read<const COUNT: usize>(manager: &Manager, from: u32) -> (Vec<ModuleRow>, u32) {
        try_read::<COUNT>(manager, from).unwrap()
    }

    fn try_read<const COUNT: usize>(manager: &Manager, from: u32) -> Result<(Vec<ModuleRow>, u32), CallError> {
        let mut room = [ModuleRow::default(); COUNT];
        let mut out = Out::new(&mut room);
        let next = ReportOf(manager).modules(from, &mut out)?;
        Ok((out.written().to_vec(), next))
    }

    fn names(rows: &[ModuleRow]) -> Vec<String> {
        rows.iter().map(|row| row.name().to_string()).collect()
    }

    #[test]
    fn shows_what_the_profile_says() {
        let (platform, manager) = manager();
        let sum = load(manager, "sum", "stop");
        assert_eq!(read::<4>(manager, 0).0[0].timed_calls, 0);
        assert_eq!((manager.execute(sum), manager.execute(sum)), (Ok(42), Ok(42)));
        let (rows, next) = read::<4>(manager, 0);
        let (profile, cycles) = (manager.stats(sum).unwrap(), manager.stats(sum).unwrap().cycles.unwrap());
        let mut expected = ModuleRow {
            version: profile.version.parts(),
            generation: 1,
            memory_bytes: profile.memory.bytes(),
            call_count: 2,
            timed_calls: 2,
            p50_cycles: cycles.p50,
            p99_cycles: cycles.p99,
            tier: ModuleRow::NATIVE,
            is_active: 1,
            ..ModuleRow::default()
        };
        expected.name[..3].copy_from_slice(b"sum");
        assert_eq!((rows, next), ([expected].to_vec(), 0));
        assert!(expected.memory_bytes > 0 && expected.p50_cycles > 0, "{expected:?}");
        platform.results.borrow_mut().push_back(Err(FAULT));
        assert!(manager.execute(sum).is_err());
        let row = read::<1>(manager, 0).0[0];
        assert_eq!((State::of(row.state), row.faults, row.restarts), (Some(State::Faulted), 1, 0));
    }

    #[test]
    fn shows_what_waits_and_until_when() {
        let (platform, manager) = manager();
        let net = load(manager, "net", "backoff:10ms..1s,1/60s");
        platform.results.borrow_mut().push_back(Err(FAULT));
        assert!(manager.execute(net).is_err());
        let row = read::<1>(manager, 0).0[0];
        assert_eq!((State::of(row.state), row.starts_in_us), (Some(State::Waiting), 10_000));
        platform.microseconds.set(Some(10_000));
        manager.restart_due();
        let row = read::<1>(manager, 0).0[0];
        assert_eq!((State::of(row.state), row.starts_in_us, row.restarts), (Some(State::Loaded), 0, 1));
        let mut overview = Overview::default();
        ReportOf(manager).overview(&mut overview).unwrap();
        assert_eq!((overview.now_us, overview.modules), (10_000, 1));
        assert!(overview.now_cycles > 0);
    }

    #[test]
    fn who_stays_is_listed_once_whatever_comes_and_goes() {
        let (_, manager) = manager();
        let ids = ["a", "b", "c", "d"].map(|name| load(manager, name, "stop"));
        let (first, next) = read::<2>(manager, 0);
        assert_eq!(names(&first), ["a", "b"]);
        for id in &ids[..3] {
            manager.unload(*id).unwrap();
        }
        load(manager, "e", "stop");
        let (second, end) = read::<2>(manager, next);
        assert!(names(&second).contains(&"d".to_string()), "{:?}", names(&second));
        assert!(!names(&second).contains(&"b".to_string()));
        assert_eq!(end, 0);
        // A position may be any number.
        assert_eq!(read::<2>(manager, u32::MAX), (Vec::new(), 0));
    }

    #[test]
    fn a_call_appends_one_row_at_least_and_some_at_most() {
        let (_, manager) = manager();
        assert_eq!(try_read::<0>(manager, 0), Err(CallError::BadArgument));
        let all: Vec<_> = (0..=ROWS).map(|number| std::format!("m{number}")).collect();
        all.iter().for_each(|name| _ = load(manager, name, "stop"));
        assert_eq!(try_read::<0>(manager, 0), Err(CallError::BadArgument));
        let (rows, next) = read::<{ 2 * ROWS }>(manager, 0);
        assert_eq!((names(&rows), next), (all[..ROWS].to_vec(), ROWS as u32));
        let (rows, next) = read::<{ 2 * ROWS }>(manager, next);
        assert_eq!((names(&rows), next), (all[ROWS..].to_vec(), 0));
    }
}
