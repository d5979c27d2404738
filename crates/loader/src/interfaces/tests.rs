use super::Provider;
use super::bind::no_provider;
use crate::error::{BindError, ExecuteError, ImportError, InvalidModule, LoadError, UnloadError};
use crate::fault::{Fault, FaultKind};
use crate::module::ModuleId;
use crate::name::{Name, Version};
use crate::platform::{Callees, MAX_DEPTH};
use crate::policy::{FaultPolicy, LoadOptions};
use crate::testing::blob::{self, add_record, change_header, depending};
use crate::testing::{FakePlatform, LeakedManager as Manager, leaked_manager as manager};
use bareflow_abi::CallRefusal;
use bareflow_abi::depends::Dependency;
use bareflow_abi::header::{FLAG_INIT, FLAG_NO_RUN, FLAG_REENTRANT, FLAG_STATE};
use bareflow_abi::interface::bindings::{Method, NewEntry, Role, encode, encoded_size};
use bareflow_abi::interface::{ArgumentKind, CallError, Frame, MAX_WORDS, Reply, Shape, Status};
use bareflow_abi::record::{BINDINGS, DEPENDENCIES, STATE_SCHEMA};
use std::borrow::ToOwned;
use std::boxed::Box;
use std::string::ToString;
use std::vec::Vec;

const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(3), address: None };
const READ: Method = Method { fingerprint: 1, shape: Shape::EMPTY };
const SIZE: Method = Method { fingerprint: 2, shape: Shape::EMPTY };
/// The method [`READ`] in a record that lies.
const LYING: Method = Method { fingerprint: 1, shape: Shape::new(false, &[ArgumentKind::Out]) };

/// The status of a call that was made: the result of every call of the platform.
const ANSWERED: Status = Status::Refused(42);

fn options() -> LoadOptions {
    LoadOptions::default()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

const fn export(interface: &'static str, version: (u16, u16), methods: &'static [Method]) -> NewEntry {
    NewEntry { role: Role::Export, name: "", interface, version, methods }
}

const fn import(interface: &'static str, version: (u16, u16), methods: &'static [Method]) -> NewEntry {
    NewEntry { role: Role::Import, name: "source", interface, version, methods }
}

/// An interface as all have it that agree.
const FILES: NewEntry = export("files", (1, 2), &[READ, SIZE]);
const USE_FILES: NewEntry = import("files", (1, 0), &[SIZE, READ]);

/// Returns a blob of version 1 and a minor one, with imports and exports.
fn module<const N: usize>(name: &str, minor: u32, entries: [NewEntry; N]) -> Vec<u8> {
    bound(name, minor, entries, "")
}

/// Returns a blob as [`module`] does, whose imports ask for `provider`.
fn bound<const N: usize>(name: &str, minor: u32, entries: [NewEntry; N], provider: &str) -> Vec<u8> {
    let mut record = Vec::new();
    for entry in entries {
        let mut bytes = encoded(entry);
        if entry.role == Role::Import {
            // Behind the two names.
            let end = 10 + entry.name.len() + entry.interface.len();
            bytes.splice(end..end, provider.bytes());
            bytes[3] = provider.len() as u8;
        }
        record.extend(bytes);
    }
    let mut bytes = blob::version(name, 1, minor);
    add_record(&mut bytes, BINDINGS, &record);
    bytes
}

fn encoded(entry: NewEntry) -> Vec<u8> {
    encode::<256>(&[entry])[..encoded_size(&[entry])].to_vec()
}

/// Returns a blob whose calls may overlap.
fn reentrant(mut bytes: Vec<u8>) -> Vec<u8> {
    change_header(&mut bytes, |header| header.flags |= FLAG_REENTRANT);
    bytes
}

/// Returns a blob with a state without fields.
fn with_state(mut bytes: Vec<u8>) -> Vec<u8> {
    change_header(&mut bytes, |header| header.flags |= FLAG_STATE);
    add_record(&mut bytes, STATE_SCHEMA, &[0; 16]);
    bytes
}

fn refused(manager: &Manager, blob: &[u8]) -> ImportError {
    match manager.load(blob) {
        Err(LoadError::Import { import, error }) if import == name("source") => error,
        other => panic!("{other:?}"),
    }
}

/// Calls a method without arguments.
fn invoke(callees: &dyn Callees, import: u32, method: u32) -> Reply {
    let (mut words, mut output) = ([0; MAX_WORDS], [0; 8]);
    let mut frame = Frame::unpack(Shape::EMPTY, &mut words, &[], &mut output).unwrap();
    callees.invoke(import, method, &mut frame)
}

/// Lets the next module with imports call the first method of its first import. It must end like this.
fn will_get(platform: &'static FakePlatform, expected: Status) {
    platform.inside.borrow_mut().push_back(Box::new(move |callees| {
        assert_eq!(Status::from_number(invoke(callees, 0, 0).status), expected);
    }));
}

/// Lets `user` call the first method of its first import, and checks how that ends.
#[track_caller]
fn gets(platform: &'static FakePlatform, manager: &Manager, user: ModuleId, expected: Status) {
    will_get(platform, expected);
    assert_eq!(manager.execute(user), Ok(42));
    assert!(platform.inside.borrow().is_empty());
}

fn provider_of(manager: &Manager, user: ModuleId) -> Option<Provider> {
    let mut found = None;
    manager.for_each_import(user, |_, provider| found = provider);
    found
}

#[test]
fn an_import_needs_one_provider() {
    let (platform, manager) = manager();
    let user = module("user", 0, [USE_FILES]);
    assert_eq!(refused(manager, &user), no_provider("files", (1, 0)));
    manager.load(&module("other", 0, [export("blocks", (1, 0), &[READ])])).unwrap();
    assert_eq!(refused(manager, &user), no_provider("files", (1, 0)));
    // It is not its own.
    assert_eq!(refused(manager, &module("user", 0, [FILES, USE_FILES])), no_provider("files", (1, 0)));
    let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
    let newer = manager.load_versioned(&module("disk", 5, [FILES]), &options()).unwrap();
    manager.load(&module("tape", 0, [FILES])).unwrap();
    assert_eq!(refused(manager, &user), ImportError::SeveralProviders);
    let named = |selector| bound("user", 0, [USE_FILES], selector);
    assert_eq!(refused(manager, &named("none")), ImportError::NotLoaded { provider: name("none") });
    assert_eq!(refused(manager, &named("disk@^2")), ImportError::NotLoaded { provider: name("disk") });
    assert_eq!(refused(manager, &named("other")), ImportError::NotExported { provider: name("other") });
    for selector in ["Disk", "disk@", "@^1", "disk@one"] {
        assert_eq!(refused(manager, &named(selector)), ImportError::Selector, "{selector}");
    }
    assert_eq!((platform.images.get(), manager.ids().count()), (4, 4), "nothing of it stays");
    // The active one of its name comes first.
    for (selector, expected) in [("disk", disk), ("disk@^1.2", newer), ("disk@1.0.0", disk)] {
        let user = manager.load(&named(selector)).unwrap();
        assert_eq!(provider_of(manager, user), Some(Provider::Module(expected)), "{selector}");
        gets(platform, manager, user, ANSWERED);
        assert_eq!(manager.unload(user).map(|receipt| receipt.bindings), Ok(1));
    }
}

#[test]
fn a_load_binds_imports_as_it_is_told() {
    let (_, manager) = manager();
    let [disk, tape] = ["disk", "tape"].map(|name| manager.load(&module(name, 0, [FILES])).unwrap());
    let loaded = |blob: &[u8], lines: &str| manager.replace(blob, options().with_parameters(&lines));
    let to = |blob: &[u8], lines: &str| provider_of(manager, loaded(blob, lines).unwrap().id);
    let [of_disk, of_tape] = [disk, tape].map(|id| Some(Provider::Module(id)));
    let user = |minor| bound("user", minor, [USE_FILES], "tape");
    assert_eq!(to(&user(0), ""), of_tape);
    assert_eq!(to(&user(1), "bind user.source=disk@^1\nother.mtu=1\n"), of_disk);
    let lines = |id| manager.parameters(id).map(|lines| lines.to_owned());
    assert_eq!(lines(manager.find("user").unwrap()).as_deref(), Some("bind user.source=disk@^1\n"));
    // It stays through reloads, until it is dropped.
    assert_eq!(to(&user(2), ""), of_disk);
    let error = |blob: &[u8], lines| loaded(blob, lines).unwrap_err().to_string();
    let gone = error(&blob::version("user", 1, 3), "");
    assert!(gone.starts_with("source: it was bound to \"disk@^1\" for 1.2.0, and this version has no such"), "{gone}");
    assert!(loaded(&blob::version("user", 1, 3), "bind user.source\n").is_ok());
    assert_eq!(to(&user(4), "bind user.source=disk\n"), of_disk);
    assert_eq!(to(&user(5), "bind user.source\n"), of_tape);
    for (line, expected) in [
        ("sink=disk", "unknown import: sink; bind one that the module has, see `inspect`"),
        ("source=Disk", "source: \"Disk\", expected a provider's name, and @ and a version if you like"),
        ("source=", "source: \"\", expected a provider's name, and @ and a version if you like"),
        ("source=disk\nbind user.source=tape", "source is set twice; set it once"),
        ("source=none", "import source: its provider none is not loaded in a version that it asks for; load one"),
        ("source=disk@^2", "import source: its provider disk is not loaded in a version that it asks for; load one"),
        ("source=user", "import source: its provider user is not loaded"),
    ] {
        let found = error(&user(6), std::format!("bind user.{line}").leak());
        assert!(found.contains(expected), "{line}: {found}");
    }
    assert!(manager.find("user").is_some_and(|id| provider_of(manager, id) == of_tape), "a refusal changes nothing");
    // It decides about cycles, too.
    let wrapper = bound("disk", 1, [USE_FILES, FILES], "cache");
    manager.load(&bound("cache", 0, [USE_FILES, FILES], "disk")).unwrap();
    assert_eq!(loaded(&wrapper, "").unwrap_err(), LoadError::DependencyCycle { name: name("cache") });
    assert_eq!(to(&wrapper, "bind disk.source=tape"), of_tape);
}

#[test]
fn an_import_needs_its_version_and_its_methods() {
    let (_, manager) = manager();
    let with = |provided: NewEntry, wanted: NewEntry| {
        let disk = manager.load(&module("disk", 0, [provided])).unwrap();
        let error = refused(manager, &module("user", 0, [wanted]));
        manager.unload(disk).unwrap();
        error
    };
    const NONE: &[Method] = &[READ];
    for (found, expected) in
        [((1, 2), (1, 3)), ((2, 0), (1, 0)), ((1, 9), (2, 0)), ((0, 3), (0, 2)), ((0, 2), (0, 3)), ((1, 0), (0, 0))]
    {
        let error = with(export("files", found, NONE), import("files", expected, NONE));
        assert_eq!(error, ImportError::Version { found, expected });
    }
    let method = |number| ImportError::Method { number };
    assert_eq!(with(export("files", (1, 0), &[READ]), import("files", (1, 0), &[READ, SIZE])), method(1));
    assert_eq!(with(export("files", (1, 0), &[SIZE]), import("files", (1, 0), &[READ, SIZE])), method(0));
    // The same fingerprint with another shape is another method, whichever side lies.
    assert_eq!(with(export("files", (1, 0), &[LYING]), import("files", (1, 0), &[READ])), method(0));
    assert_eq!(with(export("files", (1, 0), &[READ]), import("files", (1, 0), &[LYING])), method(0));
}

#[test]
fn a_user_reaches_what_it_imports_and_nothing_else() {
    let (platform, manager) = manager();
    manager.load(&module("disk", 0, [FILES])).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    platform.inside.borrow_mut().push_back(Box::new(|callees| {
        for (import, method, expected) in
            [(1, 0, CallError::NotBound), (u32::MAX, 0, CallError::NotBound), (0, 2, CallError::NoSuchMethod)]
        {
            assert_eq!(callees.shape(import, method), Err(expected));
            assert_eq!(invoke(callees, import, method), expected.into());
        }
        let (mut words, mut output) = ([0; MAX_WORDS], [0; 16]);
        let input = 0_u64.to_le_bytes();
        let scalar = Shape::new(false, &[ArgumentKind::Scalar]);
        let mut frame = Frame::unpack(scalar, &mut words, &input, &mut output[..8]).unwrap();
        assert_eq!(callees.invoke(0, 0, &mut frame), CallError::BadArgument.into());
    }));
    assert_eq!(manager.execute(user), Ok(42));
    assert!(platform.inside.borrow().is_empty());
}

#[test]
fn rejects_a_module_that_can_not_be_called_at_all() {
    let (_, manager) = manager();
    manager.load(&module("disk", 0, [FILES])).unwrap();
    let without_run = |mut bytes: Vec<u8>| {
        change_header(&mut bytes, |header| header.flags |= FLAG_NO_RUN);
        manager.load(&bytes).map(|_| ())
    };
    let nothing = Err(LoadError::Invalid(InvalidModule::NothingToCall));
    assert_eq!(without_run(blob::small("none")), nothing);
    assert_eq!(without_run(blob::full()), nothing);
    assert_eq!(without_run(module("user", 0, [USE_FILES])), nothing);
    assert_eq!(without_run(module("functions", 0, [export("", (0, 0), &[READ])])), Ok(()));
}

#[test]
fn a_provider_in_use_is_not_unloaded() {
    let (platform, manager) = manager();
    let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    let version = Version { major: 1, minor: 0, patch: 0 };
    let used = UnloadError::Used { name: name("disk"), version, by: name("user") };
    assert_eq!(manager.unload(disk), Err(used));
    // Not while it is called, either.
    will_get(platform, ANSWERED);
    platform.meanwhile.borrow_mut().push_back(Box::new(move || assert_eq!(manager.unload(disk), Err(used))));
    assert_eq!(manager.execute(user), Ok(42));
    assert_eq!(manager.unload(user).map(|receipt| receipt.bindings), Ok(1));
    assert_eq!(manager.unload(disk).map(|receipt| (receipt.bindings, receipt.call_count)), Ok((0, 0)));
    assert_eq!(platform.images.get(), 0);
}

#[test]
fn a_reload_binds_the_users_anew_or_is_refused() {
    let (platform, manager) = manager();
    let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    let refused = LoadError::StillUsed { by: name("user"), interface: name("files") };
    for (lacking, found) in [
        (blob::version("disk", 1, 1), "does not export it"),
        (module("disk", 1, [export("blocks", (1, 0), &[READ, SIZE])]), "does not export it"),
        (module("disk", 1, [export("files", (2, 0), &[READ, SIZE])]), "exports files 2.0"),
        (module("disk", 1, [export("files", (1, 0), &[READ])]), "exports files 1.0 without method 1, counted from 1"),
        (
            module("disk", 1, [export("files", (1, 0), &[LYING, SIZE])]),
            "exports files 1.0 without method 2, counted from 1",
        ),
    ] {
        assert_eq!(manager.replace(&lacking, &options()).unwrap_err(), refused);
        let details = manager.explain_import(&lacking, &refused).unwrap().to_string();
        assert_eq!(details, std::format!("files 1.0 is needed; the new one {found}"));
        let candidate = manager.load_versioned(&lacking, &options()).unwrap();
        assert_eq!(manager.promote(candidate).unwrap_err(), refused);
        manager.unload(candidate).unwrap();
        assert_eq!(provider_of(manager, user), Some(Provider::Module(disk)));
        gets(platform, manager, user, ANSWERED);
    }
    assert_eq!(manager.find("disk"), Some(disk));
    // The methods may have other numbers, as long as they are there.
    const OTHER: Method = Method { fingerprint: 3, shape: Shape::EMPTY };
    let newer = module("disk", 1, [export("", (0, 0), &[OTHER]), export("files", (1, 3), &[OTHER, SIZE, READ])]);
    let newer = manager.replace(&newer, &options()).unwrap().id;
    assert_eq!(provider_of(manager, user), Some(Provider::Module(newer)));
    gets(platform, manager, user, ANSWERED);
    // The user's first method is the provider's third function.
    let calls = [0, 1, 2, 3].map(|number| manager.function_stats(newer, number).unwrap().call_count);
    assert_eq!(calls, [0, 0, 1, 0]);
    assert_eq!(manager.ids().count(), 2);
}

#[test]
fn a_refused_reload_is_explained_by_the_version_of_the_user_that_uses_it() {
    let (_, manager) = manager();
    manager.load(&module("tape", 0, [FILES])).unwrap();
    manager.load(&module("user", 0, [USE_FILES])).unwrap();
    manager.load(&module("disk", 0, [export("files", (1, 5), &[READ, SIZE])])).unwrap();
    let second = bound("user", 1, [import("files", (1, 4), &[READ])], "disk");
    manager.load_versioned(&second, &options()).unwrap();
    let lacking = module("disk", 1, [export("files", (1, 3), &[READ])]);
    let refused = manager.replace(&lacking, &options()).unwrap_err();
    assert_eq!(refused, LoadError::StillUsed { by: name("user"), interface: name("files") });
    let details = manager.explain_import(&lacking, &refused).unwrap().to_string();
    assert_eq!(details, "files 1.4 is needed; the new one exports files 1.3");
}

#[test]
fn a_reload_keeps_to_the_version_that_users_ask_for() {
    let (platform, manager) = manager();
    let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
    let user = manager.load(&bound("user", 0, [USE_FILES], "disk@<1.2")).unwrap();
    let outside = module("disk", 2, [FILES]);
    let refused = LoadError::StillBound { by: name("user"), import: name("source") };
    assert_eq!(manager.replace(&outside, &options()).unwrap_err(), refused);
    let candidate = manager.load_versioned(&outside, &options()).unwrap();
    assert_eq!(manager.promote(candidate).unwrap_err(), refused);
    manager.unload(candidate).unwrap();
    assert_eq!((manager.find("disk"), provider_of(manager, user)), (Some(disk), Some(Provider::Module(disk))));
    let inside = manager.replace(&module("disk", 1, [FILES]), &options()).unwrap().id;
    assert_eq!(provider_of(manager, user), Some(Provider::Module(inside)));
    gets(platform, manager, user, ANSWERED);
    // What it is bound to by a later load counts.
    manager.replace(&bound("user", 1, [USE_FILES], "disk"), &options()).unwrap();
    assert!(manager.replace(&outside, &options()).is_ok());
}

#[test]
fn a_provider_that_is_replaced_while_it_is_called_ends_that_call() {
    let (platform, manager) = manager();
    manager.load(&module("disk", 0, [FILES])).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    will_get(platform, ANSWERED);
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        manager.replace(&module("disk", 1, [FILES]), &options()).unwrap();
    }));
    assert_eq!(manager.execute(user), Ok(42));
    assert_eq!((platform.images.get(), manager.take_receipt().map(|receipt| receipt.version.minor)), (2, Some(0)));
    gets(platform, manager, user, ANSWERED);
}

#[test]
fn rejects_a_cycle_through_imports() {
    const BLOCKS: NewEntry = export("blocks", (1, 0), &[READ]);
    const USE_BLOCKS: NewEntry = import("blocks", (1, 0), &[READ]);
    let (platform, manager) = manager();
    let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
    manager.load(&module("cache", 0, [USE_FILES, BLOCKS])).unwrap();
    let cyclic = module("disk", 1, [USE_BLOCKS, FILES]);
    let cycle = LoadError::DependencyCycle { name: name("cache") };
    assert_eq!(manager.replace(&cyclic, &options()).unwrap_err(), cycle);
    let shown = manager.dependency_cycle(&cyclic).unwrap();
    assert_eq!(std::format!("{shown}"), "disk -> cache -> disk");
    // By a name on one side, and an import on the other.
    let mut by_name = depending("disk", 1, 1, &[("cache", 1, 2)]);
    add_record(&mut by_name, BINDINGS, &encoded(FILES));
    assert_eq!(manager.replace(&by_name, &options()).unwrap_err(), cycle);
    // Beside the old one it is none, until it is to take its place.
    let beside = manager.load_versioned(&cyclic, &options()).unwrap();
    assert_eq!(manager.promote(beside).unwrap_err(), cycle);
    assert_eq!(manager.find("disk"), Some(disk));
    manager.unload(beside).unwrap();
    // One that came about while the new one's `init` ran.
    let log = manager.load(&module("log", 0, [BLOCKS])).unwrap();
    manager.unload(manager.find("cache").unwrap()).unwrap();
    let mut with_init = cyclic;
    change_header(&mut with_init, |header| header.flags |= FLAG_INIT);
    platform.results.borrow_mut().push_back(Ok(0));
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        manager.replace(&module("log", 1, [USE_FILES, BLOCKS]), &options()).unwrap();
    }));
    let error = manager.replace(&with_init, &options()).unwrap_err();
    assert_eq!(error, LoadError::DependencyCycle { name: name("log") });
    assert!(manager.find("log") != Some(log) && manager.find("disk") == Some(disk));
}

#[test]
fn a_module_does_not_take_the_place_of_its_own_provider() {
    let (_, manager) = manager();
    let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
    for selector in ["", "disk", "disk@1.0.0"] {
        let wrapper = bound("disk", 1, [USE_FILES, FILES], selector);
        let wrapper = manager.load_versioned(&wrapper, &options()).unwrap();
        let error = manager.promote(wrapper).unwrap_err();
        assert_eq!(error, LoadError::DependencyCycle { name: name("disk") }, "{selector}");
        assert_eq!(provider_of(manager, wrapper), Some(Provider::Module(disk)));
        manager.unload(wrapper).unwrap();
    }
}

#[test]
fn a_provider_that_goes_while_its_user_is_loaded_fails_that_load() {
    for flags in [FLAG_INIT, FLAG_STATE] {
        let (platform, manager) = manager();
        let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
        let old = with_state(blob::version("user", 1, 0));
        manager.load(&old).unwrap();
        let mut user = with_state(module("user", 1, [USE_FILES]));
        change_header(&mut user, |header| header.flags |= flags);
        platform.results.borrow_mut().extend([Ok(0), Ok(0), Ok(0)]);
        platform.meanwhile.borrow_mut().push_back(Box::new(move || assert!(manager.unload(disk).is_ok())));
        let error = manager.replace(&user, &options()).unwrap_err();
        assert_eq!(
            error,
            LoadError::Import { import: name("source"), error: no_provider("files", (1, 0)) },
            "{flags:#x}"
        );
        assert_eq!((platform.images.get(), manager.ids().count()), (1, 1));
    }
}

#[test]
fn each_user_is_told_once_of_a_restart() {
    let (platform, manager) = manager();
    let restart = LoadOptions { on_fault: FaultPolicy::Restart, ..options() };
    manager.load_with(&module("disk", 0, [FILES]), &restart).unwrap();
    let users = ["one", "two"].map(|user| manager.load(&module(user, 0, [USE_FILES])).unwrap());
    platform.results.borrow_mut().push_back(Err(FAULT));
    gets(platform, manager, users[0], Status::Failed(CallError::Faulted));
    for user in users {
        gets(platform, manager, user, Status::Failed(CallError::Restarted));
        gets(platform, manager, user, ANSWERED);
    }
    // A module that is loaded now agreed on nothing with the old one.
    let late = manager.load(&module("late", 0, [USE_FILES])).unwrap();
    gets(platform, manager, late, ANSWERED);
    // One that has not heard of a restart hears of it after a reload, too.
    platform.results.borrow_mut().push_back(Err(FAULT));
    gets(platform, manager, late, Status::Failed(CallError::Faulted));
    manager.replace(&module("disk", 1, [FILES]), &restart).unwrap();
    for user in [users[0], users[1], late] {
        gets(platform, manager, user, Status::Failed(CallError::Restarted));
        gets(platform, manager, user, ANSWERED);
    }
}

#[test]
fn each_user_is_told_once_of_a_reload_that_loses_the_state() {
    let (platform, manager) = manager();
    let disk = |minor| with_state(module("disk", minor, [FILES]));
    manager.load(&disk(0)).unwrap();
    let users = ["one", "two"].map(|user| manager.load(&module(user, 0, [USE_FILES])).unwrap());
    // Saved, migrated.
    platform.results.borrow_mut().extend([Ok(0), Ok(0)]);
    assert_eq!(manager.replace(&disk(1), &options()).unwrap().state.name(), "kept");
    users.into_iter().for_each(|user| gets(platform, manager, user, ANSWERED));
    // Stopped by a fault.
    platform.results.borrow_mut().push_back(Err(FAULT));
    gets(platform, manager, users[0], Status::Failed(CallError::Faulted));
    users.into_iter().for_each(|user| gets(platform, manager, user, Status::Failed(CallError::Faulted)));
    assert_eq!(manager.replace(&disk(2), &options()).unwrap().state.name(), "lost");
    for user in users {
        gets(platform, manager, user, Status::Failed(CallError::Restarted));
        gets(platform, manager, user, ANSWERED);
    }
}

#[test]
fn users_of_a_version_that_faulted_use_the_one_before_again() {
    let (platform, manager) = manager();
    let policy = |text| LoadOptions { on_fault: FaultPolicy::parse(text).unwrap(), ..options() };
    manager.load_with(&module("disk", 0, [FILES]), &policy("restart")).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    let disk = manager.replace(&module("disk", 1, [FILES]), &policy("fallback")).unwrap().id;
    platform.results.borrow_mut().push_back(Err(FAULT));
    gets(platform, manager, user, Status::Failed(CallError::Faulted));
    // Also while it waits.
    gets(platform, manager, user, Status::Failed(CallError::Faulted));
    assert!(matches!(manager.unload(disk), Err(UnloadError::Used { .. })));
    assert_eq!(manager.restart_due(), None);
    gets(platform, manager, user, Status::Failed(CallError::Restarted));
    gets(platform, manager, user, ANSWERED);
    let disk = manager.find("disk").unwrap();
    assert_eq!(provider_of(manager, user), Some(Provider::Module(disk)));
    // A version that does not provide to the user what it uses is no version to return to.
    manager.replace(&module("disk", 2, [FILES]), &policy("fallback")).unwrap();
    let bare = blob::version("disk", 1, 1);
    let disk = manager.replace(&module("disk", 3, [FILES]), &policy("stop")).unwrap().id;
    assert_eq!(manager.set_fallback(disk, &bare, &options(), ""), Ok(()));
    let disk = manager.load_candidate(&module("disk", 4, [FILES]), &policy("fallback")).unwrap();
    manager.promote(disk).unwrap();
    manager.set_fallback(disk, &bare, &options(), "").unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    gets(platform, manager, user, Status::Failed(CallError::Faulted));
    assert_eq!(manager.restart_due(), None);
    let refusal = manager.supervised(disk).unwrap().refusal;
    assert_eq!(refusal, Some(LoadError::StillUsed { by: name("user"), interface: name("files") }));
    gets(platform, manager, user, Status::Failed(CallError::Faulted));
}

#[test]
fn a_call_out_of_time_says_so() {
    let (platform, manager) = manager();
    manager.load(&module("disk", 0, [FILES])).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    platform.results.borrow_mut().push_back(Err(Fault { kind: FaultKind::TimeBudget, ..FAULT }));
    gets(platform, manager, user, Status::Failed(CallError::OutOfTime));
    gets(platform, manager, user, Status::Failed(CallError::Faulted));
}

#[test]
fn a_call_is_told_its_own_fault_whatever_a_restart_meets() {
    let (platform, manager) = manager();
    let log = manager.load(&blob::small("log")).unwrap();
    let mut disk = module("disk", 0, [FILES]);
    change_header(&mut disk, |header| header.flags |= FLAG_INIT);
    let needed = Dependency { name: "log", from: [1, 0, 0], below: None };
    let mut list = Vec::new();
    needed.encode(&mut |part| list.extend_from_slice(part));
    add_record(&mut disk, DEPENDENCIES, &list);
    platform.inside.borrow_mut().push_back(Box::new(|_| ()));
    platform.results.borrow_mut().push_back(Ok(0));
    manager.load_with(&disk, &LoadOptions { on_fault: FaultPolicy::Restart, ..options() }).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    // The method runs out of time, and the restart's `init` calls a module that faults.
    will_get(platform, Status::Failed(CallError::OutOfTime));
    platform.inside.borrow_mut().push_back(Box::new(|_| ()));
    platform.inside.borrow_mut().push_back(Box::new(|callees| {
        assert_eq!(callees.call(b"log", b"", &mut []), Err(CallRefusal::Faulted));
    }));
    platform.results.borrow_mut().extend([Err(Fault { kind: FaultKind::TimeBudget, ..FAULT }), Err(FAULT), Ok(0)]);
    assert_eq!(manager.execute(user), Ok(42));
    assert_eq!((platform.inside.borrow().len(), manager.stats(log).unwrap().fault), (0, Some(FAULT)));
}

#[test]
fn a_module_that_a_fault_stopped_stays_so_when_an_outer_call_returns() {
    let (platform, manager) = manager();
    let disk = manager.load(&reentrant(module("disk", 0, [FILES]))).unwrap();
    let [outer, inner] = ["outer", "inner"].map(|user| manager.load(&module(user, 0, [USE_FILES])).unwrap());
    // The results of the inner method, the inner user, the outer method, and the outer user.
    platform.results.borrow_mut().extend([Err(FAULT), Ok(42), Ok(0), Ok(42)]);
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        gets(platform, manager, inner, Status::Failed(CallError::Faulted));
    }));
    gets(platform, manager, outer, Status::Returned);
    gets(platform, manager, outer, Status::Failed(CallError::Faulted));
    assert_eq!(manager.stats(disk).map(|profile| profile.stopped), Some(true));
    for chained in [false, true] {
        let other = manager.load(&reentrant(blob::version("other", 1, chained.into()))).unwrap();
        platform.results.borrow_mut().extend([Err(FAULT), Ok(7)]);
        platform.meanwhile.borrow_mut().push_back(Box::new(move || {
            assert_eq!(manager.execute(other), Err(ExecuteError::Faulted(FAULT)));
        }));
        if chained {
            let ended = manager.pin(other).unwrap().execute_chained(2);
            assert_eq!(ended, Err(ExecuteError::Stopped(FAULT)));
        } else {
            assert_eq!(manager.execute(other), Ok(7));
        }
        assert_eq!(manager.execute(other), Err(ExecuteError::Stopped(FAULT)));
        manager.unload(other).unwrap();
    }
}

#[test]
fn a_modules_calls_are_those_of_run_and_its_faults_all() {
    let (platform, manager) = manager();
    let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    assert_eq!(manager.execute(disk), Ok(42));
    gets(platform, manager, user, ANSWERED);
    platform.results.borrow_mut().push_back(Err(FAULT));
    gets(platform, manager, user, Status::Failed(CallError::Faulted));
    let function = manager.function_stats(disk, 1).unwrap();
    assert_eq!((function.call_count, function.faults), (2, 1));
    let profile = manager.stats(disk).unwrap();
    assert_eq!((profile.call_count, profile.faults, profile.fault), (1, 1, Some(FAULT)));
    assert_eq!(manager.snapshot(disk).map(|snapshot| snapshot.call_count), Some(1));
}

#[test]
fn a_provider_that_runs_is_busy() {
    let (platform, manager) = manager();
    let disk = manager.load(&module("disk", 0, [FILES])).unwrap();
    let user = manager.load(&module("user", 0, [USE_FILES])).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        gets(platform, manager, user, Status::Failed(CallError::Busy));
    }));
    assert_eq!(manager.execute(disk), Ok(42));
    gets(platform, manager, user, ANSWERED);
}

#[test]
fn calls_lie_in_each_other_no_deeper_than_there_are_stacks() {
    const NAMES: [&str; MAX_DEPTH + 1] = ["a", "b", "c", "d", "e", "f"];
    let (platform, manager) = manager();
    let mut last = manager.load(&module(NAMES[0], 0, [export(NAMES[0], (1, 0), &[READ])])).unwrap();
    for names in NAMES.windows(2) {
        let entries = [import(names[0], (1, 0), &[READ]), export(names[1], (1, 0), &[READ])];
        last = manager.load(&module(names[1], 0, entries)).unwrap();
    }
    // All but the innermost get an answer.
    (1..MAX_DEPTH).for_each(|_| will_get(platform, ANSWERED));
    will_get(platform, Status::Failed(CallError::TooDeep));
    assert_eq!(manager.execute(last), Ok(42));
    assert_eq!((platform.inside.borrow().len(), platform.reasons.borrow().len()), (0, 1));
}

#[test]
fn the_embedder_is_a_user_like_modules() {
    use bareflow_abi::CallError as Error;
    use sensors_interface::{SensorError, Sensors};

    let sensors = |minor, methods: &[Method]| {
        let entry = NewEntry { role: Role::Export, name: "", interface: "sensors", version: (1, 0), methods: &[] };
        let mut record = [&encoded(entry)[..]].concat();
        record[4] = methods.len() as u8;
        for method in methods {
            record.extend(method.fingerprint.to_le_bytes());
            record.extend(method.shape.bits().to_le_bytes());
        }
        let mut bytes = with_state(blob::version("board", 1, minor));
        add_record(&mut bytes, BINDINGS, &record);
        bytes
    };
    let methods = <dyn Sensors as bareflow_abi::interface::Interface>::METHODS;
    let (platform, manager) = manager();
    assert!(matches!(manager.bind::<dyn Sensors>("board"), Err(BindError::NotLoaded)));
    let restart = LoadOptions { on_fault: FaultPolicy::RestartTimes(1), ..options() };
    let board = manager.load_with(&sensors(0, methods), &restart).unwrap();
    let version = Version { major: 1, minor: 0, patch: 0 };
    let used = UnloadError::UsedByEmbedder { name: name("board"), version };
    let [one, other] = [(); 2].map(|()| manager.bind::<dyn Sensors>("board").unwrap());
    assert_eq!(manager.unload(board), Err(used));
    drop(one);
    assert_eq!(manager.unload(board), Err(used));
    let shown = std::format!("{}", used);
    assert_eq!(shown, "used: the kernel itself uses an interface of board 1.0.0; end that use first");
    // What does not serve does not take its place.
    let refused = manager.replace(&sensors(1, &[READ]), &restart).unwrap_err();
    assert_eq!(refused, LoadError::UsedByEmbedder { interface: name("sensors") });
    let refused = manager.replace(&blob::version("board", 1, 1), &restart).unwrap_err();
    assert_eq!(refused, LoadError::UsedByEmbedder { interface: name("sensors") });
    // The platform answers with status 42, which is no error of this interface.
    let call = || other.client().temperature("cpu");
    let answered = Err(SensorError::Call(Error::BadAnswer));
    assert_eq!(call(), answered);
    // A reload binds it anew; what was lost is said once, and so is a restart.
    platform.results.borrow_mut().extend([Ok(0), Ok(0)]);
    assert_eq!(manager.replace(&sensors(1, methods), &restart).unwrap().state.name(), "kept");
    assert_eq!(call(), answered);
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert_eq!(
        [call(), call(), call()].map(|done| done.unwrap_err()),
        [SensorError::Call(Error::Faulted), SensorError::Call(Error::Restarted), SensorError::Call(Error::BadAnswer)]
    );
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert_eq!([call(), call()], [Err(SensorError::Call(Error::Faulted)); 2]);
    assert_eq!(manager.replace(&sensors(2, methods), &restart).unwrap().state.name(), "lost");
    assert_eq!([call(), call()], [Err(SensorError::Call(Error::Restarted)), answered]);
    drop(other);
    assert!(manager.unload(manager.find("board").unwrap()).is_ok());
    assert_eq!(platform.images.get(), 0);
}
