use super::*;

const TICK: Event<'_> =
    Event { kind: Kind::Timer, at_start: true, function: 2, period_us: 1000, name: "tick", source: "" };
const PRICE: Event<'_> = Event {
    kind: Kind::Subscription,
    at_start: false,
    function: 3,
    period_us: 0,
    name: "on_price",
    source: "feed.price",
};
const DONE: Event<'_> =
    Event { kind: Kind::Notification, at_start: false, function: 0, period_us: 0, name: "done", source: "" };
const STOP: Event<'_> = Event { kind: Kind::Stop, name: "stop", source: "", ..PRICE };
const DOG: Event<'_> = Event { kind: Kind::Watchdog, at_start: false, function: 0, name: "watchdog", ..TICK };

fn check(events: &[Event<'_>]) -> Result<(), (usize, BadEvent)> {
    let bytes: [u8; 8192] = encode(events);
    Events::check(&bytes[..encoded_size(events)], 2..4)
}

#[test]
fn reads_what_it_encoded() {
    let events = [TICK, PRICE, DONE, STOP, DOG];
    let bytes: [u8; encoded_size(&[TICK, PRICE, DONE, STOP, DOG])] = encode(&events);
    assert_eq!(Events::check(&bytes, 2..4), Ok(()));
    assert!(Events::new(&bytes).eq(events));
    assert!(Events::new(&bytes).handled().eq([TICK, PRICE, STOP, DOG]));
    assert!(Events::new(&bytes).published().eq([DONE]));
    assert_eq!(PRICE.source_parts(), Some(("feed", "price")));
    assert_eq!(Events::check(&[], 0..0), Ok(()));
}

#[test]
fn rejects_what_is_cut_off() {
    let bytes: [u8; encoded_size(&[PRICE])] = encode(&[PRICE]);
    for length in 1..bytes.len() {
        assert_eq!(Events::check(&bytes[..length], 2..4), Err((1, BadEvent::CutOff)));
    }
}

#[test]
fn rejects_each_wrong_field() {
    let one = |event: Event<'_>, what| assert_eq!(check(&[DONE, event]), Err((2, what)), "{event:?}");
    one(Event { source: "feed", ..PRICE }, BadEvent::Source);
    one(Event { source: "feed.", ..PRICE }, BadEvent::Source);
    one(Event { source: "Feed.price", ..PRICE }, BadEvent::Source);
    one(Event { source: "a.b.c", ..PRICE }, BadEvent::Source);
    one(Event { source: "", ..PRICE }, BadEvent::Source);
    one(Event { source: "feed.price", ..TICK }, BadEvent::Source);
    one(Event { source: "x", ..TICK }, BadEvent::Source);
    one(Event { at_start: true, ..PRICE }, BadEvent::Kind);
    one(Event { function: 4, ..TICK }, BadEvent::Function);
    one(Event { function: 1, ..STOP }, BadEvent::Function);
    one(Event { function: 1, ..DOG }, BadEvent::Function);
    one(Event { period_us: 0, ..DOG }, BadEvent::Period);
    one(Event { period_us: 1, ..PRICE }, BadEvent::Period);
    let interrupt = Event { kind: Kind::Interrupt, at_start: false, period_us: 7, ..TICK };
    assert_eq!(check(&[DONE, interrupt]), Ok(()));
    one(Event { period_us: 8, ..interrupt }, BadEvent::Period);
    one(Event { function: 1, ..interrupt }, BadEvent::Function);
    one(Event { at_start: true, ..interrupt }, BadEvent::Kind);
    one(DONE, BadEvent::DuplicateName);
    assert_eq!(check(&[STOP, Event { name: "again", ..STOP }]), Err((2, BadEvent::TooMany)));
    // The same name for what is handled and what is published is no confusion.
    assert_eq!(check(&[DONE, Event { name: "done", ..TICK }]), Ok(()));
}

#[test]
fn rejects_each_wrong_byte() {
    let bytes: [u8; encoded_size(&[TICK])] = encode(&[TICK]);
    for (at, value, what) in [
        (0, 6, BadEvent::Kind),
        (1, 2, BadEvent::Kind),
        (6, 1, BadEvent::Kind),
        (7, 1, BadEvent::Kind),
        (HEADER_SIZE, b'T', BadEvent::Name),
        (HEADER_SIZE, b'1', BadEvent::Name),
        (HEADER_SIZE, 0xff, BadEvent::Name),
    ] {
        let mut bytes = bytes;
        bytes[at] = value;
        assert_eq!(Events::check(&bytes, 2..4), Err((1, what)), "{at}");
    }
}

#[test]
fn rejects_one_too_many() {
    extern crate std;
    let names: std::vec::Vec<_> = (0..=MAX_EVENTS).map(|number| std::format!("t{number}")).collect();
    let timers: [Event<'_>; MAX_EVENTS + 1] = core::array::from_fn(|number| Event { name: &names[number], ..TICK });
    assert_eq!(check(&timers[..MAX_EVENTS]), Ok(()));
    assert_eq!(check(&timers), Err((MAX_EVENTS + 1, BadEvent::TooMany)));
}

#[test]
fn rejects_a_notification_that_the_loader_publishes() {
    extern crate std;
    let mut bytes: [u8; encoded_size(&[DONE])] = encode(&[DONE]);
    for (name, is_own) in [("done", true), ("faul", true), (FAULTED, false), (RESTARTED, false), (STOPPED, false)] {
        let mut named = std::vec::Vec::from(&bytes[..HEADER_SIZE]);
        named[2] = name.len() as u8;
        named.extend(name.bytes());
        let expected = if is_own { Ok(()) } else { Err((1, BadEvent::LoadersName)) };
        assert_eq!(Events::check(&named, 0..0), expected, "{name}");
    }
    // What is handled may have such a name.
    bytes[0] = Kind::Stop as u8;
    assert_eq!(Events::check(&bytes, 0..1), Ok(()));
    assert_eq!(check(&[Event { name: FAULTED, source: "feed.faulted", ..PRICE }]), Ok(()));
}

#[test]
fn an_interrupt_is_of_a_device_that_is_declared() {
    let interrupt = |name, device| Event { kind: Kind::Interrupt, at_start: false, period_us: device, name, ..TICK };
    let check = |events: &[Event<'_>], devices| {
        let bytes = encode::<256>(events);
        Events::check_devices(&bytes[..encoded_size(events)], devices)
    };
    let both = [DONE, interrupt("first", 0), interrupt("second", 1)];
    assert_eq!((both[0].device(), both[2].device()), (None, Some(1)));
    assert_eq!(check(&both, 2), Ok(()));
    assert_eq!(check(&both, 1), Err((3, BadEvent::Device)));
    assert_eq!(check(&both, 0), Err((2, BadEvent::Device)));
    assert_eq!(check(&[interrupt("first", 0), interrupt("second", 0)], 2), Err((2, BadEvent::Device)));
    assert_eq!(check(&[TICK, STOP], 0), Ok(()));
}
