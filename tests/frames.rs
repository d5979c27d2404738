//! The cost of frames, by the number of modules that they pass through, and the time without any after a fault of the driver; in
//! one kernel in which a tick is an instruction.

mod common;

use std::fs;
use std::time::Duration;

use bareflow::client::Client;
use bareflow::qemu::{Machine, Network};
use bareflow_loader::Domain;
use common::faulty::push_faulty;
use common::kernel::{call, push, unload, with_kernel};
use common::mutate::with_name;
use common::{driver_blob, test_blob};

/// The margin for other compilers, in percent.
const MARGIN: u64 = 5;

/// The instructions that a frame takes in and out, for each number of frames at a time. Of one at a time, some 200 are the
/// notification, which the card does not always want.
type Counts = [[u64; 2]; 2];

/// The ways of a frame, and what each takes.
const WAYS: [(Way, Counts); 5] = [
    (Way::Alone, [[1_640, 1_632], [524, 518]]),
    (Way::Driver(Domain::Kernel, Domain::Kernel), [[2_920, 2_850], [580, 567]]),
    (Way::Driver(Domain::User, Domain::Kernel), [[3_062, 2_992], [590, 576]]),
    (Way::Driver(Domain::User, Domain::User), [[3_104, 3_034], [592, 578]]),
    (Way::Passed, [[4_528, 4_458], [641, 628]]),
];

/// The numbers of frames at a time, and their lengths, on which the cost does not depend.
const BATCHES: [u32; 2] = [1, 32];
const LENGTHS: [u32; 2] = [64, 1500];

/// The most instructions for one module more on the way of a frame, for each number of frames at a time.
const MOST_FOR_A_MODULE: [u64; 2] = [1_500, 100];

/// The longest time without frames, in nanoseconds of the guest.
const LONGEST_OUTAGE: u64 = 5_000_000;

/// The modules on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// One in ring 0, which is driver and user.
    Alone,
    /// A driver, and its user.
    Driver(Domain, Domain),
    /// A driver, one that passes frames on, and its user, all in ring 3.
    Passed,
}

/// Boots a kernel with two cards on a wire.
fn on_a_wire<T>(network: &str, iommu: bool, work: impl FnOnce(&mut Client) -> T) -> T {
    let network = Network::parse(network);
    let change = |machine: &mut Machine| {
        (machine.network, machine.icount, machine.iommu) = (network, true, iommu);
        machine.timeout = Duration::from_secs(300);
    };
    with_kernel(change, work)
}

/// Measures a way with cards of a driver. Returns the instructions by length, then number, of frames in and out.
fn measure(client: &mut Client, driver: &str, way: Way) -> [Counts; 2] {
    let net = with_name(&fs::read(driver_blob(driver)).unwrap(), "virtio-net");
    let blob = |name| fs::read(test_blob(name)).unwrap();
    let modules = match way {
        // For the first card, until its user has its own driver.
        Way::Alone => vec![("driver", with_name(&net, "driver"), Domain::Kernel)],
        Way::Driver(driver, _) => vec![("virtio-net", net.clone(), driver)],
        Way::Passed => vec![
            ("driver", with_name(&net, "driver"), Domain::User),
            ("virtio-net", with_name(&blob("pass"), "virtio-net"), Domain::User),
        ],
    };
    for (_, blob, domain) in &modules {
        push(client, blob, *domain, "");
    }
    // The peer's driver takes the other card.
    push(client, &with_name(&net, "second"), Domain::Kernel, "");
    let (user, domain) = match way {
        Way::Alone => ("blast-alone", Domain::Kernel),
        Way::Driver(_, user) => ("blast", user),
        Way::Passed => ("blast", Domain::User),
    };
    if way == Way::Alone {
        unload(client, "driver");
    }
    push(client, &blob(user), domain, "");
    let called = call(client, user, b"");
    let output = String::from_utf8_lossy(&called.output);
    assert_eq!(called.result, 0, "{way:?}: {output}");
    unload(client, user);
    unload(client, "second");
    modules.iter().rev().filter(|_| way != Way::Alone).for_each(|(name, ..)| unload(client, name));
    LENGTHS.map(|length| {
        BATCHES.map(|count| {
            let name = format!("{length} bytes, {count} at a time: ");
            let found = output.split_once(&name).map_or("", |(_, rest)| rest);
            let mut numbers = found.split(' ').step_by(2).map_while(|word| word.parse().ok());
            [(); 2].map(|()| numbers.next().unwrap_or_else(|| panic!("no {name}\n{output}")))
        })
    })
}

#[test]
fn no_way_of_a_frame_grows() {
    let mut slower = Vec::new();
    on_a_wire("wire", false, |client| {
        let mut before: Option<Counts> = None;
        for (way, counted) in WAYS {
            let found = measure(client, "virtio-net", way);
            for (length, found) in LENGTHS.into_iter().zip(found) {
                for (count, (found, counted)) in BATCHES.into_iter().zip(found.into_iter().zip(counted)) {
                    println!("{way:?}, {length} bytes, {count} at a time: {} in, {} out", found[0], found[1]);
                    for (found, counted) in found.into_iter().zip(counted) {
                        let bound = counted + counted * MARGIN / 100;
                        if found > bound {
                            slower
                                .push(format!("{way:?}, {length} bytes, {count} at a time: {found}, at most {bound}"));
                        }
                    }
                }
            }
            let [_, all] = found;
            if let (Way::Passed, Some(before)) = (way, before) {
                for ((found, before), most) in all.into_iter().zip(before).zip(MOST_FOR_A_MODULE) {
                    for (found, before) in found.into_iter().zip(before) {
                        assert!(found <= before + most, "{found} instructions with one module more, {before} without");
                    }
                }
            }
            before = Some(all);
        }
        no_outage_is_long(client);
    });
    assert!(slower.is_empty(), "{}", slower.join("\n"));
}

#[test]
#[ignore = "docs/devices.md shows what it prints"]
fn measures_ways_behind_an_iommu() {
    on_a_wire("wire", true, |client| {
        for (way, without) in WAYS {
            let [_, found] = measure(client, "virtio-net", way);
            for (count, (found, without)) in BATCHES.into_iter().zip(found.into_iter().zip(without)) {
                println!("{way:?}, {count} at a time, in and out: {found:?}, without an IOMMU {without:?}");
            }
        }
    });
}

#[test]
#[ignore = "docs/devices.md shows what it prints"]
fn measures_ways_by_registers() {
    on_a_wire("model=e1000e,wire", true, |client| {
        for way in [Way::Driver(Domain::Kernel, Domain::Kernel), Way::Driver(Domain::User, Domain::User)] {
            let [_, found] = measure(client, "e1000e", way);
            println!("{way:?}, 1 and 32 at a time, in and out: {found:?}");
        }
    });
}

/// Makes a driver fault, and measures until its user has frames again.
fn no_outage_is_long(client: &mut Client) {
    push_faulty(client);
    let second = with_name(&fs::read(driver_blob("virtio-net")).unwrap(), "second");
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
