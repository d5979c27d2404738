use super::*;
use proptest::prelude::*;

/// Reads a head that is whole, with this machine's name `box`.
fn read(head: &str) -> Result<Option<(Request, usize)>, Status> {
    parse(head.as_bytes(), "box")
}

/// Returns what a head asks for, with the field that it has to have.
fn wanted(line: &str) -> Result<Resource, Status> {
    let head = format!("{line}\r\nHost: localhost\r\n\r\n");
    let (request, length) = read(&head)?.unwrap();
    assert_eq!(length, head.len());
    request.wanted
}

fn key(text: &str) -> Resource {
    Resource::Value(Key::new(text).unwrap())
}

#[test]
fn finds_what_there_is_and_nothing_else() {
    for (target, resource) in [
        ("/", Resource::Page),
        ("/?a=b", Resource::Page),
        ("http://127.0.0.1:80", Resource::Page),
        ("HTTP://localhost?x", Resource::Page),
        ("http://localhost/modules.json?now", Resource::Modules),
        ("/modules.json", Resource::Modules),
        ("/store/", Resource::Keys),
        ("/store/a..b", key("a..b")),
        ("/store/total.sum", key("total.sum")),
    ] {
        assert_eq!(wanted(&format!("GET {target} HTTP/1.1")), Ok(resource), "{target}");
    }
    for target in [
        "/store",
        "/store/..",
        "/store/.a",
        "/store/a/b",
        "/store//a",
        "/store/%61",
        "/store/A",
        "/store/a%00",
        "//",
        "/.",
        "/modules",
        "/index.html",
        "/store/../modules.json",
        "/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        assert_eq!(wanted(&format!("GET {target} HTTP/1.1")), Err(Status::NotFound), "{target}");
    }
    for target in ["*", "modules.json", "localhost:80", "https://localhost/"] {
        assert_eq!(wanted(&format!("GET {target} HTTP/1.1")), Err(Status::BadRequest), "{target}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "PRI", "CONNECT"] {
        assert_eq!(wanted(&format!("{method} /store/a HTTP/1.1")), Err(Status::MethodNotAllowed), "{method}");
    }
}

#[test]
fn answers_only_for_this_machine() {
    let status =
        |host: &str| read(&format!("GET / HTTP/1.1\r\n{host}\r\n")).map(|found| found.unwrap().0.wanted.is_ok());
    for host in
        ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:80", "10.0.2.15", "[::1]", "[::1]:80", "box", "BOX:1"]
    {
        assert_eq!(status(&format!("Host: {host}\r\n")), Ok(true), "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1",
        "[x]",
        "",
        "[::1]80",
    ] {
        assert_eq!(status(&format!("Host: {host}\r\n")), Err(Status::Misdirected), "{host}");
    }
    assert_eq!(status(""), Err(Status::BadRequest));
    assert_eq!(status("Host: localhost\r\nHost: localhost\r\n"), Err(Status::BadRequest));
    // The authority in the target is what counts, and the field has to be there.
    let absolute = |host: &str| read(&format!("GET http://evil.example/ HTTP/1.1\r\n{host}\r\n")).unwrap_err();
    assert_eq!(absolute("Host: localhost\r\n"), Status::Misdirected);
    assert_eq!(absolute(""), Status::BadRequest);
    // No name is a name.
    assert_eq!(parse(b"GET / HTTP/1.1\r\nHost:\r\n\r\n", ""), Err(Status::Misdirected));
}

#[test]
fn knows_when_a_connection_ends() {
    let last = |version: &str, fields: &str| {
        let (request, _) = read(&format!("HEAD / HTTP/{version}\r\nHost: box\r\n{fields}\r\n")).unwrap().unwrap();
        assert!(request.is_head);
        (request.is_last, request.takes_chunks)
    };
    assert_eq!(last("1.1", ""), (false, true));
    assert_eq!(last("1.1", "Connection: Keep-Alive\r\n"), (false, true));
    assert_eq!(last("1.1", "Connection: upgrade,  CLOSE\r\n"), (true, true));
    assert_eq!(last("1.0", ""), (true, false));
    assert!(read("POST / HTTP/1.1\r\nHost: box\r\nContent-Length: 9\r\n\r\n").unwrap().unwrap().0.is_last);
    assert_eq!(read("GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().0.wanted, Ok(Resource::Page));
}

#[test]
fn rejects_what_is_no_request_or_brings_something_along() {
    let with = |fields: &str| read(&format!("GET / HTTP/1.1\r\nHost: box\r\n{fields}\r\n")).map(|_| ());
    assert_eq!(with("Content-Length: 0\r\n"), Ok(()));
    assert_eq!(with("Content-Length: 1\r\n"), Err(Status::ContentTooLarge));
    assert_eq!(with("Content-Length: 99999999999999999999999\r\n"), Err(Status::ContentTooLarge));
    assert_eq!(with("Transfer-Encoding: chunked\r\n"), Err(Status::ContentTooLarge));
    for fields in [
        "Content-Length: -1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 0\r\nContent-Length: 0\r\n",
        "a b: c\r\n",
        ": x\r\n",
    ] {
        assert_eq!(with(fields), Err(Status::BadRequest), "{fields}");
    }
    assert_eq!(with(&"a: b\r\n".repeat(FIELDS)), Err(Status::HeadTooLarge));
    for line in ["GET / HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/1.2", "GET / FTP/1.1"] {
        assert_eq!(read(&format!("{line}\r\n\r\n")), Err(Status::VersionNotSupported), "{line}");
    }
    for head in [
        "\0",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02",
        "GET /\u{1} HTTP/1.1\r\n\r\n",
    ] {
        assert!(matches!(read(head), Err(Status::BadRequest | Status::VersionNotSupported)), "{head:?}");
    }
    let long = format!("GET /{}", "a".repeat(HEAD_BYTES));
    assert_eq!(read(&long[..HEAD_BYTES - 1]), Ok(None));
    assert_eq!(read(&long[..HEAD_BYTES]), Err(Status::HeadTooLarge));
}

#[test]
fn a_head_is_the_same_wherever_it_is_cut() {
    let two = b"GET /modules.json HTTP/1.1\r\nHost: box\r\n\r\nHEAD / HTTP/1.1\r\nHost: box\r\n\r\n";
    let whole = parse(two, "box").unwrap().unwrap();
    assert_eq!((whole.0.wanted, whole.1), (Ok(Resource::Modules), 41));
    for end in 0..two.len() {
        let expected = if end < 41 { None } else { Some(whole) };
        assert_eq!(parse(&two[..end], "box"), Ok(expected), "{end}");
    }
    assert!(parse(&two[41..], "box").unwrap().unwrap().0.is_head);
}

/// Something like a head, of parts that may be others than they should.
fn almost_a_head() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::sample::select(vec![
        "GET",
        "HEAD",
        "POST",
        " ",
        "/",
        "/store/",
        "/modules.json",
        "a",
        "..",
        "%2e",
        "HTTP/1.1",
        "HTTP/1.0",
        "\r\n",
        "\n",
        "\r",
        "Host",
        ":",
        "localhost",
        "[::1]",
        "Content-Length",
        "0",
        "1",
        "Connection",
        "close",
        ",",
        "\u{0}",
        "\u{7f}",
        "http:",
        "?",
        "Transfer-Encoding",
        "chunked",
        "\t",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat().into_bytes())
}

#[test]
fn the_advice_has_the_bounds_of_a_head() {
    let bounds = format!("{HEAD_BYTES} bytes and {FIELDS} fields");
    assert!(Status::HeadTooLarge.advice().contains(&bounds), "status.rs needs: {bounds}");
}

proptest! {
    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..HEAD_BYTES)) {
        if let Ok(Some((_, length))) = parse(&bytes, "") {
            prop_assert!(length > 0 && length <= bytes.len());
        }
    }

    #[test]
    fn what_is_taken_ends_a_head_and_asks_this_machine(bytes in almost_a_head()) {
        if let Ok(Some((request, length))) = parse(&bytes, "") {
            prop_assert!(length <= bytes.len() && bytes[..length].ends_with(b"\n"));
            let text = String::from_utf8_lossy(&bytes[..length]).to_lowercase();
            prop_assert!(!request.takes_chunks || text.contains("localhost") || text.contains("[::1]"));
            // More bytes do not change what was read.
            let longer = [&bytes[..], b"GET"].concat();
            prop_assert_eq!(parse(&longer, ""), Ok(Some((request, length))));
        }
    }
}
