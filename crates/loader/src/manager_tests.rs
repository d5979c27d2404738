use super::*;
use crate::error::{ExecuteError, InvalidModule, LoadError, MalformedModule, UnloadError};
use crate::fault::{Fault, FaultKind};
use crate::module::lifecycle::ModuleState;
use crate::name::{Name, Version};
use crate::platform::CallOutcome;
use crate::policy::{Domain, FaultPolicy};
use crate::testing::{FakePlatform, blob};
use crate::{Budget, Permissions, RawModule};
use bareflow_abi::header::{FLAG_EXIT, FLAG_INIT, FLAG_REENTRANT, SERVICE_CLOCK, SERVICE_LOG};
use std::string::ToString;

const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(3), address: None };

fn manager(platform: &FakePlatform) -> ModuleManager<&FakePlatform> {
    crate::testing::manager(platform, Timing::Precise)
}

/// Returns a blob with an `init` and an `exit`.
fn with_init_and_exit() -> std::vec::Vec<u8> {
    let mut bytes = blob::full();
    blob::change_header(&mut bytes, |header| header.flags = FLAG_INIT | FLAG_EXIT);
    bytes
}

#[test]
fn loads_finds_and_executes() {
    let platform = FakePlatform { output: b"out", ..FakePlatform::default() };
    let manager = manager(&platform);
    let id = manager.load(&blob::full()).unwrap();
    assert_eq!(manager.find("full"), Some(id));
    assert_eq!(manager.find("Full!"), None);
    assert_eq!(manager.execute(id), Ok(42));
    let mut output = [0; 2];
    assert_eq!(manager.execute_with(id, b"in", &mut output), Ok(CallOutcome { result: 42, output_length: 2 }));
    assert_eq!(&output, b"ou");
    let profile = manager.stats(id).unwrap();
    assert_eq!((profile.call_count, profile.total_cycles, profile.last_result), (2, 20, Some(42)));
    assert_eq!(profile.cycles.unwrap().p50, 10);
}

#[test]
fn places_with_fixups_applied_and_bss_zeroed() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let id = manager.load(&blob::full()).unwrap();
    let module = manager.get(id).unwrap();
    let image = &module.placed.image;
    assert_eq!(image.text, blob::TEXT);
    assert_eq!(image.rodata[8..], (image.base + 5).to_le_bytes());
    assert_eq!(image.data.borrow()[..8], (image.base + 0x5000_0028).to_le_bytes());
    assert_eq!(image.data.borrow()[8..], [0; 32]);
}

#[test]
fn rejects_a_duplicate() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    manager.load(&blob::small("sum")).unwrap();
    let version = Version { major: 1, minor: 0, patch: 0 };
    let name = Name::new("sum").unwrap();
    assert_eq!(manager.load(&blob::small("sum")), Err(LoadError::AlreadyLoaded { name, version }));
    assert_eq!(platform.images.get(), 1);
}

#[test]
fn rejects_what_the_stages_refuse_and_keeps_nothing_of_it() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    assert_eq!(manager.load(b""), Err(LoadError::Malformed(MalformedModule::TooShort { found: 0 })));
    let mut bytes = blob::full();
    blob::change_header(&mut bytes, |header| header.abi_major = 9);
    assert!(matches!(manager.load(&bytes), Err(LoadError::Invalid(InvalidModule::AbiMajor { found: (9, _), .. }))));
    assert_eq!((platform.images.get(), manager.profiles().count()), (0, 0));
}

#[test]
fn rejects_when_memory_runs_out() {
    let platform = FakePlatform { capacity: 0, ..FakePlatform::default() };
    let manager = manager(&platform);
    assert!(matches!(manager.load(&blob::full()), Err(LoadError::Platform(_))));
    assert_eq!(manager.find("full"), None);
}

#[test]
fn rejects_a_module_whose_init_fails_or_faults() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    platform.results.borrow_mut().extend([Ok(7), Err(FAULT), Ok(0)]);
    assert_eq!(manager.load(&with_init_and_exit()), Err(LoadError::InitFailed { result: 7 }));
    assert_eq!(manager.load(&with_init_and_exit()), Err(LoadError::InitFaulted(FAULT)));
    assert_eq!((platform.images.get(), manager.find("full")), (0, None));
    assert!(manager.load(&with_init_and_exit()).is_ok());
}

#[test]
fn stops_a_module_that_faulted() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let id = manager.load(&blob::full()).unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)));
    assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(FAULT)));
    let profile = manager.stats(id).unwrap();
    assert_eq!((profile.call_count, profile.cycles, profile.fault), (1, None, Some(FAULT)));
    assert!(profile.stopped);
}

#[test]
fn restarts_a_module_as_often_as_its_policy_says() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(1), ..LoadOptions::default() };
    let id = manager.load_with(&blob::full(), &options).unwrap();
    assert_eq!(manager.execute(id), Ok(42));
    platform.results.borrow_mut().extend([Err(FAULT), Ok(7), Err(FAULT)]);
    assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)));
    assert_eq!((manager.execute(id), platform.images.get()), (Ok(7), 1));
    assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)));
    assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(FAULT)));
    let profile = manager.stats(id).unwrap();
    assert_eq!((profile.call_count, profile.faults, profile.restarts, profile.generation), (4, 2, 1, 1));
    assert_eq!(profile.cycles.map(|cycles| cycles.max), Some(10));
}

#[test]
fn stops_a_module_whose_init_faults_when_it_is_restarted() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
    platform.results.borrow_mut().extend([Ok(0), Err(FAULT), Err(FAULT)]);
    let id = manager.load_with(&with_init_and_exit(), &options).unwrap();
    assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)));
    assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(FAULT)));
    assert_eq!((manager.stats(id).unwrap().faults, platform.images.get()), (2, 1));
    assert!(manager.unload(id).is_ok());
    assert_eq!(
        *platform.reasons.borrow(),
        [Reason::Init, Reason::Run, Reason::Init],
        "a stopped module's exit is not called"
    );
}

#[test]
fn rejects_a_domain_that_the_platform_has_not() {
    let platform = FakePlatform::default();
    let options = LoadOptions { domain: Domain::User, ..LoadOptions::default() };
    let refused = manager(&platform).load_with(&blob::full(), &options);
    assert_eq!(refused, Err(LoadError::NoSuchDomain(Domain::User)));
}

#[test]
fn rejects_the_kernel_domain_without_permission() {
    let platform = FakePlatform::default();
    let manager = ModuleManager::new(&platform, Timing::Precise);
    assert_eq!(manager.load(&blob::full()), Err(LoadError::NoKernelDomain));
    let user = LoadOptions { domain: Domain::User, ..LoadOptions::DEFAULT };
    // Permitted, though this platform does not have it.
    assert_eq!(manager.load_with(&blob::full(), &user), Err(LoadError::NoSuchDomain(Domain::User)));
}

#[test]
fn rejects_what_declares_more_than_is_allowed() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let mut bytes = blob::full();
    blob::change_header(&mut bytes, |header| (header.services, header.heap_size) = (SERVICE_LOG | SERVICE_CLOCK, 1));
    let load = |text| {
        manager.load_with(
            &bytes,
            &LoadOptions { allowed: Permissions::parse(text).unwrap().into(), ..LoadOptions::default() },
        )
    };
    let error = load("clock,call").unwrap_err();
    let (refused, allowed) = (Permissions::parse("log,heap").unwrap(), Permissions::parse("clock,call").unwrap());
    assert_eq!(error, LoadError::NotAllowed { refused, allowed });
    assert_eq!(
        error.to_string(),
        "not allowed: the module declares log,heap, the policy allows clock,call; \
         allow it, or remove it from the module's needs"
    );
    assert!(load("none").unwrap_err().to_string().contains("declares log,clock,heap, the policy allows none"));
    assert!((platform.images.get(), platform.reasons.borrow().len()) == (0, 0), "nothing of it ran or stays");
    let id = load("log,clock,heap").unwrap();
    assert_eq!(manager.stats(id).map(|profile| profile.services), Some(SERVICE_LOG | SERVICE_CLOCK));
}

#[test]
fn refuses_overlapping_calls_unless_reentrant() {
    let platform = FakePlatform { has_user: true, ..FakePlatform::default() };
    let manager = manager(&platform);
    let id = manager.load(&blob::full()).unwrap();
    manager.get(id).unwrap().lifecycle.set(ModuleState::Running);
    assert_eq!(manager.execute(id), Err(ExecuteError::Busy));
    let running = manager.get(id);
    assert!(matches!(manager.unload(id), Err(UnloadError::Busy { .. })));
    drop(running);
    let mut bytes = blob::small("reentrant");
    blob::change_header(&mut bytes, |header| header.flags = FLAG_REENTRANT);
    let id = manager.load(&bytes).unwrap();
    manager.get(id).unwrap().lifecycle.set(ModuleState::Running);
    assert_eq!(manager.execute(id), Ok(42));
    // The modules of one address space share one stack, whatever their flags say.
    manager.unload(id).unwrap();
    let id = manager.load_with(&bytes, &LoadOptions { domain: Domain::User, ..LoadOptions::DEFAULT }).unwrap();
    manager.get(id).unwrap().lifecycle.set(ModuleState::Running);
    assert_eq!(manager.execute(id), Err(ExecuteError::Busy));
}

#[test]
fn rejects_more_data_than_the_limit() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let data = blob::full();
    let found = RawModule::parse(&data).map(|raw| raw.header().data_size + raw.header().bss_size).unwrap();
    let load = |limit| {
        let limits = Budget { data_bytes: limit, ..Budget::LIMITS };
        manager.load_with(&data, &LoadOptions { limits, ..LoadOptions::DEFAULT })
    };
    assert_eq!(load(found - 1), Err(LoadError::DataBudget { found, limit: found - 1 }));
    assert!(load(found).is_ok());
}

#[test]
fn unloads_and_counts_generations() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    platform.results.borrow_mut().push_back(Ok(0));
    let first = manager.load(&with_init_and_exit()).unwrap();
    assert!(manager.unload(first).unwrap().is_balanced());
    assert_eq!(*platform.reasons.borrow(), [Reason::Init, Reason::Exit]);
    assert_eq!((platform.images.get(), manager.find("full")), (0, None));
    assert_eq!(manager.unload(first), Err(UnloadError::NotLoaded));
    let second = manager.load(&blob::full()).unwrap();
    assert_eq!(manager.execute(first), Err(ExecuteError::NotLoaded));
    assert_eq!(manager.stats(second).unwrap().generation, 2);
}

#[test]
fn has_no_limit_on_modules() {
    let platform = FakePlatform::default();
    {
        let manager = manager(&platform);
        for number in 0..2000 {
            manager.load(&blob::small(&std::format!("module-{number}"))).unwrap();
        }
        let id = manager.find("module-1999").unwrap();
        assert_eq!(manager.execute(id), Ok(42));
        assert_eq!(platform.images.get(), 2000);
    }
    assert_eq!(platform.images.get(), 0, "dropping the manager releases all images");
}

/// Compiles only if a manager can move to another thread along with its platform.
#[expect(dead_code, reason = "the compiler checks it without a call")]
fn moves_with_its_platform<P: Platform + Send>(manager: ModuleManager<P>) -> impl Send
where
    P::Alloc: Send,
    P::Image: Send,
{
    manager
}
