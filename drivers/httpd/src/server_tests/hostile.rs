//! Clients that are slow, many, or go away, and a stack that begins anew.

use proptest::prelude::*;

use super::*;

const REQUEST: &[u8] = b"GET /store/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Returns whether a client has got so many whole answers with the value of `a`.
fn has_got(kernel: &Kernel, client: usize, times: usize) -> bool {
    let got = kernel.clients.got(client);
    got.windows(9).filter(|window| window == b"\r\n\r\nvalue").count() == times
}

#[test]
fn a_slow_head_is_given_up_and_keeps_no_one_out() {
    let mut kernel = Kernel::new();
    let slow = kernel.clients.connect();
    for (step, byte) in REQUEST[..20].iter().enumerate() {
        kernel.clients.send(slow, &[*byte]);
        let next = kernel.run().unwrap();
        assert!(next <= CONFIG.head_us || kernel.clients.is_closed(slow), "{next}");
        let other = kernel.clients.connect();
        kernel.clients.send(other, REQUEST);
        kernel.run();
        assert!(has_got(&kernel, other, 1), "{step}");
        kernel.now_us += 200_000;
    }
    let got = String::from_utf8(kernel.clients.got(slow)).unwrap();
    assert!(got.starts_with("HTTP/1.1 408 ") && kernel.clients.is_closed(slow), "{got}");
}

#[test]
fn many_slow_clients_give_way_to_each_other_and_to_others() {
    let mut kernel = Kernel::new();
    let slow: Vec<_> = (0..64).map(|_| kernel.clients.connect()).collect();
    for &client in &slow {
        kernel.clients.send(client, b"GET /");
    }
    kernel.run();
    assert_eq!(kernel.clients.count(), PLACES);
    let good = kernel.clients.connect();
    kernel.clients.send(good, REQUEST);
    kernel.run();
    assert!(has_got(&kernel, good, 1));
    // Those that came last are there still.
    let there = slow.iter().filter(|&&client| !kernel.clients.is_reset(client)).count();
    assert_eq!(there, PLACES - 1);
    assert!(!kernel.clients.is_reset(*slow.last().unwrap()));
}

#[test]
fn clients_that_send_more_and_do_not_read_cost_nothing() {
    let mut kernel = Kernel::new();
    for _ in 0..3 {
        let client = kernel.clients.connect();
        kernel.clients.room(client, 100);
        kernel.clients.send(client, REQUEST);
        kernel.clients.send(client, b"GET /");
        kernel.clients.finish(client);
    }
    assert_eq!(kernel.run(), Some(10_000_000), "the time after which they end");
    (0..3).for_each(|client| kernel.clients.room(client, usize::MAX));
    kernel.run();
    assert!((0..3).all(|client| has_got(&kernel, client, 1) && kernel.clients.is_closed(client)));
}

#[test]
fn slow_readers_give_way_after_a_second_and_end_when_they_stall() {
    let mut kernel = Kernel::new();
    for _ in 0..PLACES {
        let client = kernel.clients.connect();
        kernel.clients.room(client, 100);
        kernel.clients.send(client, REQUEST);
    }
    kernel.run();
    // The first reads some more, so it is not the one that gives way.
    kernel.now_us += 300_000;
    kernel.clients.room(0, 10);
    kernel.run();
    let good = kernel.clients.connect();
    kernel.clients.send(good, REQUEST);
    assert_eq!(kernel.run(), Some(700_000));
    assert!(kernel.clients.got(good).is_empty(), "all are being answered");
    kernel.now_us += 700_000;
    kernel.run();
    assert!(has_got(&kernel, good, 1) && kernel.clients.is_reset(1) && !kernel.clients.is_reset(0));
    // Its place is taken by the next one, and no more waits.
    let next = kernel.run().unwrap();
    kernel.now_us += next;
    kernel.run();
    assert_eq!(kernel.clients.count(), 2, "all but the first and the good one have stalled");
}

#[test]
fn an_idle_connection_is_closed_and_a_client_that_goes_is_forgotten() {
    let mut kernel = Kernel::new();
    let [idle, gone, silent] = [(); 3].map(|()| kernel.clients.connect());
    kernel.clients.send(idle, REQUEST);
    kernel.clients.send(gone, REQUEST);
    kernel.clients.room(gone, 7);
    kernel.run();
    kernel.clients.lose(gone);
    kernel.now_us += CONFIG.head_us;
    kernel.run();
    assert!(kernel.clients.is_reset(gone) && kernel.clients.is_closed(silent) && !kernel.clients.is_closed(idle));
    kernel.clients.send(idle, REQUEST);
    let next = kernel.run().unwrap();
    assert!(has_got(&kernel, idle, 2));
    kernel.now_us += next;
    assert_eq!(kernel.run(), None);
    assert!(kernel.clients.is_closed(idle) && kernel.clients.count() == 0);
}

#[test]
fn the_store_is_read_once_at_an_event() {
    let mut kernel = Kernel::new();
    for _ in 0..PLACES {
        let client = kernel.clients.connect();
        kernel.clients.send(client, REQUEST);
    }
    for _ in 0..1000 {
        let before = kernel.store.reads;
        let next = kernel.event().unwrap();
        assert!(kernel.store.reads <= before + 1);
        if next != Some(0) {
            break;
        }
    }
    assert!((0..PLACES).all(|client| has_got(&kernel, client, 1)));
}

#[test]
fn a_stack_that_begins_anew_has_it_begin_anew() {
    let mut kernel = Kernel::new();
    let before = kernel.clients.connect();
    kernel.clients.send(before, b"GET");
    kernel.run();
    for error in [TcpError::Call(CallError::Faulted), TcpError::PortTaken, TcpError::Call(CallError::Restarted)] {
        kernel.clients.error = Some(error);
        assert_eq!(kernel.event(), Err(error));
    }
    kernel.clients.error = None;
    let client = kernel.clients.connect();
    kernel.clients.send(client, REQUEST);
    kernel.run();
    assert!(has_got(&kernel, client, 1) && kernel.clients.is_reset(before));
}

/// Something that a client or the time does.
#[derive(Clone, Debug)]
enum Act {
    Connect,
    Send(usize, Vec<u8>),
    Finish(usize),
    Lose(usize),
    Room(usize, usize),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = prop_oneof![
        Just(REQUEST.to_vec()),
        Just(b"GET /modules.json HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        (0..REQUEST.len()).prop_map(|length| REQUEST[..length].to_vec()),
        prop::collection::vec(any::<u8>(), 0..3000),
    ];
    prop_oneof![
        3 => Just(Act::Connect),
        4 => (any::<usize>(), bytes).prop_map(|(client, bytes)| Act::Send(client, bytes)),
        1 => any::<usize>().prop_map(Act::Finish),
        1 => any::<usize>().prop_map(Act::Lose),
        1 => (any::<usize>(), 0..5000_usize).prop_map(|(client, room)| Act::Room(client, room)),
        2 => (0..15_000_000_u64).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_clients_do_the_next_one_is_served(acts in prop::collection::vec(act(), 0..120)) {
        let mut kernel = Kernel::new();
        let mut count = 0;
        for act in acts {
            let of = |number: usize| number % count.max(1);
            match act {
                Act::Connect => {
                    kernel.clients.connect();
                    count += 1;
                }
                _ if count == 0 => {}
                Act::Send(number, bytes) => kernel.clients.send(of(number), &bytes),
                Act::Finish(number) => kernel.clients.finish(of(number)),
                Act::Lose(number) => kernel.clients.lose(of(number)),
                Act::Room(number, room) => kernel.clients.room(of(number), room),
                Act::Wait(time_us) => kernel.now_us += time_us,
            }
            kernel.run();
            prop_assert!(kernel.clients.count() <= PLACES);
        }
        let client = kernel.clients.connect();
        kernel.clients.send(client, REQUEST);
        // Those before it may all stall, of which a place has one for a second.
        let end_us = kernel.now_us + 1_000_000 * count.div_ceil(PLACES) as u64;
        let mut next = kernel.run();
        while !has_got(&kernel, client, 1) {
            kernel.now_us += next.unwrap();
            prop_assert!(kernel.now_us <= end_us);
            next = kernel.run();
        }
    }
}
