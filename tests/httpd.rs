//! The page that shows modules, by real clients, whatever else comes and is replaced meanwhile; one kernel.

mod common;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow::qemu::Network;
use bareflow_protocol::control::LoadOverrides;
use bareflow_protocol::{Request, Response};
use common::kernel::{disk, pages, push_with, put, unload, with_kernel};
use common::{driver_blob, gallery_blob, random, root, test_blob};
use serde_json::Value;

/// The clients that send a part of a request, and no more.
const SLOW: usize = 64;

/// The time for an answer, while its module is replaced.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time for a head.
const HEAD_TIME: Duration = Duration::from_secs(2);

/// The modules that the page is made of, providers first, and the one that stores values.
const MODULES: [&str; 4] = ["virtio-net", "tcpip", "httpd", "store"];

/// The port of 127.0.0.1 that leads to the kernel.
#[derive(Clone, Copy)]
struct Page(u16);

impl Page {
    fn url(self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.0)
    }

    /// Asks by `curl`. Returns what it writes, or `None` if it fails.
    fn try_curl(self, options: &[&str], path: &str) -> Option<Vec<u8>> {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--path-as-is", "--max-time", "20"])
            .args(options)
            .arg(self.url(path));
        let output = command.output().unwrap_or_else(|error| panic!("curl; run `make setup`: {error}"));
        output.status.success().then_some(output.stdout)
    }

    /// Asks until there is an answer: QEMU takes a connection before the module listens, and one ends with its module.
    #[track_caller]
    fn curl(self, options: &[&str], path: &str) -> Vec<u8> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(answer) = self.try_curl(options, path) {
                return answer;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("{path}: no answer within {PATIENCE:?}");
    }

    fn get(self, path: &str) -> Vec<u8> {
        self.curl(&["--fail"], path)
    }

    fn modules(self) -> Vec<Value> {
        let report: Value = serde_json::from_slice(&self.get("/modules.json")).unwrap();
        let modules = report["modules"].as_array().unwrap().clone();
        assert_eq!(report["total_modules"], modules.len());
        assert!(report["now_us"].as_u64() > Some(0) && report["memory_bytes"].as_u64() > Some(1 << 20), "{report}");
        modules
    }

    fn module(self, name: &str) -> Value {
        self.modules().into_iter().find(|module| module["name"] == name).unwrap_or_else(|| panic!("{name}"))
    }

    /// Connects, and sends bytes.
    fn send(self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.0)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }

    /// Sends bytes, and finishes. Returns all that comes.
    fn ask(self, bytes: &[u8]) -> String {
        let mut stream = self.send(bytes);
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn load(client: &mut Client, name: &str) {
    let blob = match name {
        "store" => gallery_blob(name),
        "panics" => test_blob(name),
        _ => driver_blob(name),
    };
    let head_s = format!("httpd.head_s={}", HEAD_TIME.as_secs());
    let parameters = if name == "httpd" { &head_s } else { "" };
    let on_fault = Some(if name == "panics" { "restart:0" } else { "restart:1000" });
    let overrides = LoadOverrides { domain: Some("user"), on_fault, parameters, ..LoadOverrides::default() };
    push_with(client, &fs::read(blob).unwrap(), overrides);
}

/// Compares what the page says with what `ps --json` says.
#[track_caller]
fn compare_with_ps(client: &mut Client, page: Page) {
    let found = page.modules();
    let Ok(Response::Modules(listed)) = client.ask(Request::Ps) else { panic!("no list") };
    assert_eq!(found.len(), listed.len());
    for module in &listed {
        let listed = serde_json::to_value(module).unwrap();
        let own = found.iter().find(|own| own["name"] == listed["name"]).unwrap_or_else(|| panic!("{listed}"));
        let mut compared = 0;
        for (name, value) in own.as_object().unwrap() {
            if let Some(wanted) = listed.get(name) {
                assert_eq!(value, wanted, "{name} of {}", module.name);
                compared += 1;
            }
        }
        assert_eq!(compared, own.as_object().unwrap().len() - 2, "but function_calls and starts_in_ms: {own}");
    }
}

fn check_answers(client: &mut Client, page: Page) {
    let html = fs::read(root().join("drivers/httpd/src/page.html")).unwrap();
    assert!(page.get("/") == html);
    let head = String::from_utf8(page.curl(&["--head"], "/")).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("script-src 'sha256-"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", html.len())), "{head}");
    compare_with_ps(client, page);

    let mut number = random(0x9E37_79B9_7F4A_7C15);
    let long: Vec<u8> = (0..8192).flat_map(|_| number().to_le_bytes()).collect();
    for (key, value) in [("a.key", &b"value"[..]), ("empty", b""), ("long", &long)] {
        assert_eq!(put(client, key, value), 0, "{key}");
        assert!(page.get(&format!("/store/{key}")) == value, "{key}");
    }
    assert_eq!(page.get("/store/"), b"a.key\nempty\nlong\n");

    let status = |path: &str| page.curl(&["--output", "/dev/null", "--write-out", "%{http_code}"], path);
    for (path, code) in [("/nothing", b"404"), ("/store/none", b"404"), ("/store/../modules.json", b"404")] {
        assert_eq!(status(path), code, "{path}");
    }
    let foreign = ["--header", "Host: evil.example", "--output", "/dev/null", "--write-out", "%{http_code}"];
    assert_eq!(page.curl(&foreign, "/modules.json"), b"421");
    let posted = page.curl(&["--data", "x=1", "--include"], "/");
    assert!(posted.starts_with(b"HTTP/1.1 405 ") && posted.windows(16).any(|found| found == b"Allow: GET, HEAD"));

    let one = b"GET /store/a.key HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answers = page.ask(&one.repeat(20));
    assert_eq!(answers.matches("\r\n\r\nvalue").count(), 20, "{answers}");
    for (bytes, code) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "400"),
        (b"GET / HTTP/1.1\r\n\r\n", "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "505"),
        (&[b'a'; 4000], "431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "413"),
    ] {
        let answer = page.ask(bytes);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{code}: {answer}");
    }
}

/// Clients that send a part of a request keep no one out, and one that sends a byte each second is given up.
fn check_slow_clients(page: Page) {
    let slow: Vec<_> = (0..SLOW)
        .map(|_| {
            // QEMU itself takes one connection at a time, and has those that come at once wait for a second or more.
            sleep(Duration::from_millis(10));
            page.send(b"GET /modules.json HTTP/1.1\r\nHost: ")
        })
        .collect();
    let start = Instant::now();
    assert!(!page.get("/modules.json").is_empty());
    println!("an answer beside {SLOW} slow clients: {:?}", start.elapsed());
    drop(slow);
    let (mut slowest, start) = (page.send(b"G"), Instant::now());
    slowest.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = [0; 12];
    // Each time that nothing comes within a second, it sends the next byte.
    while let Err(error) = slowest.read_exact(&mut answer) {
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        slowest.write_all(b"E").unwrap();
        assert!(!page.get("/modules.json").is_empty());
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
    let took = start.elapsed();
    assert!((HEAD_TIME..4 * HEAD_TIME).contains(&took), "{took:?}");
}

#[test]
fn the_page_shows_what_is_there_whatever_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    let page = Page(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let network = Network::parse(&format!("tcp:{}:80", page.0)).unwrap();
    with_kernel(
        |machine| (machine.network, machine.data_disk) = (Some(network), Some(disk)),
        |client| {
            let mut before = None;
            for round in 0..2 {
                let start = Instant::now();
                MODULES.iter().for_each(|name| load(client, name));
                if round == 0 {
                    check_answers(client, page);
                    println!("the answers: {:?}", start.elapsed());
                    check_slow_clients(page);
                }
                // Each may be replaced while the others go on.
                for name in ["httpd", "tcpip", "virtio-net", "httpd"] {
                    let generation = page.module(name)["generation"].as_u64();
                    load(client, name);
                    assert_eq!(page.module(name)["generation"].as_u64(), generation.map(|before| before + 1), "{name}");
                    assert_eq!(page.get("/store/long").len(), 65_536);
                }
                println!("with the reloads: {:?}", start.elapsed());
                load(client, "panics");
                assert_eq!(page.module("panics")["state"], "loaded");
                let panics = Request::Call { module: "panics", input: b"", repeat: 1 };
                assert!(client.ask(panics).is_err());
                let found = page.module("panics");
                assert_eq!((&found["faults"], &found["state"]), (&1.into(), &"faulted".into()));
                let restarts: Vec<_> = MODULES.iter().map(|name| page.module(name)["restarts"].to_string()).collect();
                println!("restarts of {MODULES:?}: {restarts:?}");
                for module in ["panics", "httpd", "store", "tcpip", "virtio-net"] {
                    unload(client, module);
                }
                // Tables of addresses that were in use once stay, so the second round is compared with the first.
                let pages = pages(client);
                assert_eq!(*before.get_or_insert(pages), pages);
            }
        },
    );
}
