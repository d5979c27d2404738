use super::*;
use crate::channel::WORDS;

fn words(value: u64) -> [AtomicU64; WORDS] {
    std::array::from_fn(|_| AtomicU64::new(value))
}

/// Returns the longest message that there is.
fn fault() -> ChildMessage {
    let mut services = ServiceLog::EMPTY;
    (0..4).for_each(|service| services.push(ServiceCall { service, arguments: [5, 6] }));
    let (message, file) = (Text::new(&[7; MESSAGE_SIZE]).cut(true), Text::new(b"src/lib.rs"));
    let mut callers = Callers::NONE;
    (1..=CALLERS as u64).for_each(|offset| callers.push(offset));
    let diagnosis = Diagnosis {
        registers: std::array::from_fn(|index| index as u64),
        code: [9; CODE_SIZE],
        code_length: 3,
        services,
        panic: Some(PanicMessage { message, file, line: u32::MAX }),
        heap_request: Some(11),
        callers,
        function: None,
    };
    ChildMessage::Faulted(Fault { kind: FaultKind::Panic, offset: Some(8), address: None }, Some(diagnosis))
}

#[test]
fn reads_what_it_writes() {
    let returned = ChildMessage::Returned(CallOutcome { result: -1, output_length: 3 });
    let bare = ChildMessage::Faulted(Fault { kind: FaultKind::Divide, offset: None, address: Some(1) }, None);
    let call = ChildMessage::Call { name: [b'a'; NAME_SIZE], input: 7, output: 8 };
    let peak = ChildMessage::Peak(PeakUse { stack_bytes: Some(4096), heap_bytes: None });
    let find = ChildMessage::Find { address: 4096, length: 12, to_write: true };
    let (ready, log, passed) = (ChildMessage::Ready, ChildMessage::Log(5), ChildMessage::Passed);
    for reply in [ready, log, returned, bare, call, passed, peak, find, ChildMessage::Grow(u64::MAX), fault()] {
        let words = words(u64::MAX);
        reply.write(&words);
        assert_eq!(ChildMessage::read(&words), Some(reply));
    }
    let call = ParentMessage::Call { entry: 1, reason: 2, caller: 6, input: (2, 3), output: (4, 5) };
    let called = ParentMessage::Called { status: 3, outcome: CallOutcome { result: -7, output_length: 9 } };
    let (room, found) = (ParentMessage::Room { input: 1, output: 2 }, ParentMessage::Found(true));
    let copy = ParentMessage::Copy { from: 1, to: u64::MAX, length: 3 };
    let (size, grown) = (ParentMessage::MemorySize(7), ParentMessage::Grown { before: u64::MAX, bytes: 1 << 32 });
    for request in [ParentMessage::Continue, ParentMessage::Peak, copy, size, grown, room, found, called, call] {
        let words = words(u64::MAX);
        request.write(&words);
        assert_eq!(ParentMessage::read(&words), Some(request));
    }
}

#[test]
fn takes_nothing_for_a_message_that_is_none() {
    for number in 11..1000 {
        assert_eq!(ChildMessage::read(&words(number)), None);
    }
    // With any word out of its range, the message is refused, or read as another one that is in range.
    for index in 0..WORDS {
        let words = words(0);
        fault().write(&words);
        words[index].store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        if let Some(ChildMessage::Faulted(_, Some(diagnosis))) = ChildMessage::read(&words) {
            assert!(diagnosis.code().len() <= CODE_SIZE);
        }
    }
}
