//! A machine with a virtio device that threads of the test serve, and what its echo and its kernel say.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow::qemu::Machine;
use bareflow_loader::Domain;
use bareflow_protocol::{Request, Response};
use bareflow_vhost::{Card, Disk};

use crate::common::driver_blob;
use crate::common::kernel::{call, push_restarted, unload};

/// The time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time after which a question is asked again: what a card has when it is started anew is lost.
const AGAIN: Duration = Duration::from_millis(50);

/// Gives the machine a card. It has no table of interrupts, so it is polled: QEMU 7.2 ends when such a card's interrupt is masked in
/// one, unless KVM delivers it.
pub fn add_card(machine: &mut Machine, card: &Card) {
    share(machine, card.socket(), ",reconnect=1");
    machine.extra_arguments.extend(["-netdev", "vhost-user,id=n0,chardev=device"].map(str::to_owned));
    machine.devices = vec!["virtio-net-pci,disable-legacy=on,romfile=,vectors=0,netdev=n0,id=nic".to_owned()];
}

/// Gives the machine a disk.
pub fn add_disk(machine: &mut Machine, disk: &Disk) {
    share(machine, disk.socket(), "");
    machine.devices = vec!["vhost-user-blk-pci,disable-legacy=on,chardev=device".to_owned()];
}

/// Gives the machine an entropy device, whose interrupts come by a table.
pub fn add_dice(machine: &mut Machine, card: &Card) {
    share(machine, card.socket(), "");
    machine.devices = vec!["vhost-user-rng-pci,chardev=device".to_owned()];
}

/// Gives QEMU the device's socket, and memory that it shares.
fn share(machine: &mut Machine, socket: &Path, more: &str) {
    machine.machine = "q35,memory-backend=m".to_owned();
    let memory = format!("memory-backend-memfd,id=m,share=on,size={}M", machine.memory_megabytes);
    let socket = format!("socket,id=device,path={}{more}", socket.display());
    machine.extra_arguments = ["-object", &memory, "-chardev", &socket].map(str::to_owned).into();
}

/// Returns the question of host `asker` for the address of 10.0.2.15 (RFC 826).
pub fn question(asker: u8) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, asker, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, asker, 10, 0, 2, asker, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15]);
    frame
}

/// Returns the host that an answer is for.
pub fn asker(frame: &[u8]) -> Option<u8> {
    let is_answer = frame.get(12..14) == Some(&[8, 6]) && frame.get(20..22) == Some(&[0, 2]);
    frame.get(5).copied().filter(|_| is_answer)
}

/// Asks until an answer to the question comes.
#[track_caller]
pub fn ask(card: &Card) {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    // Above `QUESTIONS`, by which the tests ask.
    let host = 0x80 | NEXT.fetch_add(1, Ordering::Relaxed);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        card.give(&question(host)).unwrap();
        let again = Instant::now() + AGAIN;
        while let Some(frame) = card.next(again.saturating_duration_since(Instant::now())) {
            if asker(&frame) == Some(host) {
                return;
            }
        }
    }
    panic!("no answer came");
}

/// Returns the frames that came to the echo, that it answered, and how often its card was started anew.
pub fn counts(client: &mut Client) -> [u64; 3] {
    counts_of(client, "echo.counts")
}

/// Returns the answers that the entropy device's driver took, how often its handler ran, and how often it listened.
pub fn entropy_counts(client: &mut Client) -> [u64; 3] {
    counts_of(client, "dice.counts")
}

fn counts_of(client: &mut Client, function: &str) -> [u64; 3] {
    let output = call(client, function, b"").output;
    let (words, _) = output.as_chunks();
    [0, 1, 2].map(|place| u64::from_le_bytes(words[place]))
}

/// Loads the driver and the echo.
pub fn load(client: &mut Client, domain: Domain) {
    for name in ["virtio-net", "echo"] {
        push_restarted(client, &fs::read(driver_blob(name)).unwrap(), domain, "");
    }
}

/// Keeps the other tests from booting: the threads that serve a device have to answer in time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unloads both, which must leave nothing behind.
pub fn unload_all(client: &mut Client) {
    ["echo", "virtio-net"].iter().for_each(|module| unload(client, module));
    assert_eq!(state(client), ("free".to_owned(), 0));
}

/// Returns the state of the card, and how many regions it uses.
pub fn state(client: &mut Client) -> (String, u32) {
    let Ok(Response::Devices(found)) = client.ask(Request::Devices) else { panic!() };
    let card = found.into_iter().find(|device| device.device == "virtio:net").unwrap();
    (card.state.into_owned(), card.regions)
}

/// The warnings of the kernel that were not read yet.
#[derive(Default)]
pub struct Warnings(u64);

impl Warnings {
    /// Returns the next ones.
    pub fn next(&mut self, client: &mut Client) -> Vec<String> {
        let Ok(Response::Log { first, lines }) = client.ask(Request::Log { from: self.0 }) else { panic!() };
        self.0 = first + lines.len() as u64;
        lines.into_iter().filter(|line| line.contains("[WARN]")).collect()
    }
}
