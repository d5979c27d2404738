//! Modules that use each other by interfaces, and those of their embedder, on the host's platform and in the kernel.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::{ExitReason, Machine};
use bareflow_abi::{CallError, Out};
use bareflow_host::{HostPlatform, SystemRandom};
use bareflow_loader::{Budget, Domain, KernelDomain, LoadOptions, ModuleManager, ProvideError, Timing};
use bareflow_protocol::options::{Rig, Task};
use bareflow_protocol::{Request, Response};
use bareflow_random::{Random, RandomError};
use common::mutate::{bound, renamed};
use common::server::Local;
use common::{options, test_blob};
use who_interface::Who;

fn bytes(module: &str) -> Vec<u8> {
    std::fs::read(test_blob(module)).unwrap()
}

/// Loads a blob into a domain.
#[track_caller]
fn load_into(local: &Local, domain: Domain, blob: &[u8]) {
    let answer = local.push(blob, |push| push.overrides.domain = Some(domain.name()));
    assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
}

#[test]
fn all_kinds_of_arguments_cross_between_all_domains() {
    for user in Domain::ALL {
        for provider in Domain::ALL {
            let local = Local::new(LoadOptions::default());
            load_into(&local, provider, &bytes("kinds"));
            load_into(&local, user, &bytes("kinds-user"));
            assert_eq!(local.call("kinds-user", b"").result, 0, "{user:?} {provider:?}");
        }
    }
}

#[test]
fn a_provider_that_goes_wrong_fails_its_calls_alone() {
    let limits = Budget { time_us: 50_000, ..Budget::LIMITS };
    for user in Domain::ALL {
        for provider in Domain::ALL {
            let local = Local::new(LoadOptions { limits, ..LoadOptions::default() });
            load_into(&local, provider, &bytes("kinds"));
            load_into(&local, user, &bytes("kinds-user"));
            let fail = |number: u32| local.call("kinds-user.fail", &number.to_le_bytes()).result;
            for (number, error) in [(1000, CallError::Faulted), (1001, CallError::OutOfTime)] {
                let results = [fail(255), fail(number), fail(0)];
                let expected = [255, 256 + error as i32, 256 + CallError::Faulted as i32];
                assert_eq!(results, expected, "{user:?} {provider:?} {number}");
                let used = local.refused(Request::Unload { module: "kinds" });
                assert!(used.contains("used: kinds-user uses an interface of kinds"), "{used}");
                // A new one in its place, whose state is another.
                load_into(&local, provider, &bytes("kinds"));
                assert_eq!([fail(0), fail(0)], [256 + CallError::Restarted as i32, 0], "{user:?} {provider:?}");
                assert_eq!(local.call("kinds-user", b"").result, 0);
            }
        }
    }
}

#[test]
fn a_provider_that_uses_another_passes_all_kinds_on() {
    for domains in [[Domain::Kernel; 3], [Domain::User; 3], [Domain::User, Domain::Kernel, Domain::User]] {
        let local = Local::new(LoadOptions::default());
        let blobs = [bytes("kinds"), bytes("kinds-relay"), bound(&bytes("kinds-user"), "kinds-relay")];
        for (domain, blob) in domains.into_iter().zip(&blobs) {
            load_into(&local, domain, blob);
        }
        assert_eq!(local.call("kinds-user", b"").result, 0, "{domains:?}");
    }
}

type Manager = ModuleManager<HostPlatform>;

thread_local! {
    /// The manager of [`Nested`].
    static MANAGER: Cell<Option<&'static Manager>> = const { Cell::new(None) };
}

/// A provider that panics.
struct Panicking;

impl Random for Panicking {
    fn fill(&self, _: &mut Out<'_, u8>) -> Result<(), RandomError> {
        panic!("asked to")
    }
}

/// A provider that calls a module whose provider panics.
struct Nested;

impl Random for Nested {
    fn fill(&self, bytes: &mut Out<'_, u8>) -> Result<(), RandomError> {
        let manager = MANAGER.get().unwrap();
        assert_eq!(manager.execute(manager.find("inner").unwrap()), Ok(PANICKED));
        while bytes.push(0) {}
        Ok(())
    }
}

/// The result of the module `random` if its provider has panicked.
const PANICKED: i32 = -256 - CallError::Faulted as i32;

/// The result of the module `random` if its provider was replaced since its last call.
const RESTARTED: i32 = -256 - CallError::Restarted as i32;

/// A manager in this process that stays, and the lines of its log.
fn manager() -> (&'static Manager, Rc<RefCell<Vec<String>>>) {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let platform = HostPlatform::new(Box::new(move |line| log.borrow_mut().push(line.to_string()))).unwrap();
    // SAFETY: the tests' blobs are built here.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    (Box::leak(Box::new(ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted))), lines)
}

/// Copies of the module `random`, with the providers to which they are bound.
fn users_of_panics() -> [Vec<u8>; 3] {
    [("direct", "panicking"), ("inner", "panicking-inside"), ("outer", "nested")]
        .map(|(name, provider)| bound(&renamed("random", name, (1, 0, 0)), provider))
}

#[test]
fn a_provider_that_panics_fails_the_call_alone_in_a_process() {
    for domain in Domain::ALL {
        let (manager, lines) = manager();
        MANAGER.set(Some(manager));
        manager.provide::<dyn Random, _>("panicking", Panicking).unwrap();
        manager.provide::<dyn Random, _>("panicking-inside", Panicking).unwrap();
        manager.provide::<dyn Random, _>("nested", Nested).unwrap();
        let load = LoadOptions { domain, ..LoadOptions::default() };
        let [direct, _, outer] = users_of_panics().map(|blob| manager.load_with(&blob, &load).unwrap());
        for _ in 0..2 {
            let mut output = [0; 8];
            assert_eq!(manager.execute_with(outer, b"", &mut output).map(|outcome| outcome.result), Ok(8));
            assert_eq!(manager.execute(direct), Ok(PANICKED));
        }
        // The second call of each found it out of use, and did not get there.
        let expected = ["panicking-inside", "panicking"]
            .map(|name| format!("[ERROR] provider {name} panicked; it is not called again"));
        assert_eq!(*lines.borrow(), expected);
        // What panicked can be replaced, and its user is bound to what took its place, which it is told once; what did not is
        // in use.
        for _ in 0..2 {
            assert_eq!(manager.provide::<dyn Random, _>("nested", Nested), Err(ProvideError::Taken));
            assert_eq!(manager.provide::<dyn Random, _>("panicking", Panicking), Ok(()));
            assert_eq!([manager.execute(direct), manager.execute(direct)], [Ok(RESTARTED), Ok(PANICKED)]);
        }
        assert_eq!(manager.provide::<dyn Random, _>("panicking", Nested), Ok(()));
        assert_eq!(manager.provide::<dyn Random, _>("panicking", Nested), Err(ProvideError::Taken));
        assert_eq!(manager.execute(direct), Ok(RESTARTED));
        let mut output = [0; 8];
        assert_eq!(manager.execute_with(direct, b"", &mut output).map(|outcome| outcome.result), Ok(8));
    }
}

/// Boots a kernel with modules.
fn boot(task: Task, domain: &str, cpu: &str, blobs: impl IntoIterator<Item = Vec<u8>>) -> (ExitReason, String) {
    let blobs = blobs.into_iter().enumerate().map(|(number, bytes)| (format!("{number}.mod"), bytes)).collect();
    let files = InputFiles { blobs, ..InputFiles::default() };
    let machine = Machine { options: options(task, domain, ""), files, cpu: cpu.to_owned(), ..Machine::new(KERNEL) };
    let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
    (outcome.exit_reason, outcome.console)
}

#[test]
fn a_provider_that_panics_fails_the_call_alone_in_a_kernel() {
    for domain in ["kernel", "user"] {
        let (exit, console) = boot(Task::Rig(Rig::Providers), domain, "max", users_of_panics());
        assert_eq!(exit, ExitReason::Passed, "{domain}\n{console}");
        for name in ["panicking", "panicking-inside"] {
            let said = format!("[ERROR] provider {name}: panicked at ");
            assert_eq!(console.matches(&said).count(), 1, "{domain}\n{console}");
        }
    }
}

#[test]
fn a_panic_of_what_a_provider_calls_is_the_kernels() {
    for domain in ["kernel", "user"] {
        let user = bound(&renamed("random", "kernel", (1, 0, 0)), "panicking-kernel");
        let (exit, console) =
            boot(Task::Rig(Rig::Providers), domain, "max", users_of_panics().into_iter().chain([user]));
        assert_eq!(exit, ExitReason::Panicked, "{domain}\n{console}");
        assert!(console.contains("[PANIC] panicked at "), "{domain}\n{console}");
        assert!(!console.contains("provider panicking-kernel"), "{domain}\n{console}");
    }
}

#[test]
fn a_kernel_without_random_numbers_refuses_who_imports_them() {
    let (exit, console) = boot(Task::Run, "kernel", "qemu64", [bytes("random")]);
    assert_eq!(exit, ExitReason::Failed, "{console}");
    let refused = console.lines().find(|line| line.contains("0.mod")).unwrap_or_default();
    assert!(refused.contains("random"), "{refused}\n{console}");
    println!("{refused}");
}

#[test]
fn a_process_has_random_numbers() {
    for domain in Domain::ALL {
        let (manager, _) = manager();
        manager.provide::<dyn Random, _>("kernel", SystemRandom).unwrap();
        let options = LoadOptions { domain, ..LoadOptions::default() };
        let random = manager.load_with(&bytes("random"), &options).unwrap();
        let numbers = [[0; 23]; 2].map(|mut output| {
            let outcome = manager.execute_with(random, &[0; 15], &mut output).unwrap();
            assert_eq!(outcome.result, 23);
            output
        });
        assert_ne!(numbers[0], numbers[1]);
        // None of the chunks is left out.
        assert!(numbers.iter().all(|bytes| bytes.rchunks(8).all(|chunk| chunk.iter().any(|&byte| byte != 0))));
    }
}

#[test]
fn the_embedder_calls_all_kinds_of_arguments() {
    for domain in Domain::ALL {
        let (manager, _) = manager();
        let options = LoadOptions { domain, ..LoadOptions::default() };
        manager.load_with(&bytes("kinds"), &options).unwrap();
        let bound = manager.bind::<dyn kinds_interface::Kinds>("kinds").unwrap();
        assert_eq!(kinds_user::check_kinds(&mut bound.client()), 0);
    }
}

#[test]
fn a_provider_knows_its_callers_apart() {
    for user in Domain::ALL {
        for provider in Domain::ALL {
            let local = Local::new(LoadOptions::default());
            let first = renamed("asker", "first", (1, 0, 0));
            let asked = || {
                load_into(&local, provider, &bytes("who"));
                [local.call("first", b"").result, local.call("asker", b"").result]
            };
            load_into(&local, provider, &bytes("who"));
            load_into(&local, user, &first);
            load_into(&local, user, &bytes("asker"));
            let numbers = asked();
            assert!(numbers[0] > 0 && numbers[1] > 0 && numbers[0] != numbers[1], "{user:?} {provider:?}: {numbers:?}");
            // Whatever replaces a module has its number; what is loaded anew has another one.
            load_into(&local, user, &renamed("asker", "first", (1, 1, 0)));
            assert_eq!(asked(), numbers, "{user:?} {provider:?}");
            local.ask(Request::Unload { module: "first" });
            load_into(&local, user, &first);
            assert!(asked()[0] != numbers[0] && asked()[1] == numbers[1], "{user:?} {provider:?}");
        }
    }
    let (manager, _) = manager();
    manager.load(&bytes("who")).unwrap();
    assert_eq!(manager.bind::<dyn Who>("who").unwrap().client().calls(), Ok(0));
}

#[test]
fn a_provider_knows_its_callers_apart_in_a_kernel() {
    for domain in ["kernel", "user"] {
        let blobs = [bytes("who"), bytes("asker"), renamed("asker", "first", (1, 0, 0))];
        let (reason, console) = boot(Task::Run, domain, "max", blobs);
        assert_eq!(reason, ExitReason::Passed, "\n{console}");
        let number = |name: &str| -> u32 {
            let tested = console.split_once(&format!("] {name} Module")).map(|(_, rest)| rest);
            let result = tested.and_then(|rest| rest.split_once("Result: ")).map(|(_, rest)| rest);
            let digits = result.and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next());
            digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no number of {name}\n{console}"))
        };
        let numbers = [number("asker"), number("first")];
        assert!(numbers[0] > 0 && numbers[1] > 0 && numbers[0] != numbers[1], "{domain}: {numbers:?}");
    }
}
