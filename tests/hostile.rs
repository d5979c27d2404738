//! Virtio devices that lie, in QEMU: a card whose rings a process has (vhost-user), driven by modules of ring 3.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow_loader::Domain;
use bareflow_vhost::{Card, Lie, Queue};
use common::driver_blob;
use common::kernel::{call, push, unload, with_kernel};

/// Returns the question of a host with the number `asker` for the address of 10.0.2.15 (RFC 826).
fn question(asker: u8) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, asker, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, asker, 10, 0, 2, asker, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15]);
    frame
}

#[test]
fn one_frame() {
    let card = Card::start().unwrap();
    with_kernel(
        |machine| {
            machine.machine = "q35,memory-backend=m".to_owned();
            let words = ["-object", "memory-backend-memfd,id=m,size=128M,share=on", "-chardev"];
            machine.further = words.map(str::to_owned).into();
            machine.further.push(format!("socket,id=v,path={},reconnect=1", card.socket().display()));
            machine.further.extend(["-netdev", "vhost-user,id=n0,chardev=v"].map(str::to_owned));
            machine.devices = vec!["virtio-net-pci,disable-legacy=on,romfile=,vectors=0,netdev=n0".to_owned()];
        },
        |client| {
            let [net, echo] = ["virtio-net", "echo"].map(|name| fs::read(driver_blob(name)).unwrap());
            push(client, &net, Domain::User, "");
            push(client, &echo, Domain::User, "");
            let start = Instant::now();
            let mut n = 0;
            while start.elapsed() < Duration::from_secs(5) {
                n += 1;
                println!("{n} given {:?}", card.give(&question(n)));
                if let Some(frame) = card.next(Duration::from_millis(100)) {
                    println!("{:?} {frame:x?}", start.elapsed());
                    break;
                }
            }
            println!("{:?}", call(client, "echo.counts", b"").output);
        },
    );
}
