//! The interface `supervision`, which the loader provides.

use bareflow_abi::interface::{Frame, Reply, serve};
use bareflow_supervision::{Counts, State, Supervision, SupervisionError};

use crate::error::RestartError;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::interfaces::Interfaces;
use crate::module::lifecycle::ModuleState;
use crate::name::Name;
use crate::platform::Platform;

/// The supervision that the module `caller` asks for.
struct SupervisionFor<'manager, P: Platform> {
    manager: &'manager ModuleManager<P>,
    caller: Option<ModuleId>,
}

impl<P: Platform> ModuleManager<P> {
    /// Calls a method of the interface for the module `caller`.
    pub(crate) fn serve_supervision(&self, caller: &Interfaces<P::Alloc>, method: u32, frame: &mut Frame<'_>) -> Reply {
        let caller = caller.owner.get();
        serve::<dyn Supervision, _>(&mut SupervisionFor { manager: self, caller }, method, frame)
    }
}

impl<P: Platform> SupervisionFor<'_, P> {
    fn find(&self, module: &str) -> Result<ModuleId, SupervisionError> {
        Name::new(module).and_then(|name| self.manager.active(&name)).ok_or(SupervisionError::NoSuchModule)
    }

    fn restart_module(&self, id: ModuleId) -> Result<(), SupervisionError> {
        self.manager.restart_when_idle(id).map_err(|error| match error {
            RestartError::NotLoaded => SupervisionError::NoSuchModule,
            RestartError::NotKept => SupervisionError::NotKept,
            RestartError::Load(error) if error.is_for_memory() => SupervisionError::NoMemory,
            RestartError::Busy | RestartError::OtherBlob | RestartError::Load(_) => SupervisionError::Failed,
        })
    }
}

impl<P: Platform> Supervision for SupervisionFor<'_, P> {
    fn restart(&mut self, module: &str) -> Result<(), SupervisionError> {
        self.restart_module(self.find(module)?)
    }

    fn restart_self(&mut self) -> Result<(), SupervisionError> {
        self.restart_module(self.caller.ok_or(SupervisionError::NoSuchModule)?)
    }

    fn status(&mut self, module: &str, counts: &mut Counts) -> Result<State, SupervisionError> {
        let id = self.find(module)?;
        let profile = self.manager.stats(id).ok_or(SupervisionError::NoSuchModule)?;
        let supervised = self.manager.supervised(id);
        let waits = supervised.and_then(|supervised| supervised.starts_in_us);
        *counts = Counts {
            starts_in_us: waits.unwrap_or_default(),
            generation: profile.generation,
            faults: profile.faults,
            restarts: profile.restarts,
            restarts_within_window: supervised.map_or(0, |supervised| supervised.restarts_within_window),
        };
        let state = self.manager.get(id).map(|module| module.lifecycle.state());
        Ok(match state.ok_or(SupervisionError::NoSuchModule)? {
            ModuleState::Stopped if waits.is_some() => State::Waiting,
            ModuleState::Stopped => State::Stopped,
            ModuleState::Running => State::Running,
            ModuleState::Live | ModuleState::Loading => State::Live,
        })
    }
}

#[cfg(all(test, feature = "semver"))]
mod tests {
    use super::*;
    use crate::error::ExecuteError;
    use crate::fault::{Fault, FaultKind};
    use crate::policy::{FaultPolicy, LoadOptions};
    use crate::testing::{FakePlatform, LeakedManager as Manager, blob, leaked_manager as manager};
    use std::boxed::Box;

    const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(0), address: None };

    fn load(manager: &Manager, name: &str, policy: &str) -> ModuleId {
        let options = LoadOptions { on_fault: FaultPolicy::parse(policy).unwrap(), ..LoadOptions::default() };
        manager.load_with(&blob::small(name), &options).unwrap()
    }

    /// Lets a module use the interface in its next call.
    fn inside(
        platform: &'static FakePlatform,
        manager: &'static Manager,
        caller: ModuleId,
        act: impl FnOnce(&mut SupervisionFor<'static, &'static FakePlatform>) + 'static,
    ) {
        let act = move || act(&mut SupervisionFor { manager, caller: Some(caller) });
        platform.meanwhile.borrow_mut().push_back(Box::new(act));
    }

    #[test]
    fn restarts_what_it_is_told_to() {
        let (platform, manager) = manager();
        let keeper = load(manager, "keeper", "stop");
        let net = load(manager, "net", "restart:0");
        platform.results.borrow_mut().push_back(Err(FAULT));
        assert!(manager.execute(net).is_err());
        inside(platform, manager, keeper, |supervision| {
            let mut counts = Counts::default();
            assert_eq!(supervision.status("keeper", &mut counts), Ok(State::Running));
            assert_eq!((supervision.status("net", &mut counts), counts.faults), (Ok(State::Stopped), 1));
            assert_eq!(supervision.restart("net"), Ok(()));
            assert_eq!((supervision.status("net", &mut counts), counts.restarts), (Ok(State::Live), 1));
            assert_eq!(supervision.restart("nothing"), Err(SupervisionError::NoSuchModule));
            assert_eq!(supervision.restart("keeper"), Err(SupervisionError::NotKept));
            supervision.manager.platform().is_short.set(true);
            assert_eq!(supervision.restart("net"), Err(SupervisionError::NoMemory));
            supervision.manager.platform().is_short.set(false);
        });
        assert_eq!((manager.execute(keeper), manager.execute(net)), (Ok(42), Ok(42)));
    }

    #[test]
    fn shows_what_waits() {
        let (platform, manager) = manager();
        let net = load(manager, "net", "backoff:10ms..1s,1/60s");
        platform.results.borrow_mut().push_back(Err(FAULT));
        assert!(manager.execute(net).is_err());
        let (mut supervision, mut counts) = (SupervisionFor { manager, caller: None }, Counts::default());
        assert_eq!((supervision.status("net", &mut counts), counts.starts_in_us), (Ok(State::Waiting), 10_000));
        platform.microseconds.set(Some(10_000));
        manager.restart_due();
        assert_eq!(supervision.status("net", &mut counts), Ok(State::Live));
        assert_eq!(counts, Counts { generation: 1, faults: 1, restarts: 1, restarts_within_window: 1, ..counts });
    }

    #[test]
    fn restarts_its_caller_after_the_call() {
        let (platform, manager) = manager();
        let net = load(manager, "net", "restart:0");
        assert_eq!(manager.execute(net), Ok(42));
        inside(platform, manager, net, |supervision| {
            assert_eq!(supervision.restart_self(), Ok(()));
            assert_eq!(supervision.manager.stats(supervision.caller.unwrap()).unwrap().restarts, 0);
        });
        assert_eq!((manager.execute(net), manager.stats(net).unwrap().restarts), (Ok(42), 1));
        assert_eq!((manager.execute(net), manager.stats(net).unwrap().restarts), (Ok(42), 1));
        // Also if the call faults after that, and if it is another one's call.
        inside(platform, manager, net, |supervision| assert_eq!(supervision.restart("net"), Ok(())));
        platform.results.borrow_mut().push_back(Err(FAULT));
        assert_eq!(manager.execute(net), Err(ExecuteError::Faulted(FAULT)));
        assert_eq!((manager.execute(net), manager.stats(net).unwrap().restarts), (Ok(42), 2));
        // Without memory it goes on as it was.
        inside(platform, manager, net, |supervision| {
            assert_eq!(supervision.restart_self(), Ok(()));
            supervision.manager.platform().is_short.set(true);
        });
        assert_eq!((manager.execute(net), manager.execute(net)), (Ok(42), Ok(42)));
        assert_eq!((manager.stats(net).unwrap().restarts, platform.images.get()), (2, 1));
    }
}
