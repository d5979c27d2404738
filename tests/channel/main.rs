//! The host's side of the channel: the broker with clients of every kind, the commands as a program, a serial line that
//! loses bytes, and `watch`. The kernel is a fake, except in `serving`.

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod fake_kernel;
mod serial_port;
mod serving;
mod session;
mod watching;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bareflow::client::upload;
use bareflow_abi::checksum::crc32c;
use bareflow_protocol::control::{LoadOverrides, MAX_CHUNK, Push, Refusal};
use bareflow_protocol::{Decoder, Envelope, Message, Request, Response};
use fake_kernel::Bench;

fn call(input: &str) -> Request<'_> {
    Request::Call { module: "echo", input: input.as_bytes(), repeat: 1 }
}

fn push() -> Request<'static> {
    Request::Push(Push { label: "sum.mod", overrides: LoadOverrides::default(), beside: false, gate: None })
}

fn frame(number: u64, request: Request<'_>) -> Vec<u8> {
    Envelope { request_id: number, request }.to_frame()
}

/// Returns the next response on a raw connection; `None` at its end.
fn next_answer(stream: &mut UnixStream, decoder: &mut Decoder) -> Option<(u64, Response)> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut buffer = [0; 4096];
    loop {
        if let Some(payload) = decoder.next_payload() {
            match Message::from_payload(&payload.unwrap()).unwrap() {
                Message::Response(number, answer) => return Some((number, answer)),
                other => panic!("{other:?}"),
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(count) => decoder.push(&buffer[..count]),
            // A broken connection may report this.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn several_clients_at_once_get_their_own_answers() {
    let bench = Bench::start();
    std::thread::scope(|scope| {
        for name in 0..8 {
            let bench = &bench;
            scope.spawn(move || {
                let mut client = bench.client();
                for round in 0..50 {
                    let input = format!("client {name} round {round}");
                    match client.ask(call(&input)).unwrap() {
                        Response::Called(called) => assert_eq!(called.output, input.as_bytes()),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    bench.wait(|seen| seen.goodbyes.len() == 8);
    bench.end();
}

#[test]
fn clients_may_use_the_same_numbers() {
    let bench = Bench::start();
    let mut streams = [bench.raw(), bench.raw()];
    for (stream, input) in streams.iter_mut().zip(["a", "b"]) {
        stream.write_all(&frame(7, call(input))).unwrap();
    }
    for (stream, input) in streams.iter_mut().zip(["a", "b"]) {
        let mut decoder = Decoder::new();
        assert_eq!(next_answer(stream, &mut decoder), Some((7, Response::Progress { done: 1, of: 2 })));
        let Some((7, Response::Called(called))) = next_answer(stream, &mut decoder) else { panic!("no answer") };
        assert_eq!(called.output, input.as_bytes());
    }
    // A request whose number leaves no room for the mark is answered under the number it came with.
    let [stream, _] = &mut streams;
    stream.write_all(&[frame(7 | 99 << 32, call("a")), frame(u64::from(u32::MAX), call("b"))].concat()).unwrap();
    let mut decoder = Decoder::new();
    let Some((number, Response::Refused(Refusal { error, .. }))) = next_answer(stream, &mut decoder) else {
        panic!("no refusal")
    };
    assert_eq!(number, 7 | 99 << 32);
    assert_eq!(error, "request number 425201762311, expected at most 4294967295; count from 1 again");
    assert_eq!(next_answer(stream, &mut decoder), Some((u32::MAX.into(), Response::Progress { done: 1, of: 2 })));
    drop(streams);
    bench.end();
}

#[test]
fn what_is_no_request_is_answered_and_goes_no_further() {
    let bench = Bench::start();
    let good = frame(1, call("x"));
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let no_request = bareflow_protocol::encode_frame(b"\xff\xff\xff").unwrap();
    let cases = [
        (b"GET / HTTP/1.0\r\n\r\n".to_vec(), "bytes that belong to no frame"),
        (damaged, "frame checksum mismatch"),
        (no_request, "is no known message"),
        ([&bareflow_protocol::frame::MARK[..], &[0xff; 8]].concat(), "announced, expected at most"),
    ];
    for (bytes, expected) in &cases {
        let (mut stream, mut decoder) = (bench.raw(), Decoder::new());
        stream.write_all(bytes).unwrap();
        match next_answer(&mut stream, &mut decoder) {
            Some((0, Response::Refused(Refusal { error, .. }))) => assert!(error.contains(expected), "{error}"),
            other => panic!("{other:?}, expected {expected}"),
        }
        // The connection still works as before.
        stream.write_all(&good).unwrap();
        let answers = std::iter::from_fn(|| next_answer(&mut stream, &mut decoder));
        assert!({ answers }.any(|(number, answer)| number == 1 && matches!(answer, Response::Called(_))), "{expected}");
    }
    let mut stream = bench.raw();
    stream.write_all(&good[..good.len() / 2]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    match next_answer(&mut stream, &mut Decoder::new()) {
        Some((0, Response::Refused(Refusal { error, .. }))) => assert!(error.contains("belong to no frame"), "{error}"),
        other => panic!("{other:?}"),
    }
    bench.wait(|seen| seen.goodbyes.len() == cases.len() + 1);
    bench.end();
}

#[test]
fn who_closed_the_sending_end_still_gets_every_answer() {
    let bench = Bench::start();
    let mut stream = bench.raw();
    let inputs: Vec<String> = (0..9).map(|number| format!("request {number}")).collect();
    for (number, input) in (1..).zip(&inputs) {
        stream.write_all(&frame(number, call(input))).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut decoder = Decoder::new();
    let answers = std::iter::from_fn(|| next_answer(&mut stream, &mut decoder));
    let called = answers.filter_map(|(_, answer)| match answer {
        Response::Called(called) => Some(String::from_utf8(called.output).unwrap()),
        _ => None,
    });
    assert_eq!(called.collect::<Vec<_>>(), inputs);
    // Then the connection ends, and the kernel forgets the client.
    bench.wait(|seen| seen.goodbyes.len() == 1);
    bench.end();
}

#[test]
fn a_client_that_dies_at_any_point_of_a_push_disturbs_nobody() {
    let bench = Bench::start();
    let blob = vec![7; MAX_CHUNK + 100];
    let (first, second) = blob.split_at(MAX_CHUNK);
    let upload_request = Request::Upload { length: blob.len() as u32, checksum: crc32c(&[&blob]) };
    let requests = [
        Request::Hello,
        upload_request,
        Request::Chunk { offset: 0, bytes: first },
        Request::Chunk { offset: MAX_CHUNK as u32, bytes: second },
        push(),
    ];
    let frames: Vec<_> = (1..).zip(requests).map(|(number, request)| frame(number, request)).collect();
    // Another upload is unfinished all the time.
    let mut other = bench.client();
    assert_eq!(other.ask(upload_request).unwrap(), Response::Received { length: 0 });
    assert_eq!(other.ask(requests[2]).unwrap(), Response::Received { length: MAX_CHUNK as u32 });
    for whole in 0..=frames.len() {
        for half in [false, true] {
            let mut stream = bench.raw();
            let mut bytes = frames[..whole].concat();
            if let (true, Some(next)) = (half, frames.get(whole)) {
                bytes.extend(&next[..next.len() / 2]);
            }
            stream.write_all(&bytes).unwrap();
        }
    }
    let dead = 2 * (frames.len() + 1);
    bench.wait(|seen| seen.goodbyes.len() == dead);
    let mut marks = bench.seen.lock().unwrap().goodbyes.clone();
    marks.sort_unstable();
    assert_eq!(marks, (2..).take(dead).collect::<Vec<u32>>(), "each once, and never the living one's");
    assert_eq!(bench.seen.lock().unwrap().pushes, 2, "only whole pushes are done");
    assert_eq!(other.ask(requests[3]).unwrap(), Response::Received { length: blob.len() as u32 });
    assert!(matches!(other.ask(push()), Ok(Response::Loaded(_))));
    let mut shown = Vec::new();
    upload(&mut other, &blob, &mut |done, of| shown.push((done, of))).unwrap();
    let (part, all) = (MAX_CHUNK as u64, blob.len() as u64);
    assert_eq!(shown, [(0, all), (part, all), (all, all)]);
    drop(other);
    bench.end();
}

#[test]
fn a_client_that_never_reads_is_dropped_and_blocks_nobody() {
    let bench = Bench::start();
    let mut deaf = bench.raw();
    let mut other = bench.client();
    for number in 1..=400 {
        // The client may have been dropped already.
        if deaf.write_all(&frame(number, Request::Log { from: 0 })).is_err() {
            break;
        }
        assert!(matches!(other.ask(call("x")), Ok(Response::Called(_))));
    }
    bench.wait(|seen| seen.goodbyes == [1]);
    let mut decoder = Decoder::new();
    while next_answer(&mut deaf, &mut decoder).is_some() {}
    assert!(matches!(other.ask(call("x")), Ok(Response::Called(_))));
    drop(other);
    bench.end();
}

#[test]
fn a_slow_kernel_loses_nothing() {
    let bench = Bench::start();
    let mut stream = bench.raw();
    // The kernel can't record requests, and so answers none, while the test holds this lock.
    let seen = bench.seen.lock().unwrap();
    let writer = std::thread::spawn({
        let mut stream = stream.try_clone().unwrap();
        move || {
            for number in 1..=100 {
                let chunk = Request::Chunk { offset: 0, bytes: &[1; MAX_CHUNK] };
                stream.write_all(&frame(number, chunk)).unwrap();
            }
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    drop(seen);
    writer.join().unwrap();
    let mut decoder = Decoder::new();
    for number in 1..=100 {
        assert_eq!(next_answer(&mut stream, &mut decoder).map(|(of, _)| of), Some(number));
    }
    drop(stream);
    bench.end();
}

#[test]
fn the_end_of_the_kernel_ends_every_connection() {
    let bench = Bench::start();
    let (mut idle, mut asking) = (bench.client(), bench.client());
    let mut raw = bench.raw();
    bench.end();
    for _ in 0..2 {
        let error = idle.check().and_then(|()| idle.check()).unwrap_err().to_string();
        assert!(error.contains("the kernel at test is gone"), "{error}");
    }
    let error = asking.ask(Request::Ps).unwrap_err().to_string();
    assert!(error.contains("is gone: the connection ended; run `bareflow serve` again"), "{error}");
    assert_eq!(next_answer(&mut raw, &mut Decoder::new()), None);
}
