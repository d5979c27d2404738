//! A served kernel without a broker, for one client.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bareflow::client::{Client, upload};
use bareflow::embedded::KERNEL;
use bareflow::qemu::{Machine, Running};
use bareflow_loader::Domain;
use bareflow_protocol::control::{Called, LoadOverrides, Loaded, Push};
use bareflow_protocol::options::Task;
use bareflow_protocol::{Request, Response};

use super::{assert_code, bareflow};

/// Boots a kernel in the machine that `change` makes, does `work` with it, and ends it.
pub fn with_kernel<T>(change: impl FnOnce(&mut Machine), work: impl FnOnce(&mut Client) -> T) -> T {
    assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
    let mut machine = Machine::new(KERNEL);
    machine.options.task = Task::Serve;
    machine.virtio_channel = true;
    change(&mut machine);
    let running = machine.start().unwrap_or_else(|error| panic!("{error}"));
    let connection = Box::new(running.channel.try_clone().unwrap());
    let mut client = Client::greet(connection, Path::new("QEMU"), Duration::from_secs(120)).unwrap();
    let done = panic::catch_unwind(AssertUnwindSafe(|| work(&mut client))).unwrap_or_else(|failure| {
        show_state(&mut client, &running);
        panic::resume_unwind(failure)
    });
    assert!(matches!(client.ask(Request::Shutdown), Ok(Response::Done)));
    running.wait().unwrap_or_else(|error| panic!("{error}"));
    done
}

/// Prints what the kernel wrote to its console, and its modules.
fn show_state(client: &mut Client, running: &Running) {
    let console: Vec<u8> = running.console.try_iter().flatten().collect();
    println!("--- the console:\n{}--- the modules:", String::from_utf8_lossy(&console));
    match client.ask(Request::Ps) {
        Ok(Response::Modules(modules)) => modules.iter().for_each(|module| println!("{module:?}")),
        other => println!("no list: {other:?}"),
    }
}

/// Loads a module, with parameters and bindings.
#[track_caller]
pub fn push(client: &mut Client, blob: &[u8], domain: Domain, parameters: &str) {
    push_with(client, blob, LoadOverrides { domain: Some(domain.name()), parameters, ..LoadOverrides::default() });
}

/// Loads a module that is started again after a fault: the first handler may run out of time while the emulator translates its
/// code.
#[track_caller]
pub fn push_restarted(client: &mut Client, blob: &[u8], domain: Domain, parameters: &str) {
    let (domain, on_fault) = (Some(domain.name()), Some("restart"));
    push_with(client, blob, LoadOverrides { domain, on_fault, parameters, ..LoadOverrides::default() });
}

/// Loads a module, which must succeed.
#[track_caller]
pub fn push_with(client: &mut Client, blob: &[u8], overrides: LoadOverrides<'_>) -> Loaded {
    upload(client, blob, &mut |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
    let push = Push { label: "test", overrides, beside: false, gate: None };
    match client.ask(Request::Push(push)).unwrap_or_else(|error| panic!("{error}")) {
        Response::Loaded(loaded) => loaded,
        other => panic!("{other:?}"),
    }
}

/// Calls a module or a function of it.
pub fn call(client: &mut Client, module: &str, input: &[u8]) -> Called {
    match client.ask(Request::Call { module, input, repeat: 1 }).unwrap_or_else(|error| panic!("{error}")) {
        Response::Called(called) => called,
        other => panic!("{other:?}"),
    }
}

/// Unloads a module, which has to give all its pages back.
#[track_caller]
pub fn unload(client: &mut Client, module: &str) {
    match client.ask(Request::Unload { module }).unwrap_or_else(|error| panic!("{error}")) {
        Response::Unloaded(receipt) => assert_eq!(receipt.pages_held, receipt.pages_returned, "{module}"),
        other => panic!("{other:?}"),
    }
}

/// Returns the number of the kernel's pages in use.
pub fn pages(client: &mut Client) -> u64 {
    match client.ask(Request::Memory).unwrap_or_else(|error| panic!("{error}")) {
        Response::Memory { pages, .. } => pages,
        other => panic!("{other:?}"),
    }
}

/// Makes a disk without modules.
pub fn disk(folder: &Path) -> PathBuf {
    let image = folder.join("disk.img");
    assert_code(&bareflow(["disk", "create", "--empty", image.to_str().unwrap()]), 0);
    image
}

/// Stores a value by the gallery's module `store`. Returns the number of the error, or 0.
pub fn put(client: &mut Client, key: &str, value: &[u8]) -> i32 {
    let at = 32 + key.len().next_multiple_of(16);
    let mut input: Vec<u8> =
        [32, key.len(), at, value.len()].into_iter().flat_map(|word| (word as u64).to_le_bytes()).collect();
    input.extend_from_slice(key.as_bytes());
    input.resize(at, 0);
    input.extend_from_slice(value);
    call(client, "store.put", &input).result
}
