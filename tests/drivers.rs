//! Drivers in modules: virtio's network card in either domain, through restarts and replacements, in one kernel.

mod common;

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use bareflow::client::{Client, upload};
use bareflow::qemu::Network;
use bareflow_frame_cost::with_name;
use bareflow_host::HostPlatform;
use bareflow_loader::{Allowed, Domain, KernelDomain, LoadError, ModuleManager, Timing};
use bareflow_protocol::control::{Device, LoadOverrides, Push};
use bareflow_protocol::{Request, Response};
use common::kernel::{call, pages, push_restarted as push, unload, with_kernel};
use common::{assert_code, bareflow, blob, driver_blob, test_blob};

/// Returns a port of 127.0.0.1 that no one uses.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a datagram to the echo service up to `times` times, until the same one comes back. Returns whether it did.
fn is_answered(port: u16, sent: &[u8], times: usize) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    let mut got = vec![0; 2000];
    (0..times).any(|_| {
        socket.send(sent).unwrap();
        socket.recv(&mut got).is_ok_and(|length| got[..length] == *sent)
    })
}

/// Asks the echo service with datagrams of all sizes, of which a few may be lost when the card was just replaced.
#[track_caller]
fn ask(port: u16) {
    for length in [1, 22, 100, 1000, 1472] {
        let sent: Vec<u8> = (0..length).map(|index| (index ^ length) as u8).collect();
        assert!(is_answered(port, &sent, 5), "{length} bytes");
    }
}

fn devices(client: &mut Client) -> Vec<Device> {
    match client.ask(Request::Devices).unwrap() {
        Response::Devices(found) => found,
        other => panic!("{other:?}"),
    }
}

/// Returns a device, which there is.
fn device(client: &mut Client, name: &str) -> Device {
    devices(client).into_iter().find(|device| device.device == name).unwrap()
}

/// Returns the state and the owner of the card, and how many regions it uses.
fn card(client: &mut Client) -> (String, Option<String>, u32) {
    let found = device(client, "virtio:net");
    assert_eq!((&*found.interrupt, &*found.class), ("interrupt", "0200"));
    (found.state.into_owned(), found.owner, found.regions)
}

#[test]
fn a_card_is_driven_in_either_domain_whatever_is_replaced() {
    let [net, echo, attack] = ["virtio-net", "echo", "dma-attack"].map(|name| fs::read(driver_blob(name)).unwrap());
    let port = free_port();
    let network = Network::parse(&format!("udp:{port}:7")).unwrap();
    with_kernel(
        |machine| machine.network = Some(network),
        |client| {
            assert_eq!(card(client), ("free".to_owned(), None, 0));
            assert_eq!(device(client, "virtio:net").reach, "checked");
            let own = device(client, "virtio:console");
            assert_eq!((&*own.state, own.owner), ("kernel", None));
            // Tables of addresses that were in use once stay, so the second round of each domain is compared with the first.
            let mut before = None;
            for (domain, is_first) in
                [Domain::User, Domain::Kernel].into_iter().flat_map(|domain| [(domain, true), (domain, false)])
            {
                push(client, &net, domain, "");
                push(client, &echo, domain, "");
                ask(port);
                assert_eq!(card(client), ("open".to_owned(), Some("virtio-net".to_owned()), 2));
                assert!(matches!(client.ask(Request::Restart { module: "virtio-net" }), Ok(Response::Done)));
                ask(port);
                for _ in 0..10 {
                    push(client, &net, domain, "");
                }
                ask(port);
                push(client, &echo, domain, "");
                ask(port);
                assert_eq!(card(client).2, 2);
                unload(client, "echo");
                unload(client, "virtio-net");
                assert_eq!(card(client), ("free".to_owned(), None, 0));
                let pages = pages(client);
                assert!(is_first || before == Some(pages), "{pages} and {before:?}");
                before = Some(pages);
            }
            reach_for_memory_of_another_user(client, &net, &echo, port);
            raise_all_vectors(client, &net, &echo, port);
            reach_for_memory(client, &attack);
            // Without an IOMMU nothing keeps a card that lies from memory.
            assert!(strays(client));
            // Without the driver nothing else is harmed, and another driver is told that there is no card.
            assert_eq!(call(client, "sum", b"").result, 5050);
            push(client, &net, Domain::User, "");
            // Another address is not answered for, and one of no host is refused.
            push(client, &echo, Domain::User, "echo.address=10.0.2.99");
            assert!(!is_answered(port, b"anyone", 1));
            let wrong = LoadOverrides { parameters: "echo.address=224.0.0.1", ..LoadOverrides::default() };
            upload(client, &echo, &mut |_, _| ()).unwrap();
            let wrong = Push { label: "echo", overrides: wrong, beside: false, gate: None };
            let refused = client.ask(Request::Push(wrong)).unwrap_err().to_string();
            assert!(refused.contains("init"), "{refused}");
            push(client, &echo, Domain::User, "echo.address=10.0.2.15");
            ask(port);
            upload(client, &with_name(&net, "second").unwrap(), &mut |_, _| ()).unwrap();
            let second = Push { label: "second", overrides: LoadOverrides::default(), beside: false, gate: None };
            let refused = client.ask(Request::Push(second)).unwrap_err().to_string();
            assert!(refused.contains("virtio-net has the device virtio:net"), "{refused}");
        },
    );
}

#[test]
fn a_card_on_no_bus_is_driven_as_one_on_pci() {
    let [net, echo, attack] = ["virtio-net", "echo", "dma-attack"].map(|name| fs::read(driver_blob(name)).unwrap());
    let port = free_port();
    let network = Network::parse(&format!("udp:{port}:7")).unwrap();
    with_kernel(
        |machine| {
            machine.machine = "microvm".to_owned();
            machine.network = Some(network);
        },
        |client| {
            let found = device(client, "virtio:net");
            assert_eq!((&*found.interrupt, &*found.reach, &*found.state), ("polled", "checked", "free"));
            assert!(found.place.starts_with("0xfeb0"), "{}", found.place);
            assert_eq!(device(client, "virtio:console").state, "kernel");
            for domain in [Domain::User, Domain::Kernel] {
                push(client, &net, domain, "");
                push(client, &echo, domain, "");
                ask(port);
                assert!(matches!(client.ask(Request::Restart { module: "virtio-net" }), Ok(Response::Done)));
                ask(port);
                push(client, &net, domain, "");
                ask(port);
                unload(client, "echo");
                unload(client, "virtio-net");
                push(client, &attack, domain, "");
                assert_eq!(call(client, "dma-attack", b"").result, ATTEMPTS);
                unload(client, "dma-attack");
                let found = device(client, "virtio:net");
                assert_eq!((&*found.state, found.regions), ("free", 0));
            }
        },
    );
}

/// Makes a module reach for the memory of the one that uses the card, by the driver of both.
fn reach_for_memory_of_another_user(client: &mut Client, net: &[u8], echo: &[u8], port: u16) {
    push(client, net, Domain::User, "");
    push(client, echo, Domain::User, "");
    ask(port);
    push(client, &fs::read(test_blob("card-thief")).unwrap(), Domain::User, "");
    assert_eq!(call(client, "card-thief", b"").result, 0);
    unload(client, "card-thief");
    // The other one has to begin again.
    push(client, echo, Domain::User, "");
    ask(port);
    unload(client, "echo");
    unload(client, "virtio-net");
}

/// Sends interrupts of all vectors from code in ring 0, as any device could, while the card is in use. A module's own `int` is its
/// fault.
fn raise_all_vectors(client: &mut Client, net: &[u8], echo: &[u8], port: u16) {
    push(client, net, Domain::User, "");
    push(client, echo, Domain::User, "");
    push(client, &fs::read(test_blob("faults")).unwrap(), Domain::Kernel, "");
    for _ in 0..10 {
        assert_eq!(call(client, "faults", b"send_all_vectors").result, 0);
        ask(port);
    }
    assert_eq!(call(client, "sum", b"").result, 5050);
    await_line(client, "interrupts came that no device was to send");
    for input in ["int_128", "int_255"] {
        let faulted = client.ask(Request::Call { module: "faults", input: input.as_bytes(), repeat: 1 }).unwrap_err();
        assert!(faulted.to_string().contains("general_protection"), "{faulted}");
    }
    for module in ["faults", "echo", "virtio-net"] {
        unload(client, module);
    }
}

/// The ways in which `dma-attack` reaches for memory.
const ATTEMPTS: i32 = 46;

/// Makes a driver reach for memory that is not its own, in all ways that it has.
fn reach_for_memory(client: &mut Client, attack: &[u8]) {
    for domain in [Domain::User, Domain::Kernel] {
        push(client, attack, domain, "");
        // The second time, the card and its numbers were in use before.
        for _ in 0..2 {
            assert_eq!(call(client, "dma-attack", b"").result, ATTEMPTS);
        }
        unload(client, "dma-attack");
        assert_eq!(card(client), ("free".to_owned(), None, 0));
        assert_eq!(call(client, "sum", b"").result, 5050);
    }
}

/// Makes the card read and write memory that no driver gave it. Returns whether it wrote there.
fn strays(client: &mut Client) -> bool {
    push(client, &fs::read(test_blob("stray")).unwrap(), Domain::Kernel, "");
    let result = call(client, "stray", b"").result;
    unload(client, "stray");
    assert!(result == 0 || result == 1, "{result}");
    result == 1
}

/// Waits until the log has a line with `words`.
#[track_caller]
fn await_line(client: &mut Client, words: &str) {
    let told = (0..100).any(|_| {
        let Ok(Response::Log { lines, .. }) = client.ask(Request::Log { from: 0 }) else { panic!() };
        std::thread::sleep(Duration::from_millis(20));
        lines.iter().any(|line| line.contains(words))
    });
    assert!(told, "no line in the log: {words}");
}

#[test]
fn behind_an_iommu_a_card_reaches_what_its_driver_gives_it_and_nothing_else() {
    let [net, echo, attack] = ["virtio-net", "echo", "dma-attack"].map(|name| fs::read(driver_blob(name)).unwrap());
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    let file = blob("fibonacci");
    let create = ["disk", "create", "--size", "8M", image.to_str().unwrap(), file.to_str().unwrap()];
    assert_code(&bareflow(create), 0);
    with_kernel(
        |machine| {
            machine.network = Some(Network::parse(&format!("udp:{port}:7")).unwrap());
            machine.data_disk = Some(image);
            machine.iommu = true;
        },
        |client| {
            // The kernel's own disk and channel are behind it, too.
            let Ok(Response::Files(files)) = client.ask(Request::Ls { path: "/modules" }) else { panic!() };
            assert_eq!(files.files[0].module.as_deref(), Some("fibonacci"));
            for own in ["virtio:console", "virtio:block", "virtio:0017"] {
                assert_eq!(device(client, own).state, "kernel");
            }
            assert_eq!((&*device(client, "virtio:net").reach, device(client, "virtio:net").faults), ("iommu", 0));
            for domain in [Domain::User, Domain::Kernel] {
                push(client, &net, domain, "");
                push(client, &echo, domain, "");
                ask(port);
                assert_eq!(card(client), ("open".to_owned(), Some("virtio-net".to_owned()), 2));
                assert!(matches!(client.ask(Request::Restart { module: "virtio-net" }), Ok(Response::Done)));
                ask(port);
                unload(client, "echo");
                unload(client, "virtio-net");
            }
            reach_for_memory(client, &attack);
            // The driver gave the card nothing but what it has, so all of that was right.
            assert_eq!(device(client, "virtio:net").faults, 0);
            // One that no one drives reaches nothing, whatever it is made to do.
            assert!(!strays(client));
            let faults = device(client, "virtio:net").faults;
            assert!(faults > 0);
            await_line(client, "which it was not given; the IOMMU refused that");
            // Nor does one in use, whose driver takes it back then.
            push(client, &net, Domain::User, "");
            push(client, &echo, Domain::User, "");
            ask(port);
            assert!(!strays(client));
            assert!(device(client, "virtio:net").faults > faults);
            assert!(matches!(client.ask(Request::Restart { module: "virtio-net" }), Ok(Response::Done)));
            ask(port);
            assert_eq!(call(client, "sum", b"").result, 5050);
        },
    );
}

/// The ways in which `register-attack` reaches for registers and memory.
const REGISTER_ATTEMPTS: i32 = 51;

/// Makes a driver reach for registers and memory that are not its own, in all ways that it has, in both domains.
fn reach_by_registers(client: &mut Client) {
    let attack = fs::read(test_blob("register-attack")).unwrap();
    for domain in [Domain::User, Domain::Kernel] {
        push(client, &attack, domain, "");
        // The second time, the card and its numbers were in use before.
        for _ in 0..2 {
            assert_eq!(call(client, "register-attack.attack", b"").result, REGISTER_ATTEMPTS);
        }
        // An interrupt that its card sends later finds the capability on, and itself masked.
        assert_eq!(call(client, "register-attack.close_early", b"").result, 0);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(call(client, "sum", b"").result, 5050);
        unload(client, "register-attack");
    }
}

/// Makes the driver of Intel's card have it use memory that was taken from it. Returns whether the card wrote there.
fn uses_what_is_past(client: &mut Client) -> bool {
    push(client, &fs::read(test_blob("register-attack")).unwrap(), Domain::User, "");
    let result = call(client, "register-attack.use_what_is_past", b"").result;
    unload(client, "register-attack");
    assert!(result == 0 || result == 1, "{result}");
    result == 1
}

/// Asks the echo service on Intel's card, through restarts and replacements of its driver.
fn ask_by_registers(client: &mut Client, port: u16) {
    let [driver, echo] = ["e1000e", "echo"].map(|name| fs::read(driver_blob(name)).unwrap());
    push(client, &driver, Domain::User, "");
    push(client, &echo, Domain::User, "bind echo.nic=e1000e");
    ask(port);
    assert!(matches!(client.ask(Request::Restart { module: "e1000e" }), Ok(Response::Done)));
    ask(port);
    for _ in 0..5 {
        push(client, &driver, Domain::User, "");
    }
    ask(port);
    let card = device(client, "pci:8086:10d3");
    assert_eq!((&*card.state, card.owner.as_deref(), card.regions), ("open", Some("e1000e"), 2));
    assert_eq!((&*card.interrupt, card.faults), ("interrupt", 0));
    unload(client, "echo");
    unload(client, "e1000e");
}

/// Waits until the module `edu` has taken `count` interrupts.
#[track_caller]
fn await_interrupts(client: &mut Client, count: i32) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let taken = call(client, "edu.taken", b"").result;
        if taken == count {
            return;
        }
        assert!(taken < count && Instant::now() < end, "{taken} of {count}");
    }
}

/// Drives the device that computes, copies memory and interrupts by MSI, which has no mask.
fn drive_a_device_for_teaching(client: &mut Client) {
    let edu = fs::read(test_blob("edu")).unwrap();
    assert_eq!(device(client, "pci:1234:11e8").interrupt, "interrupt");
    for domain in [Domain::User, Domain::Kernel] {
        push(client, &edu, domain, "");
        // No computation of it is had before it is open, which its first event does.
        await_interrupts(client, 0);
        assert_eq!(call(client, "edu.factorial", b"").result, 3_628_800);
        for _ in 0..2 {
            assert_eq!(call(client, "edu.copy", b"").result, 2048);
        }
        for count in 1..=50 {
            assert_eq!(call(client, "edu.raise", b"").result, 0);
            await_interrupts(client, count);
        }
        // Nobody looks at it but when it has something to say: at the start, after each interrupt, and where one may be lost.
        let events = call(client, "edu.events", b"").result;
        assert!((51..=110).contains(&events), "{events}");
        assert!(matches!(client.ask(Request::Restart { module: "edu" }), Ok(Response::Done)));
        await_interrupts(client, 0);
        assert_eq!(call(client, "edu.raise", b"").result, 0);
        await_interrupts(client, 1);
        unload(client, "edu");
        assert_eq!(device(client, "pci:1234:11e8").state, "free");
    }
}

#[test]
fn a_second_model_of_card_is_driven_by_its_registers() {
    let port = free_port();
    let network = Network::parse(&format!("model=e1000e,udp:{port}:7")).unwrap();
    with_kernel(
        |machine| (machine.network, machine.iommu) = (Some(network.clone()), true),
        |client| {
            assert_eq!(device(client, "pci:8086:10d3").reach, "iommu");
            ask_by_registers(client, port);
            reach_by_registers(client);
            assert_eq!(device(client, "pci:8086:10d3").faults, 0);
            assert!(!uses_what_is_past(client));
            assert!(device(client, "pci:8086:10d3").faults > 0);
            await_line(client, "which it was not given; the IOMMU refused that");
            assert_eq!(call(client, "sum", b"").result, 5050);
        },
    );
    // Without an IOMMU it is a trusted module's.
    with_kernel(
        |machine| {
            machine.network = Some(network);
            machine.devices = vec!["edu".to_owned()];
            machine.options.load.allowed = Allowed::parse("all,device-trusted").unwrap();
        },
        |client| {
            assert_eq!(device(client, "pci:8086:10d3").reach, "trusted");
            ask_by_registers(client, port);
            await_line(client, "e1000e drives it, and can have it reach all memory; it is trusted");
            reach_by_registers(client);
            assert!(uses_what_is_past(client));
            drive_a_device_for_teaching(client);
        },
    );
    let refused = bareflow(["boot", "--net=model=e1000e", driver_blob("e1000e").to_str().unwrap()]);
    assert_code(&refused, 1);
    let told = String::from_utf8_lossy(&refused.stdout);
    assert!(told.contains("trust its driver (`--allow all,device-trusted`)"), "{told}");
}

#[test]
fn a_process_has_no_devices() {
    let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
    // SAFETY: the blob is built from this repository.
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Fast, unsafe { KernelDomain::trust_all_blobs() });
    let refused = manager.load(&fs::read(driver_blob("virtio-net")).unwrap());
    assert!(matches!(refused, Err(LoadError::NoDevices { .. })), "{refused:?}");
}
