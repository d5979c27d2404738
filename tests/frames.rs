//! The cost of frames and of TCP segments, by the modules that they pass through, and the time without any after a fault of the
//! driver; in one kernel in which a tick is an instruction.

mod common;

use std::fs;

use bareflow::client::Client;
use bareflow_frame_cost::{BATCHES, Blobs, Counts, FramePath, SegmentPath, put_on_a_wire, with_name};
use bareflow_loader::Domain;
use common::faulty::push_faulty;
use common::kernel::{call, push, with_kernel};
use common::{driver_blob, test_blob};

/// The margin for other compilers, in percent.
const MARGIN: u64 = 5;

/// The instructions of each path of a frame. Of one at a time, some 200 are the notification, which the card does not always want. It does not
/// depend on the length.
const FRAMES: [Counts; FramePath::ALL.len()] = [
    [[1_640, 1_632], [524, 518]],
    [[2_920, 2_850], [580, 567]],
    [[3_062, 2_992], [590, 576]],
    [[3_104, 3_034], [592, 578]],
    [[4_528, 4_458], [641, 628]],
];

/// The instructions of each path of a segment, by the length of its frame: bytes are copied and summed. A single one is polled for three
/// times, and it depends on the clock which poll acknowledges and how often the card is given buffers: some 8,000 more or less.
const SEGMENTS: [[Counts; 2]; SegmentPath::ALL.len()] = [
    [[SINGLE, [3_518, 3_441]], [SINGLE, [6_641, 6_580]]],
    [[SINGLE, [3_535, 3_459]], [SINGLE, [6_653, 6_601]]],
    [[SINGLE, [3_568, 3_590]], [SINGLE, [7_064, 6_822]]],
    [[SINGLE, [3_572, 3_590]], [SINGLE, [7_072, 6_822]]],
];

/// The instructions of a single segment, with the polls that it may lead to.
const SINGLE: [u64; 2] = [65_000, 44_100];

/// The most instructions for one module more on the way of a frame, for each number of frames at a time.
const BOUNDS_FOR_A_MODULE: [u64; 2] = [1_500, 100];

/// The longest time without frames, in nanoseconds of the guest.
const LONGEST_OUTAGE: u64 = 5_000_000;

/// Boots a kernel with two cards on a wire.
fn on_a_wire<T>(network: &str, iommu: bool, work: impl FnOnce(&mut Client, &Blobs) -> T) -> T {
    let blob = |folder: &str| match folder.rsplit_once('/') {
        Some(("drivers", name)) => fs::read(driver_blob(name)),
        _ => fs::read(test_blob(folder.trim_start_matches("tests/modules/"))),
    };
    let blobs = Blobs::build(blob).unwrap_or_else(|error| panic!("{error}"));
    with_kernel(|machine| put_on_a_wire(machine, network, iommu), |client| work(client, &blobs))
}

/// Prints what a path takes.
fn show(path: &str, lengths: [u32; 2], found: [Counts; 2]) {
    for (length, found) in lengths.into_iter().zip(found) {
        for (count, [received, sent]) in BATCHES.into_iter().zip(found) {
            println!("{path}, {length} bytes, {count} at a time: {received} in, {sent} out");
        }
    }
}

/// Returns what of a path takes more than was counted.
fn more(path: &str, lengths: [u32; 2], found: [Counts; 2], counted: [Counts; 2]) -> Vec<String> {
    let mut more = Vec::new();
    for (length, (found, counted)) in lengths.into_iter().zip(found.into_iter().zip(counted)) {
        for (count, (found, counted)) in BATCHES.into_iter().zip(found.into_iter().zip(counted)) {
            let bounds = counted.map(|counted| counted + counted * MARGIN / 100);
            if found[0] > bounds[0] || found[1] > bounds[1] {
                more.push(format!("{path}, {length} bytes, {count} at a time: {found:?}, at most {bounds:?}"));
            }
        }
    }
    more
}

#[test]
fn no_path_of_a_frame_grows() {
    let mut slower = Vec::new();
    on_a_wire("wire", false, |client, blobs| {
        let all = FramePath::ALL.map(|path| {
            path.measure(client, blobs, "virtio-net").unwrap_or_else(|error| panic!("{path:?}: {error:#}"))
        });
        for ((path, found), counted) in FramePath::ALL.into_iter().zip(all).zip(FRAMES) {
            show(&format!("{path:?}"), FramePath::LENGTHS, found);
            slower.extend(more(&format!("{path:?}"), FramePath::LENGTHS, found, [counted; 2]));
        }
        let prices = FramePath::price_of_a_module(&all);
        println!("one module more, {BATCHES:?} at a time: {prices:?}");
        assert!(prices.into_iter().zip(BOUNDS_FOR_A_MODULE).all(|(price, bound)| price <= bound), "{prices:?}");
        no_outage_is_long(client);
    });
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}

#[test]
fn no_path_of_a_segment_grows() {
    let mut slower = Vec::new();
    on_a_wire("wire", false, |client, blobs| {
        for (path, counted) in SegmentPath::ALL.into_iter().zip(SEGMENTS) {
            let found = path.measure(client, blobs).unwrap_or_else(|error| panic!("{path:?}: {error:#}"));
            show(&format!("{path:?}"), SegmentPath::LENGTHS, found);
            slower.extend(more(&format!("{path:?}"), SegmentPath::LENGTHS, found, counted));
        }
    });
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}

#[test]
#[ignore = "docs/devices.md shows what it prints"]
fn measures_paths_by_registers() {
    on_a_wire("model=e1000e,wire", true, |client, blobs| {
        for path in [FramePath::ALL[1], FramePath::ALL[3]] {
            let found = path.measure(client, blobs, "e1000e").unwrap_or_else(|error| panic!("{path:?}: {error:#}"));
            show(&format!("{path:?}"), FramePath::LENGTHS, found);
        }
    });
}

/// Makes a driver fault, and measures until its user has frames again.
fn no_outage_is_long(client: &mut Client) {
    push_faulty(client);
    let second = with_name(&fs::read(driver_blob("virtio-net")).unwrap(), "second").unwrap();
    push(client, &second, Domain::User, "");
    push(client, &fs::read(test_blob("blast")).unwrap(), Domain::User, "");
    let called = call(client, "blast.outage", b"");
    let output = String::from_utf8_lossy(&called.output);
    assert_eq!(called.result, 0, "{output}");
    print!("{output}");
    for line in output.lines() {
        let numbers: Vec<u64> = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        let [kept, waiting, again, next] = numbers[..] else { panic!("{line}") };
        assert!(kept == waiting && again <= next && next <= LONGEST_OUTAGE, "{line}");
    }
    assert!(output.lines().count() > 1, "{output}");
}
