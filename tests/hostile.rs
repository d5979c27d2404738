//! Virtio devices that lie: a network card, an entropy device and a disk outside of QEMU (vhost-user), served by threads of the
//! test. The kernel notices each lie; all else goes on.

mod common;
#[path = "hostile/machine.rs"]
mod machine;

use std::fs;
use std::io::BufReader;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow::qemu::Network;
use bareflow_loader::Domain;
use bareflow_protocol::{Request, Response};
use bareflow_vhost::{Card, Disk, Lie, Queue};
use bareflow_wire::stream::{Receiver, send};
use common::kernel::{call, pages, push_restarted, unload, with_kernel};
use common::qmp::qmp;
use common::{assert_code, bareflow, blob, test_blob};
use machine::{
    Warnings, add_card, add_dice, add_disk, alone, ask, asker, counts, entropy_counts, load, question, state,
    unload_all,
};

/// The questions that a card asks while it does something else.
const QUESTIONS: u8 = 100;

/// The buffers that the echo gives its card to receive into.
const BUFFERS: usize = 48;

#[test]
fn a_card_that_lies_is_started_anew_and_serves_again() {
    let _alone = alone();
    let card = Card::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    with_kernel(
        |machine| {
            add_card(machine, &card);
            machine.qmp = Some(socket.clone());
        },
        |client| {
            let mut qemu = BufReader::new(UnixStream::connect(&socket).unwrap());
            qmp(&mut qemu, "{\"execute\":\"qmp_capabilities\"}");
            let mut warnings = Warnings::default();
            let mut before = Vec::new();
            for domain in [Domain::User, Domain::Kernel, Domain::User, Domain::Kernel] {
                load(client, domain);
                ask(&card);
                warnings.next(client);
                for queue in [Queue::Receive, Queue::Transmit] {
                    Lie::ALL.iter().for_each(|lie| is_caught(client, &card, &mut warnings, queue, *lie));
                }
                if domain == Domain::User {
                    overwrites(&card);
                    answers_late(client, &card);
                    changes_its_link(client, &card, &mut qemu);
                    leaves(client, &card);
                    // None of that breaks a rule.
                    assert_eq!(warnings.next(client), Vec::<String>::new());
                }
                unload_all(client);
                before.push(pages(client));
            }
            // Tables of addresses that were in use once stay.
            assert_eq!(before[..2], before[2..]);
        },
    );
}

/// Makes the card lie once about a queue. The kernel says so and resets it, the driver starts it anew, and the echo, which is told,
/// answers again.
#[track_caller]
fn is_caught(client: &mut Client, card: &Card, warnings: &mut Warnings, queue: Queue, lie: Lie) {
    let [.., restarts] = counts(client);
    card.lie(queue, lie);
    // What was sent is collected with a later answer.
    let is_told = (0..100).any(|_| {
        ask(card);
        counts(client)[2] > restarts
    });
    assert!(is_told, "{queue:?}, {lie:?}");
    ask(card);
    let told = warnings.next(client);
    assert!(matches!(&told[..], [one] if one.contains(words(queue, lie))), "{queue:?}, {lie:?}: {told:?}");
    assert!(!card.is_to_lie(queue));
    assert_eq!(state(client), ("open".to_owned(), 2), "{queue:?}, {lie:?}");
    assert_eq!(call(client, "sum", b"").result, 5050);
}

/// Returns what the kernel says of a lie.
fn words(queue: Queue, lie: Lie) -> &'static str {
    match (lie, queue) {
        (Lie::IdOutOfRange, _) => "it is done with the chain 128 of a queue, which it does not have",
        (Lie::IdNotGiven, _) | (Lie::IdTwice, Queue::Receive) => "it is done with the chain ",
        // More chains than it has, or one that it does not have, as there is one more answer by then or not.
        (Lie::IdTwice, Queue::Transmit) => "it is done with ",
        (Lie::TooLong, Queue::Receive) => "it wrote 2061 bytes to a chain with room for 2060",
        (Lie::TooLong, Queue::Transmit) => "it wrote 1 bytes to a chain with room for 0",
        (Lie::IndexJumps, _) => "it is done with 129 chains of a queue, and has ",
        (Lie::IndexRunsBackwards, _) => "it is done with 65535 chains of a queue, and has ",
    }
}

/// The card overwrites the descriptors and the driver's ring while it has most buffers, each of which it gives back with a frame.
fn overwrites(card: &Card) {
    let given = card.overwrite(&question(QUESTIONS)).unwrap();
    let answers = (0..given).map_while(|_| card.next(Duration::from_secs(1)));
    let answers = answers.filter(|frame| asker(frame) == Some(QUESTIONS)).count();
    // Those that it can't send at once are dropped.
    assert!(given > BUFFERS / 2 && answers > BUFFERS / 2, "{given} buffers, {answers} answers");
    ask(card);
}

/// The card takes no answers for a while. The echo drops those that it can't send, so the card still gets buffers.
fn answers_late(client: &mut Client, card: &Card) {
    card.set_silent(Queue::Transmit, true);
    for host in 0..QUESTIONS {
        card.give(&question(host)).unwrap();
        sleep(Duration::from_millis(1));
        assert_eq!(call(client, "sum", b"").result, 5050);
    }
    let start = Instant::now();
    while !card.give(&question(QUESTIONS)).unwrap() {
        assert!(start.elapsed() < Duration::from_millis(100));
        sleep(Duration::from_millis(1));
    }
    card.set_silent(Queue::Transmit, false);
    ask(card);
}

/// The card's link goes down and up again and again.
fn changes_its_link(client: &mut Client, card: &Card, qemu: &mut BufReader<UnixStream>) {
    for host in 0..QUESTIONS {
        for up in [false, true] {
            qmp(qemu, &format!("{{\"execute\":\"set_link\",\"arguments\":{{\"name\":\"nic\",\"up\":{up}}}}}"));
        }
        card.give(&question(host)).unwrap();
    }
    assert_eq!(call(client, "sum", b"").result, 5050);
    ask(card);
}

/// The card goes away with frames under way, and comes back.
fn leaves(client: &mut Client, card: &Card) {
    for host in 0..QUESTIONS {
        card.give(&question(host)).unwrap();
    }
    assert!(card.leave());
    assert!(!card.give(&question(QUESTIONS)).unwrap());
    for _ in 0..QUESTIONS {
        assert_eq!(call(client, "sum", b"").result, 5050);
    }
    ask(card);
}

/// The frames whose answers fill the socket between QEMU and the network, and then the card.
const FLOOD: usize = 2000;

#[test]
fn a_network_that_takes_no_answers_for_a_while_gets_them_later() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network");
    let listener = UnixListener::bind(&path).unwrap();
    with_kernel(
        |machine| machine.network = Network::parse(&format!("stream:{}", path.display())),
        |client| {
            let (network, _) = listener.accept().unwrap();
            network.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
            load(client, Domain::User);
            let mut answers = Receiver::new(network.try_clone().unwrap());
            let mut is_answered = || {
                send(&network, &question(1)).unwrap();
                answers.next(Duration::from_millis(200)).unwrap().is_some()
            };
            assert!((0..50).any(|_| is_answered()));
            for _ in 0..FLOOD {
                send(&network, &question(2)).unwrap();
            }
            // The card has no more buffers by then than it keeps.
            sleep(Duration::from_millis(300));
            while answers.next(Duration::from_millis(200)).unwrap().is_some() {}
            send(&network, &question(1)).unwrap();
            let answer = answers.next(Duration::from_secs(5)).unwrap();
            assert_eq!(answer.and_then(|frame| asker(&frame)), Some(1));
        },
    );
}

#[test]
fn a_disk_that_lies_is_given_up_at_once() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    let file = blob("fibonacci");
    assert_code(&bareflow(["disk", "create", "--size", "8M", image.to_str().unwrap(), file.to_str().unwrap()]), 0);
    // The last one answers before it is asked.
    for lie in Lie::ALL.map(Some).into_iter().chain([None]) {
        let disk = Disk::start(fs::read(&image).unwrap()).unwrap();
        with_kernel(
            |machine| add_disk(machine, &disk),
            |client| {
                let mut list = || client.ask(Request::Ls { path: "/modules" });
                assert!(matches!(list(), Ok(Response::Files(files)) if files.files.len() == 1 && files.cut.is_none()));
                lie.map_or_else(|| assert!(disk.repeat().unwrap()), |lie| disk.lie(lie));
                let start = Instant::now();
                // It is asked for nothing more after the first time, and the reason stays.
                for _ in 0..2 {
                    let refused = list().unwrap_err().to_string();
                    assert!(refused.contains("it broke the rules of its queue"), "{lie:?}: {refused}");
                }
                assert!(start.elapsed() < Duration::from_secs(5), "{lie:?}: {:?}", start.elapsed());
                assert_eq!(call(client, "sum", b"").result, 5050);
            },
        );
    }
}

/// The bytes that an entropy device gives.
const ENTROPY: [u8; 30] = [3; 30];

#[test]
fn a_device_that_interrupts_without_end_holds_up_no_one() {
    let _alone = alone();
    let card = Card::start().unwrap();
    let dice = fs::read(test_blob("dice")).unwrap();
    with_kernel(
        |machine| add_dice(machine, &card),
        |client| {
            let (mut before, mut warnings) = (None, Warnings::default());
            for _ in 0..2 {
                push_restarted(client, &dice, Domain::User, "");
                await_answer(client, &card);
                warnings.next(client);
                for lie in Lie::ALL {
                    card.lie(Queue::Receive, lie);
                    await_answer(client, &card);
                    let told = warnings.next(client);
                    assert!(matches!(&told[..], [one] if one.contains("device 00:02.0: it ")), "{lie:?}: {told:?}");
                }
                let [_, runs, _] = entropy_counts(client);
                let (mut calls, mut longest) = (0, Duration::ZERO);
                let writes = thread::scope(|scope| {
                    let storm = scope.spawn(|| card.interrupt_for(Duration::from_secs(1)).unwrap());
                    while !storm.is_finished() {
                        let start = Instant::now();
                        assert_eq!(call(client, "sum", b"").result, 5050);
                        longest = longest.max(start.elapsed());
                        calls += 1;
                        await_answer(client, &card);
                    }
                    storm.join().unwrap()
                });
                println!(
                    "{writes} writes of the event's file, {calls} calls and answers meanwhile; the longest call: {longest:?}"
                );
                assert!(writes > 1000 && calls > 10 && longest < Duration::from_secs(10));
                assert!(entropy_counts(client)[1] > runs);
                // The last `listen` is good for one more.
                call(client, "dice.pause", b"");
                card.interrupt_for(Duration::from_millis(200)).unwrap();
                let [_, runs, listens] = entropy_counts(client);
                assert_eq!(runs, listens + 1);
                unload(client, "dice");
                let pages = pages(client);
                assert_eq!(*before.get_or_insert(pages), pages);
            }
        },
    );
}

/// Gives bytes until the module has taken some that came when there was no lie to tell.
#[track_caller]
fn await_answer(client: &mut Client, card: &Card) {
    let before = entropy_counts(client);
    let is_taken = (0..1000).any(|_| {
        if !card.give(&ENTROPY).unwrap() {
            sleep(Duration::from_millis(1));
        }
        entropy_counts(client)[0] != before[0]
    });
    assert!(is_taken, "{before:?}, {:?}", entropy_counts(client));
}
