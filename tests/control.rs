//! Clients that come by TCP: through a card's driver, a stack and `control`, three modules, to the kernel's channel.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bareflow::client::{Client, upload};
use bareflow::options::{ConnectOptions, Network};
use bareflow::serve::token;
use bareflow_loader::Domain;
use bareflow_protocol::control::{Envelope, LoadOverrides, RefusalCode};
use bareflow_protocol::{Decoder, Message, Request, Response};
use common::kernel::{call, push, push_with, with_kernel};
use common::{assert_code, bareflow, blob, driver_blob};

/// Connects by TCP as a command does.
fn connect(port: u16, token: &Path) -> Client {
    let tcp = Some(format!("127.0.0.1:{port}"));
    let options =
        ConnectOptions { tcp, token: Some(token.to_owned()), socket: None, port: None, timeout: 60, json: None };
    Client::connect(&options).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Connects without a word, and sends bytes. Returns all that comes back until the other side closes the connection.
fn say(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut came = Vec::new();
    // It may be reset, as not all that was sent was read.
    let _ = stream.read_to_end(&mut came);
    came
}

/// The code of the refusal that is all of an answer.
#[track_caller]
fn refusal(came: &[u8]) -> RefusalCode {
    let mut decoder = Decoder::new();
    decoder.push(came);
    let payload = decoder.next_payload().expect("an answer").unwrap();
    match Message::from_payload(&payload) {
        Ok(Message::Response(_, Response::Refused(refusal))) => refusal.code,
        other => panic!("{other:?}"),
    }
}

fn modules(client: &mut Client) -> Vec<String> {
    match client.ask(Request::Ps).unwrap() {
        Response::Modules(modules) => modules.into_iter().map(|module| module.name.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

fn restart(client: &mut Client, module: &str) {
    assert!(matches!(client.ask(Request::Restart { module }), Ok(Response::Done)), "{module}");
}

struct Setting {
    folder: tempfile::TempDir,
    port: u16,
    token: PathBuf,
}

#[test]
fn clients_come_by_tcp_whatever_is_replaced_on_the_way() {
    let [net, tcpip, control] = ["virtio-net", "tcpip", "control"].map(|name| fs::read(driver_blob(name)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let token = token::create(&path).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut network = Network::default();
    assert!(network.forward(port, 7777));
    let at = Setting { folder, port, token: path };
    with_kernel(
        |machine| {
            machine.network = Some(network);
            machine.options.token = Some(token);
        },
        |port| {
            for driver in [&net, &tcpip, &control] {
                // A handler's time is the machine's: on one that has much else to do, it may be over early.
                let policy = Some("restart:1000000");
                push_with(
                    port,
                    driver,
                    LoadOverrides { domain: Some("user"), on_fault: policy, ..LoadOverrides::default() },
                );
            }
            several_at_once(&at);
            strangers_get_nowhere(&at);
            // Those that come afterwards try again until the places are free.
            one_too_many_is_turned_away(&at, port);
            modules_on_the_way_are_replaced(&at, port, &tcpip, &control);
            let mut last = connect(at.port, &at.token);
            assert!(modules(&mut last).contains(&"control".to_owned()));
        },
    );
}

/// Pushes and calls by several clients.
fn several_at_once(at: &Setting) {
    let mut clients: Vec<_> = (0..4).map(|_| connect(at.port, &at.token)).collect();
    let sum = fs::read(blob("sum")).unwrap();
    for client in &mut clients {
        push(client, &sum, Domain::User, "");
    }
    for client in &mut clients {
        assert_eq!(call(client, "sum", b"").result, 5050);
    }
    // A blob of 1 MiB, which is none.
    let noise: Vec<u8> = (0..1_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    upload(&mut clients[0], &noise, &mut |_, _| ()).unwrap();
    assert_eq!(call(&mut clients[1], "primes", b"").result, 168);
    // The command has its token from a file.
    let address = format!("127.0.0.1:{}", at.port);
    let ps = |token: &Path| bareflow(["ps", "--tcp", &address, "--token", token.to_str().unwrap()]);
    assert_code(&ps(&at.token), 0);
    let wrong = at.folder.path().join("wrong");
    fs::write(&wrong, "0".repeat(32)).unwrap();
    let refused = ps(&wrong);
    assert_code(&refused, 1);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a wrong token"), "{refused:?}");
}

/// Connects as many clients as there may be, and one more.
fn one_too_many_is_turned_away(at: &Setting, port: &mut Client) {
    let clients: Vec<_> = (0..8).map(|_| connect(at.port, &at.token)).collect();
    assert_eq!(say(at.port, b""), b"");
    drop(clients);
    let lines = match port.ask(Request::Log { from: 0 }) {
        Ok(Response::Log { lines, .. }) => lines,
        other => panic!("{other:?}"),
    };
    let said = lines.iter().filter(|line| line.contains("control: a client was turned away")).count();
    assert_eq!(said, 1, "{lines:#?}");
}

/// Tries what those do who have no token, many times, and leaves connections open.
fn strangers_get_nowhere(at: &Setting) {
    let frame = |request| Envelope { request_id: 1, request }.to_frame();
    for _ in 0..4 {
        assert_eq!(refusal(&say(at.port, &frame(Request::Shutdown))), RefusalCode::WrongToken);
        assert_eq!(refusal(&say(at.port, &frame(Request::Token { token: [0; 16] }))), RefusalCode::WrongToken);
        assert_eq!(refusal(&say(at.port, b"GET / HTTP/1.1\r\n\r\n")), RefusalCode::WrongToken);
    }
    // What is more than a token is not waited for.
    say(at.port, &vec![0xff; 100_000]);
    let mut idle: Vec<_> = (0..8).map(|_| TcpStream::connect(("127.0.0.1", at.port)).unwrap()).collect();
    idle.iter_mut().for_each(|stream| stream.write_all(&frame(Request::Ps)[..5]).unwrap());
    // As many as there may be, which wait for no token for ever.
    let began = Instant::now();
    assert_eq!(call(&mut connect(at.port, &at.token), "sum", b"").result, 5050);
    println!("a client is served {:?} after strangers took all links", began.elapsed());
    drop(idle);
    assert_eq!(call(&mut connect(at.port, &at.token), "sum", b"").result, 5050);
}

/// Replaces `control` under a client that goes on, and restarts the stack, after which clients come anew.
fn modules_on_the_way_are_replaced(at: &Setting, port: &mut Client, tcpip: &[u8], control: &[u8]) {
    let mut client = connect(at.port, &at.token);
    for _ in 0..3 {
        // Its own bytes pass through what it replaces.
        push(&mut client, control, Domain::User, "");
        assert_eq!(call(&mut client, "sum", b"").result, 5050);
    }
    push(port, control, Domain::Kernel, "");
    assert_eq!(call(&mut client, "sum", b"").result, 5050);
    drop(client);
    for module in ["control", "virtio-net", "tcpip"] {
        restart(port, module);
        assert_eq!(call(&mut connect(at.port, &at.token), "sum", b"").result, 5050, "{module}");
    }
    push(port, tcpip, Domain::User, "");
    assert_eq!(call(&mut connect(at.port, &at.token), "sum", b"").result, 5050);
}
