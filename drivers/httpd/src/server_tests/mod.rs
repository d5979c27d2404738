//! Tests of the server, with clients in the same process.

mod clients;
mod hostile;

use std::collections::BTreeMap;

use bareflow_abi::Out;
use bareflow_abi::interface::CallError;
use bareflow_report::{ModuleRow, Overview, Report};
use bareflow_store::{Store, StoreError, list};
use bareflow_tcp::TcpError;

use super::*;
use crate::Counts;
use crate::stored::Room;
use bareflow_abi::state::State as _;
use clients::Clients;

/// A server with its surroundings.
struct Kernel {
    server: Box<Server>,
    clients: Clients,
    rows: Rows,
    store: Values,
    counts: Counts,
    now_us: u64,
    room: Room,
}

/// The modules that are reported.
struct Rows(Vec<ModuleRow>);

impl Report for Rows {
    fn overview(&self, into: &mut Overview) -> Result<(), CallError> {
        if self.0.is_empty() {
            return Err(CallError::NoMemory);
        }
        *into = Overview { now_us: 7, now_cycles: 8, memory_bytes: 9, modules: self.0.len() as u32, zero: 0 };
        Ok(())
    }

    fn modules(&self, from: u32, into: &mut Out<'_, ModuleRow>) -> Result<u32, CallError> {
        let count = into.extend_from_slice(&self.0[from as usize..]);
        let next = from as usize + count;
        Ok(if next < self.0.len() { next as u32 } else { 0 })
    }
}

/// The values of a store, and how often they were read.
#[derive(Default)]
struct Values {
    values: BTreeMap<String, Vec<u8>>,
    reads: u32,
    has_no_disk: bool,
}

impl Store for Values {
    fn get(&mut self, key: &str, into: &mut Out<'_, u8>) -> Result<(), StoreError> {
        self.reads += 1;
        let value = self.values.get(key).ok_or(StoreError::NoSuchKey)?;
        if into.extend_from_slice(value) < value.len() { Err(StoreError::NoRoom) } else { Ok(()) }
    }

    fn length(&mut self, _: &str) -> Result<u32, StoreError> {
        Err(StoreError::Failed)
    }

    fn put(&mut self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn remove(&mut self, _: &str) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn keys(&mut self, prefix: &str, into: &mut Out<'_, u8>) -> Result<u32, StoreError> {
        self.reads += 1;
        if self.has_no_disk {
            return Err(StoreError::NoDisk);
        }
        Ok(list(self.values.keys().map(String::as_str), prefix, into))
    }
}

const CONFIG: Config = Config { port: 80, head_us: 2_000_000 };

impl Kernel {
    fn new() -> Kernel {
        let row = |name: &str| {
            let mut row =
                ModuleRow { tier: ModuleRow::NATIVE, is_active: 1, version: [1, 2, 3], ..ModuleRow::default() };
            row.name[..name.len()].copy_from_slice(name.as_bytes());
            row
        };
        let values =
            [("a", b"value".to_vec()), ("empty", vec![]), ("long", (0..65_536_u32).map(|n| (n % 251) as u8).collect())];
        Kernel {
            server: Box::new(Server::new()),
            clients: Clients::default(),
            rows: Rows((0..21).map(|number| row(&format!("m{number}"))).collect()),
            store: Values { values: values.map(|(key, value)| (key.to_owned(), value)).into(), ..Values::default() },
            counts: Counts::INITIAL,
            now_us: 1_000_000,
            room: Room::new(),
        }
    }

    /// Handles an event.
    fn event(&mut self) -> Result<Option<u64>, TcpError> {
        let mut surroundings = Surroundings {
            tcp: &mut self.clients,
            report: &self.rows,
            store: &mut self.store,
            now_us: self.now_us,
            own_name: "",
            room: &mut self.room,
            steps: STEPS,
            store_is_free: true,
            counts: &mut self.counts,
        };
        self.server.serve(CONFIG, &mut surroundings)
    }

    /// Handles events until nothing is left to do. Returns the time until there is.
    fn run(&mut self) -> Option<u64> {
        for _ in 0..10_000 {
            let next = self.event().unwrap();
            if next != Some(0) {
                return next;
            }
        }
        panic!("there is always more to do");
    }

    /// Sends a request by a new client, and returns all that it gets.
    fn ask(&mut self, request: &str) -> String {
        let client = self.clients.connect();
        self.clients.send(client, request.as_bytes());
        self.clients.finish(client);
        self.run();
        String::from_utf8_lossy(&self.clients.got(client)).into_owned()
    }

    fn get(&mut self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }
}

/// Splits an answer into its head and the rest.
fn split(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"))
}

/// Returns the content that came in chunks.
fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        let (piece, rest) = rest.split_at(length);
        whole += piece;
        body = rest.strip_prefix("\r\n").unwrap();
        if length == 0 {
            assert_eq!(body, "");
            return whole;
        }
    }
}

#[test]
fn answers_what_there_is() {
    let mut kernel = Kernel::new();
    let page = kernel.get("/");
    let (head, body) = split(&page);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == crate::page::PAGE, "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())) && head.contains("script-src 'sha256-"),
        "{head}"
    );
    let list = kernel.get("/store/");
    assert_eq!(split(&list).1, "a\nempty\nlong\n");
    let value = kernel.get("/store/long");
    let (head, body) = split(&value);
    assert!(
        head.contains("Content-Length: 65536") && head.contains("filename=\"long\"") && head.contains("sandbox"),
        "{head}"
    );
    assert_eq!(body, String::from_utf8_lossy(&kernel.store.values["long"]));
    let empty = kernel.get("/store/empty");
    assert!(empty.contains("Content-Length: 0\r\n") && empty.ends_with("\r\n\r\n"));
    assert_eq!((kernel.counts.requests, kernel.counts.refused), (4, 0));
}

#[test]
fn shows_all_modules_as_json() {
    let mut kernel = Kernel::new();
    let most = ModuleRow {
        name: *b"\"\\\n\x01</script>\0..................",
        version: [u32::MAX; 3],
        generation: u32::MAX,
        memory_bytes: u64::MAX,
        call_count: u64::MAX,
        function_calls: u64::MAX,
        timed_calls: u64::MAX,
        p50_cycles: u64::MAX,
        p99_cycles: u64::MAX,
        starts_in_us: u64::MAX,
        faults: u32::MAX,
        restarts: u32::MAX,
        state: 1,
        domain: 2,
        tier: 2,
        is_active: 0,
        zero: 0,
    };
    kernel.rows.0.extend([most; 9]);
    let answer = kernel.get("/modules.json");
    let (head, body) = split(&answer);
    assert!(head.contains("Transfer-Encoding: chunked") && !head.contains("Content-Length"), "{head}");
    let found: serde_json::Value = serde_json::from_str(&unchunk(body)).unwrap();
    assert_eq!((&found["now_us"], &found["total_modules"]), (&7.into(), &30.into()));
    let modules = found["modules"].as_array().unwrap();
    assert_eq!(modules.len(), 30);
    let m7 = serde_json::json!({
        "name": "m7", "version": "1.2.3", "generation": 0, "domain": "kernel", "state": "loaded", "starts_in_ms": null,
        "active": true, "tier": null, "memory_bytes": 0, "call_count": 0, "function_calls": 0, "timed_calls": 0,
        "p50_cycles": null, "p99_cycles": null, "faults": 0, "restarts": 0,
    });
    assert_eq!(modules[7], m7);
    assert_eq!(modules[29]["name"], "\"\\\n\x01</script>");
    assert_eq!(modules[29]["starts_in_ms"], u64::MAX.div_ceil(1000));
    assert_eq!(modules[29]["p99_cycles"], u64::MAX);
    // HTTP/1.0 knows no chunks.
    let answer = kernel.ask("GET /modules.json HTTP/1.0\r\n\r\n");
    assert_eq!(serde_json::from_str::<serde_json::Value>(split(&answer).1).unwrap()["modules"], found["modules"]);
    kernel.rows.0.clear();
    assert!(kernel.get("/modules.json").starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_head_alone_is_that_of_the_whole_answer() {
    let mut kernel = Kernel::new();
    for path in ["/", "/modules.json", "/store/", "/store/a", "/nothing"] {
        let whole = kernel.get(path);
        let head = kernel.ask(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(head, format!("{}\r\n\r\n", split(&whole).0), "{path}");
    }
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let mut kernel = Kernel::new();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let paths = ["/store/a", "/modules.json", "/nothing", "/store/long", "/", "/store/a"];
    let single: Vec<_> = paths.iter().map(|path| kernel.get(path)).collect();
    let together = kernel.ask(&paths.map(request).concat());
    assert_eq!(together, single.concat());
    // What follows the last one is not looked at.
    let last = kernel.ask("GET /store/a HTTP/1.1\r\nHost: box\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(last.starts_with("HTTP/1.1 421 ") && last.matches("HTTP/1.1").count() == 1, "{last}");
}

#[test]
fn errors_say_what_to_do() {
    let mut kernel = Kernel::new();
    for (request, status) in [
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 413),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\n\r\n", 505),
        ("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    ] {
        let answer = kernel.ask(request);
        let (head, body) = split(&answer);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        assert!(head.lines().any(|line| line == format!("Content-Length: {}", body.len())), "{head}: {body}");
        assert!(body.starts_with(&format!("{status} ")) && body.ends_with('\n'));
        assert_eq!(head.contains("Allow: GET, HEAD"), status == 405);
        assert_eq!(head.ends_with("Connection: close"), status != 404, "{head}");
    }
    let long = kernel.ask(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(3000)));
    assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
    kernel.store.has_no_disk = true;
    assert!(kernel.get("/store/").starts_with("HTTP/1.1 503 "));
    assert_eq!(kernel.counts.refused, 8);
}

#[test]
fn a_list_of_keys_is_whole_or_none() {
    let mut kernel = Kernel::new();
    let key = |number: usize| format!("{number:064}");
    kernel.store.values = (0..1024).map(|number| (key(number), vec![])).collect();
    let list = kernel.get("/store/");
    assert_eq!(split(&list).1.lines().count(), 1024);
    kernel.store.values.insert(key(1024), vec![]);
    assert!(kernel.get("/store/").starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_value_that_is_put_meanwhile_ends_the_answer() {
    let mut kernel = Kernel::new();
    let client = kernel.clients.connect();
    kernel.clients.room(client, 10_000);
    kernel.clients.send(client, b"GET /store/long HTTP/1.1\r\nHost: localhost\r\n\r\n");
    kernel.run();
    let before = kernel.clients.got(client).len();
    assert!(before > 5000 && before < 10_001);
    kernel.store.values.get_mut("long").unwrap()[60_000] += 1;
    // It lies in the room until another client wants something.
    let other = kernel.clients.connect();
    kernel.clients.send(other, b"GET /store/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    kernel.run();
    kernel.clients.room(client, usize::MAX);
    kernel.run();
    assert!(kernel.clients.is_reset(client) && kernel.clients.got(client).len() == before);
    // One that is alone gets all of the value as it was.
    let client = kernel.clients.connect();
    kernel.clients.room(client, 10_000);
    kernel.clients.send(client, b"GET /store/long HTTP/1.1\r\nHost: localhost\r\n\r\n");
    kernel.run();
    let value = kernel.store.values.get_mut("long").unwrap();
    value[60_000] += 1;
    let length = value.len();
    kernel.clients.room(client, usize::MAX);
    kernel.run();
    let got = kernel.clients.got(client);
    assert!(!kernel.clients.is_reset(client) && got.len() > length);
    let sent = &got[got.len() - length..];
    assert_eq!(sent[60_000] + 1, kernel.store.values["long"][60_000]);
}
