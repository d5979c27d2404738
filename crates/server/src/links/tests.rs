use std::boxed::Box;
use std::vec::Vec;

use bareflow_abi::Out;
use bareflow_channel::{Channel, ChannelError};
use bareflow_host::HostPlatform;
use bareflow_loader::{LoadOptions, ModuleManager, Timing};
use bareflow_protocol::control::{Envelope, RefusalCode};
use bareflow_protocol::options::Token;
use bareflow_protocol::{Decoder, Message, Request, Response};
use spin::Mutex;

use super::serve::Next;
use super::{Access, Links, MAX_LINKS};
use crate::Server;
use crate::tests::Nothing;

const TOKEN: [u8; 16] = *b"sixteen of bytes";

type TestServer = Server<'static, HostPlatform, Nothing>;

/// A server whose clients have the token, and its links as the module 1 finds them.
fn server() -> (TestServer, Access) {
    let links: &Mutex<Links> = Box::leak(Box::new(Mutex::new(Links::new())));
    links.lock().set_token(Some(Token(TOKEN)));
    let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
    let manager = ModuleManager::new(platform, Timing::Fast);
    let server = Server::new(manager, Nothing, LoadOptions::default()).unwrap().with_links(links);
    (server, Access { links, caller: 1, now_ms: 0 })
}

fn frame(request_id: u64, request: Request<'_>) -> Vec<u8> {
    Envelope { request_id, request }.to_frame()
}

/// Takes all answers of a link, in pieces.
fn answers(access: &mut Access, link: u32) -> Result<Vec<(u64, Response)>, ChannelError> {
    let (mut decoder, mut sent) = (Decoder::new(), 0);
    loop {
        let mut piece = [0; 7];
        let mut piece = Out::new(&mut piece);
        match access.take(link, sent, &mut piece) {
            Ok(()) if !piece.written().is_empty() => {
                sent = piece.written().len() as u32;
                decoder.push(piece.written());
            }
            Err(error) if decoder.unfinished() == 0 => return Err(error),
            _ => break,
        }
    }
    let all = core::iter::from_fn(|| decoder.next_payload());
    Ok(all
        .map(|payload| match Message::from_payload(&payload.unwrap()) {
            Ok(Message::Response(number, response)) => (number, response),
            other => panic!("{other:?}"),
        })
        .collect())
}

/// Opens a link and shows the token.
fn trusted(server: &TestServer, access: &mut Access) -> u32 {
    let link = access.open().unwrap();
    access.put(link, &frame(1, Request::Token { token: TOKEN })).unwrap();
    assert!(!server.serve_links(), "a token is no request");
    assert!(matches!(answers(access, link).unwrap()[..], [(1, Response::Done)]));
    link
}

#[test]
fn answers_requests_behind_the_token_each_link_its_own() {
    let (server, mut access) = server();
    let links = [trusted(&server, &mut access), trusted(&server, &mut access)];
    for (number, link) in (7..).zip(links) {
        let asked = [frame(number, Request::Hello), frame(number + 10, Request::Ps)].concat();
        let (first, rest) = asked.split_at(9);
        access.put(link, first).unwrap();
        server.serve_links();
        access.put(link, rest).unwrap();
    }
    assert!(server.serve_links());
    for (number, link) in (7..).zip(links) {
        let found = answers(&mut access, link).unwrap();
        let [(hello, Response::Welcome { .. }), (ps, Response::Modules(_))] = &found[..] else { panic!("{found:?}") };
        assert_eq!((*hello, *ps), (number, number + 10));
    }
    assert!(access.links.lock().are_quiet());
}

#[test]
fn rejects_whoever_has_no_token() {
    let (server, mut access) = server();
    let wrong = [
        frame(3, Request::Ps),
        frame(3, Request::Token { token: [0; 16] }),
        frame(3, Request::Shutdown),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    for bytes in wrong {
        let link = access.open().unwrap();
        access.put(link, &bytes).unwrap();
        // What follows is not even read.
        let _ = access.put(link, &frame(4, Request::Shutdown));
        assert!(!server.serve_links() && !server.has_ended());
        let found = answers(&mut access, link).unwrap();
        let [(3 | 0, Response::Refused(refusal))] = &found[..] else { panic!("{found:?}") };
        assert_eq!(refusal.code, RefusalCode::WrongToken);
        assert_eq!(answers(&mut access, link).unwrap_err(), ChannelError::Ended);
        assert_eq!(access.put(link, b"x"), Err(ChannelError::Ended));
        access.close(link).unwrap();
        server.serve_links();
    }
    // More than a token takes no memory.
    let link = access.open().unwrap();
    assert_eq!(access.put(link, &[0; 10_000]), Err(ChannelError::OutOfRange));
}

#[test]
fn rejects_links_before_there_is_a_token() {
    let (_, mut access) = server();
    access.links.lock().set_token(None);
    assert_eq!(access.open(), Err(ChannelError::NotAllowed));
}

#[test]
fn rejects_links_of_others_and_those_that_are_gone() {
    let (server, mut access) = server();
    let link = trusted(&server, &mut access);
    let mut other = Access { caller: 2, ..access };
    let mut room = [0; 4];
    assert_eq!(other.put(link, b""), Err(ChannelError::NotYours));
    assert_eq!(other.take(link, 0, &mut Out::new(&mut room)), Err(ChannelError::NotYours));
    assert_eq!(other.close(link), Err(ChannelError::NotYours));
    other.begin().unwrap();
    assert!(access.put(link, b"").is_ok());
    assert_eq!(access.put(link ^ 1, b""), Err(ChannelError::NoSuchLink));
    assert_eq!(access.take(link, 1, &mut Out::new(&mut room)), Err(ChannelError::OutOfRange));
    access.begin().unwrap();
    assert_eq!(access.put(link, b""), Err(ChannelError::NoSuchLink));
}

#[test]
fn rejects_more_links_than_there_may_be() {
    let (server, mut access) = server();
    for _ in 0..MAX_LINKS {
        trusted(&server, &mut access);
    }
    assert_eq!(access.open(), Err(ChannelError::TooMany));
    access.begin().unwrap();
    assert!(server.serve_links());
    assert!(access.open().is_ok());
}

#[test]
fn those_without_a_token_keep_out_no_one_with_one() {
    let (server, mut access) = server();
    let first = trusted(&server, &mut access);
    let strangers: Vec<u32> = (1..MAX_LINKS).map(|_| access.open().unwrap()).collect();
    // A module takes the place of its own strangers first, and one that has none that of the oldest.
    let mut other = Access { caller: 2, ..access };
    let others = other.open().unwrap();
    assert_eq!(access.put(strangers[0], b""), Err(ChannelError::NoSuchLink));
    other.open().unwrap();
    assert_eq!(other.put(others, b""), Err(ChannelError::NoSuchLink));
    let late = trusted(&server, &mut access);
    assert_eq!(access.put(strangers[1], b""), Err(ChannelError::NoSuchLink));
    assert!(strangers[2..].iter().chain(&[first, late]).all(|link| access.put(*link, b"").is_ok()));
}

#[test]
fn links_without_a_token_end_soon_and_those_of_silent_modules_later() {
    let (server, mut access) = server();
    let kept = trusted(&server, &mut access);
    for _ in 1..MAX_LINKS {
        access.open().unwrap();
    }
    let gone = |now_ms| {
        let mut links = access.links.lock();
        core::iter::from_fn(|| links.next(now_ms)).filter(|next| matches!(next, Next::Gone(_))).count()
    };
    assert_eq!(gone(4_999), 0);
    assert_eq!(gone(5_000), MAX_LINKS - 1);
    access.now_ms = 30_000;
    assert!(access.put(kept, b"").is_ok());
    let gone = |now_ms| access.links.lock().next(now_ms).is_some();
    assert!(!gone(89_999) && gone(90_000));
    assert_eq!(access.put(kept, b""), Err(ChannelError::NoSuchLink));
}

#[test]
fn a_link_that_is_closed_takes_its_work_along() {
    let (server, mut access) = server();
    let link = trusted(&server, &mut access);
    access.put(link, &frame(2, Request::Upload { length: 8, checksum: 0 })).unwrap();
    assert!(server.serve_links());
    access.close(link).unwrap();
    assert!(server.serve_links());
    let again = trusted(&server, &mut access);
    assert_ne!(again, link);
    access.put(again, &frame(3, Request::Chunk { offset: 0, bytes: &[0; 8] })).unwrap();
    server.serve_links();
    let found = answers(&mut access, again).unwrap();
    let [.., (3, Response::Refused(_))] = &found[..] else { panic!("{found:?}") };
}

#[test]
fn a_client_that_takes_no_answers_is_given_up() {
    let (server, mut access) = server();
    let link = trusted(&server, &mut access);
    let asked = frame(2, Request::Hello).repeat(100);
    for _ in 0..10_000 {
        if access.put(link, &asked).is_err() {
            assert!(access.take(link, 0, &mut Out::new(&mut [0; 4])).is_err());
            return;
        }
        while server.serve_links() {}
    }
    panic!("its answers are kept without end");
}

#[test]
fn a_request_with_the_number_of_another_client_is_none() {
    let (server, mut access) = server();
    let link = trusted(&server, &mut access);
    let junk = bareflow_protocol::encode_frame(&[0xff; 40]).unwrap();
    for bytes in [frame(1 << 32 | 5, Request::Hello), junk] {
        access.put(link, &bytes).unwrap();
        server.serve_links();
        let found = answers(&mut access, link).unwrap();
        let [(0, Response::Refused(refusal))] = &found[..] else { panic!("{found:?}") };
        assert_eq!(refusal.code, RefusalCode::NoRequest);
    }
}
