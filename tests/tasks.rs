//! Modules that handle events, and tasks, run by the loader in this process.

mod common;

use std::time::{Duration, Instant};

use bareflow_abi::Header;
use bareflow_host::HostPlatform;
use bareflow_loader::{Domain, FaultKind, KernelDomain, LoadOptions, ModuleId, ModuleManager, Timing};
use common::mutate::renamed;
use common::{bareflow, test_blob, text};

type Manager = ModuleManager<HostPlatform>;

fn manager() -> Manager {
    // SAFETY: the tests' blobs are built here.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    ModuleManager::with_kernel_domain(HostPlatform::new(Box::new(|_| ())).unwrap(), Timing::Fast, trusted)
}

/// Returns the numbers that a function writes.
#[track_caller]
fn numbers<const N: usize>(manager: &Manager, function: &str) -> [u32; N] {
    let function = manager.find_function(function).unwrap();
    let mut output = [0; 64];
    let done = manager.execute_function(function, b"", &mut output).unwrap();
    assert_eq!((done.outcome.result, done.outcome.output_length), (0, 4 * N));
    std::array::from_fn(|number| u32::from_le_bytes(*output[4 * number..].first_chunk().unwrap()))
}

/// Runs events, as an embedder does, until `is_done`.
#[track_caller]
fn run_until(manager: &Manager, mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < Duration::from_secs(20));
        let run = manager.run_events(10);
        assert_eq!(run.fault, None);
        if !run.has_more {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn load(manager: &Manager, module: &str, domain: Domain) -> ModuleId {
    let blob = std::fs::read(test_blob(module)).unwrap();
    manager.load_with(&blob, &LoadOptions { domain, ..LoadOptions::default() }).unwrap_or_else(|e| panic!("{e}"))
}

fn for_some_time(milliseconds: u64) -> impl FnMut() -> bool {
    let start = Instant::now();
    move || start.elapsed() >= Duration::from_millis(milliseconds)
}

#[test]
fn a_task_gets_prices_of_handlers_and_counts_its_clocks() {
    for domain in Domain::ALL {
        let manager = manager();
        // The subscriber comes first: it waits for a publisher that is not there yet.
        let watch = load(&manager, "watch", domain);
        run_until(&manager, || numbers::<3>(&manager, "watch.counts")[1] >= 2);
        let [prices, _, ticks] = numbers(&manager, "watch.counts");
        assert!(prices == 0 && ticks >= 8, "{domain:?} {prices} {ticks}");
        let feed = load(&manager, "feed", domain);
        run_until(&manager, || numbers::<3>(&manager, "watch.counts")[0] >= 20);
        let [published, _] = numbers(&manager, "feed.price");
        let [noticed, silences, _] = numbers(&manager, "watch.counts");
        assert!(published >= 20 && noticed <= published, "{domain:?} {noticed} {published}");
        run_until(&manager, || numbers::<3>(&manager, "watch.counts")[0] >= noticed + 10);
        // What the task waits for is known: the prices, its timer, the request to end.
        let mut awaited = Vec::new();
        manager.for_each_event(watch, |event| awaited.extend(event.is_awaited.then(|| event.name.to_owned())));
        assert_eq!(awaited, ["price", "task", "stop"]);
        // A module without a task ends what it wants to end; the timer that it armed itself is due nevertheless.
        assert!(manager.request_stop(feed));
        run_until(&manager, for_some_time(10));
        let [stopped_at, _] = numbers(&manager, "feed.price");
        run_until(&manager, || numbers::<3>(&manager, "watch.counts")[1] > silences + 1);
        let [stayed, late] = numbers(&manager, "feed.price");
        assert!(stayed == stopped_at && late >= 1, "{domain:?} {stayed} {stopped_at} {late}");
        // The task ends when it is asked to, and is not polled any more.
        assert!(!manager.has_ended(watch) && manager.request_stop(watch));
        run_until(&manager, || manager.has_ended(watch));
        let counts: [u32; 3] = numbers(&manager, "watch.counts");
        run_until(&manager, for_some_time(20));
        assert_eq!(numbers::<3>(&manager, "watch.counts"), counts, "{domain:?}");
        manager.unload(watch).unwrap();
        manager.unload(feed).unwrap();
    }
}

#[test]
fn a_reload_starts_the_task_anew_with_its_state() {
    for domain in Domain::ALL {
        let manager = manager();
        load(&manager, "feed", domain);
        load(&manager, "watch", domain);
        run_until(&manager, || numbers::<3>(&manager, "watch.counts")[2] >= 4);
        let before: [u32; 3] = numbers(&manager, "watch.counts");
        let options = LoadOptions { domain, ..LoadOptions::default() };
        manager.replace(&renamed("watch", "watch", (0, 2, 0)), &options).unwrap_or_else(|error| panic!("{error}"));
        manager.replace(&renamed("feed", "feed", (0, 2, 0)), &options).unwrap_or_else(|error| panic!("{error}"));
        let [prices, _, ticks] = numbers(&manager, "watch.counts");
        assert_eq!((prices, ticks), (before[0], before[2]), "{domain:?}");
        run_until(&manager, || {
            let [prices, _, ticks] = numbers(&manager, "watch.counts");
            prices >= before[0] + 5 && ticks >= before[2] + 5
        });
        let feed: [u32; 2] = numbers(&manager, "feed.price");
        assert!(feed[0] >= before[0]);
    }
}

/// Loads a task that goes wrong beside one that does not, and tells it how.
fn with_bad_task(domain: Domain, order: u8) -> (Manager, ModuleId) {
    let manager = manager();
    load(&manager, "watch", domain);
    let bad = load(&manager, "bad-task", domain);
    let function = manager.find_function("bad-task.go_wrong").unwrap();
    assert_eq!(manager.execute_function(function, &[order], &mut []).unwrap().outcome.result, 0);
    (manager, bad)
}

#[test]
fn a_task_that_goes_wrong_is_a_fault_of_its_own() {
    let kinds = [(1, FaultKind::TimeBudget), (3, FaultKind::Panic), (4, FaultKind::Panic), (5, FaultKind::Panic)];
    for (order, kind) in kinds {
        for domain in Domain::ALL {
            let (manager, bad) = with_bad_task(domain, order);
            let start = Instant::now();
            let found = loop {
                assert!(start.elapsed() < Duration::from_secs(20));
                match manager.run_events(10).fault {
                    Some(found) => break found,
                    None => std::thread::sleep(Duration::from_micros(200)),
                }
            };
            assert_eq!((found.module, found.fault.kind), (bad, kind), "{order} {domain:?}");
            // The other one goes on, and nothing of the bad one is called any more.
            let [.., ticks] = numbers::<3>(&manager, "watch.counts");
            run_until(&manager, || numbers::<3>(&manager, "watch.counts")[2] >= ticks + 3);
        }
    }
}

#[test]
fn a_task_that_wakes_itself_for_ever_leaves_the_others_their_turn() {
    for domain in Domain::ALL {
        let (manager, _) = with_bad_task(domain, 2);
        run_until(&manager, || numbers::<3>(&manager, "watch.counts")[2] >= 10);
        let function = manager.find_function("bad-task.go_wrong").unwrap();
        let turns = manager.execute_function(function, b"", &mut []).unwrap().outcome.result;
        assert!(turns > 10, "{domain:?} {turns}");
    }
}

#[test]
fn anyone_may_call_what_polls_a_task() {
    let manager = manager();
    load(&manager, "watch", Domain::Kernel);
    let poll = manager.find_function("watch.poll").unwrap();
    for input in [&b""[..], b"short", &[0xff; 8], &[0; 64]] {
        let mut output = [0; 3];
        let done = manager.execute_function(poll, input, &mut output).unwrap();
        // Bits of all ones ask it to end, too.
        let has_ended = input.first() == Some(&0xff) || input.len() == 64;
        assert_eq!((done.outcome.result, done.outcome.output_length), (i32::from(has_ended), 0));
    }
}

#[test]
fn a_task_is_small() {
    let blob = std::fs::read(test_blob("least-task")).unwrap();
    let header = Header::from_bytes(blob.first_chunk().unwrap());
    let sizes = [header.text_size, header.rodata_size, header.data_size + header.bss_size];
    println!("the least task: {sizes:?} bytes of text, rodata and data, a blob of {}", blob.len());
    assert!(sizes.iter().zip([800, 300, 80]).all(|(size, most)| *size <= most), "{sizes:?}");
}

#[test]
fn inspect_lists_events() {
    let shown = |module| text(&bareflow(["inspect".into(), test_blob(module)]));
    let feed = shown("feed");
    let expected = "Events: 5
  timer on_tick: each 2000 us, by on_tick
  timer on_late: when the module says, by on_late
  stop, by on_stop
  watchdog: 1000000 us
  notification price
";
    assert!(feed.contains(expected), "{feed}");
    let watch = shown("watch");
    let expected = "Events: 3
  subscription price: feed.price, by poll
  timer task: at the start, then when the module says, by poll
  stop, by poll
";
    assert!(watch.contains(expected), "{watch}");
    assert!(!shown("counter").contains("Events"));
}
