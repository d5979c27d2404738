//! Linear memories, in the kernel and in a process, in both domains: what is in reach, how they grow, and that nothing is lost.
//!
//! The module is made byte by byte. Its input says what it does with its memory.

mod common;

use bareflow::client::{Client, upload};
use bareflow_abi::fingerprint::FINGERPRINT;
use bareflow_abi::header::{FORMAT_VERSION, Header, MACHINE_X86_64, MAGIC, SERVICE_CALL, SERVICE_GROW, SERVICE_LOG};
use bareflow_abi::memory::{MEMORY_NEEDS_WINDOW, MEMORY_PAGE_SIZE, MemoryRecord, WINDOW_SIZE};
use bareflow_abi::record::MEMORY;
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};
use bareflow_loader::{Domain, FaultPolicy, LoadOptions};
use bareflow_protocol::control::{LoadOverrides, Push};
use bareflow_protocol::{Request, Response};
use common::kernel;
use common::mutate::{file, with_header};
use common::server::{Local, refusal};
use common::{assert_code, bareflow, text};

/// The actions of the module, by the first word of its input; the others are an offset, or a number of pages, and a value.
#[derive(Clone, Copy)]
enum Do {
    /// Reads a byte.
    Read = 0,
    /// Writes a byte.
    Write,
    /// Asks for pages. Returns the number before, or -1.
    Grow,
    /// Returns the number of pages.
    Size,
    /// Logs so many bytes of the memory.
    Log,
    /// Calls another module by arguments in the memory.
    Call,
    /// Reads four bytes.
    ReadFour,
}

/// The code.
const CODE: [u8; 105] = [
    0x53, // push rbx
    0x48, 0x8b, 0x47, 0x18, // mov rax, [rdi + 24], the input
    0x48, 0x8b, 0x08, // mov rcx, [rax]
    0x48, 0x8b, 0x70, 0x08, // mov rsi, [rax + 8]
    0x48, 0x8b, 0x50, 0x10, // mov rdx, [rax + 16]
    0x48, 0x8b, 0x1d, 0xe9, 0xff, 0xff, 0x4f, // mov rbx, [the first word]
    0x4c, 0x8b, 0x47, 0x08, // mov r8, [rdi + 8], the services
    0x83, 0xf9, 0x01, 0x72, 0x15, 0x74, 0x19, // cmp ecx, 1; jb read; je write
    0x83, 0xf9, 0x03, 0x72, 0x1b, 0x74, 0x1f, // cmp ecx, 3; jb grow; je size
    0x83, 0xf9, 0x05, 0x72, 0x27, 0x74, 0x30, // cmp ecx, 5; jb log; je call
    0x8b, 0x04, 0x33, 0x5b, 0xc3, // mov eax, [rbx + rsi]; pop rbx; ret
    0x0f, 0xb6, 0x04, 0x33, 0x5b, 0xc3, // read: movzx eax, byte [rbx + rsi]; pop rbx; ret
    0x88, 0x14, 0x33, 0x31, 0xc0, 0x5b, 0xc3, // write: mov [rbx + rsi], dl; xor eax, eax; pop rbx; ret
    0x41, 0xff, 0x50, 0x28, 0x5b, 0xc3, // grow: call [r8 + 40]; pop rbx; ret
    0x48, 0x8b, 0x05, 0xb9, 0xff, 0xff, 0x4f, // size: mov rax, [the second word]
    0x48, 0xc1, 0xe8, 0x10, 0x5b, 0xc3, // shr rax, 16; pop rbx; ret
    0x48, 0x01, 0xde, 0x41, 0xff, 0x50, 0x08, // log: add rsi, rbx; call [r8 + 8]
    0x31, 0xc0, 0x5b, 0xc3, // xor eax, eax; pop rbx; ret
    0x48, 0x01, 0xde, 0x41, 0xff, 0x50, 0x18, 0x5b, 0xc3, // call: add rsi, rbx; call [r8 + 24]; pop rbx; ret
];

/// The offset of the instruction that reads a byte.
const READ_AT: u32 = 0x35;

/// Returns a blob named `name` with a memory of so many pages at first and at most.
fn blob(name: &str, initial_pages: u32, maximum_pages: u32) -> Vec<u8> {
    // Code that checks bounds itself gets no less.
    let flags = if name == "second" { 0 } else { MEMORY_NEEDS_WINDOW };
    let record = MemoryRecord { words: 0, initial_pages, maximum_pages, flags }.to_bytes();
    let mut header = Header {
        magic: MAGIC,
        format: FORMAT_VERSION,
        machine: MACHINE_X86_64,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        abi_fingerprint: FINGERPRINT,
        version_major: 1,
        text_size: CODE.len() as u32,
        bss_size: 16,
        alignment: 16,
        record_size: 8 + record.len() as u32,
        services: SERVICE_LOG | SERVICE_CALL | SERVICE_GROW,
        cpu_level: 1,
        ..Header::default()
    };
    header.name[..name.len()].copy_from_slice(name.as_bytes());
    let record = [&MEMORY.to_le_bytes()[..], &(record.len() as u32).to_le_bytes(), &record].concat();
    with_header(&[&header.to_bytes()[..], &CODE, &record].concat(), |_| ())
}

/// A module that is loaded somewhere.
struct Loaded<'call> {
    whose: String,
    call: &'call mut dyn FnMut(&[u8]) -> Result<i32, String>,
}

impl Loaded<'_> {
    fn ask(&mut self, what: Do, first: u64, second: u64) -> Result<i32, String> {
        (self.call)(&[what as u64, first, second].map(u64::to_le_bytes).concat())
    }

    #[track_caller]
    fn is(&mut self, what: Do, first: u64, second: u64, expected: i32) {
        assert_eq!(self.ask(what, first, second), Ok(expected), "{}: {} {first:#x}", self.whose, what as u64);
    }

    #[track_caller]
    fn faults(&mut self, what: Do, first: u64, second: u64, kind: &str) {
        let error = self.ask(what, first, second).expect_err(&self.whose);
        assert!(error.contains(&format!("faulted: {kind}")), "{}: {} {first:#x}: {error}", self.whose, what as u64);
    }
}

/// The kind of a fault in the window.
const BEYOND: &str = "wasm_out_of_bounds_memory_access at offset ";

/// Checks a module with one page at first and three at most, which is restarted after faults.
fn check(module: &mut Loaded<'_>) {
    let page = MEMORY_PAGE_SIZE;
    module.is(Do::Size, 0, 0, 1);
    for at in [0, page - 1] {
        module.is(Do::Read, at, 0, 0);
        module.is(Do::Write, at, 7, 0);
        module.is(Do::Read, at, 0, 7);
    }
    // A fault makes the memory what it was at first, whatever was written, and however it had grown.
    module.faults(Do::Read, page, 0, &format!("{BEYOND}{READ_AT:#x}"));
    module.is(Do::Read, page - 1, 0, 0);
    module.is(Do::Grow, 1, 0, 1);
    module.is(Do::Write, page, 9, 0);
    module.is(Do::Read, page, 0, 9);
    module.is(Do::Grow, 0, 0, 2);
    module.is(Do::Grow, 2, 0, -1);
    module.is(Do::Grow, u64::MAX, 0, -1);
    module.is(Do::Grow, u64::MAX / page + 2, 0, -1);
    module.is(Do::Size, 0, 0, 2);
    module.is(Do::Grow, 1, 0, 2);
    module.is(Do::Grow, 1, 0, -1);
    module.is(Do::Write, 3 * page - 1, 5, 0);
    module.is(Do::Read, page, 0, 9);
    module.faults(Do::Write, 3 * page, 1, BEYOND);
    module.is(Do::Size, 0, 0, 1);
    module.is(Do::Grow, 1, 0, 1);
    module.is(Do::Read, page, 0, 0);
    // All that an access by 32 bits reaches is in the window.
    let furthest = u64::from(u32::MAX) * 2;
    for at in [2 * page, 1 << 32, (1 << 32) + page, furthest, WINDOW_SIZE - 4] {
        module.faults(Do::ReadFour, at, 0, BEYOND);
        module.faults(Do::Write, at, 1, BEYOND);
    }
    module.faults(Do::ReadFour, page - 1, 0, BEYOND);
    // A service takes what lies in the memory, and nothing beyond it.
    module.is(Do::Log, page - 3, 3, 0);
    module.faults(Do::Log, page - 3, 4, "bad_service_argument");
    module.faults(Do::Log, page, 1, "bad_service_argument");
    module.is(Do::Call, page - 64, 0, 1);
    module.faults(Do::Call, page - 4, 0, "bad_service_argument");
    module.is(Do::Grow, 1, 0, 1);
    module.is(Do::Log, page - 3, 6, 0);
}

/// Checks that two modules do not see each other's memories.
fn check_apart(first: &mut Loaded<'_>, second: &mut Loaded<'_>) {
    first.is(Do::Write, 8, 1, 0);
    second.is(Do::Read, 8, 0, 0);
    second.is(Do::Write, 8, 2, 0);
    second.is(Do::Grow, 2, 0, 1);
    second.is(Do::Write, 2 * MEMORY_PAGE_SIZE, 3, 0);
    first.is(Do::Size, 0, 0, 1);
    first.is(Do::Read, 8, 0, 1);
    first.faults(Do::Read, 2 * MEMORY_PAGE_SIZE, 0, BEYOND);
    second.is(Do::Read, 2 * MEMORY_PAGE_SIZE, 0, 3);
}

/// Returns the memory that the kernel says is in use once a module was there, so that what all modules of the domain share is.
fn usage_behind_a_first(client: &mut Client, domain: Domain) -> [u64; 2] {
    kernel::push(client, &blob("warm", 0, 0), domain, "");
    assert!(matches!(client.ask(Request::Unload { module: "warm" }), Ok(Response::Unloaded(_))));
    usage(client)
}

/// Returns the memory that the kernel says is in use: pages, shared pages, and its heap.
fn usage(client: &mut Client) -> [u64; 2] {
    match client.ask(Request::Memory).unwrap() {
        Response::Memory { pages, arena_bytes, .. } => [pages, arena_bytes],
        other => panic!("{other:?}"),
    }
}

fn called(answer: Response) -> Result<i32, String> {
    match answer {
        Response::Called(called) => Ok(called.result),
        answer => Err(refusal(answer)),
    }
}

/// Calls a module of a kernel.
fn ask(client: &mut Client, module: &str, input: &[u8]) -> Result<i32, String> {
    match client.ask(Request::Call { module, input, repeat: 1 }) {
        Ok(answer) => called(answer),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn memories_grow_and_are_apart_in_a_process() {
    for domain in Domain::ALL {
        let local = Local::new(LoadOptions { domain, on_fault: FaultPolicy::Restart, ..LoadOptions::default() });
        let names = ["first", "second"];
        names.iter().for_each(|name| drop(local.load(&blob(name, 1, 3))));
        let mut calls = names.map(|module| {
            let local = &local;
            move |input: &[u8]| called(local.ask(Request::Call { module, input, repeat: 1 }))
        });
        let [first, second] = &mut calls;
        let whose = format!("process, {domain:?}");
        let mut first = Loaded { whose: whose.clone(), call: first };
        let mut second = Loaded { whose, call: second };
        check_apart(&mut first, &mut second);
        check(&mut first);
    }
}

#[test]
fn memories_grow_and_are_apart_in_the_kernel() {
    kernel::with_kernel(
        |_| (),
        |client| {
            for domain in Domain::ALL {
                let overrides = LoadOverrides {
                    domain: Some(domain.name()),
                    on_fault: Some("restart"),
                    ..LoadOverrides::default()
                };
                let names = ["first", "second"];
                let before = usage_behind_a_first(client, domain);
                names.iter().for_each(|name| drop(kernel::push_with(client, &blob(name, 1, 3), overrides)));
                let client = std::cell::RefCell::new(&mut *client);
                let mut calls = names.map(|module| {
                    let client = &client;
                    move |input: &[u8]| ask(*client.borrow_mut(), module, input)
                });
                let [first, second] = &mut calls;
                let whose = format!("kernel, {domain:?}");
                let mut first = Loaded { whose: whose.clone(), call: first };
                let mut second = Loaded { whose, call: second };
                check_apart(&mut first, &mut second);
                check(&mut first);
                for name in names {
                    let answer = client.borrow_mut().ask(Request::Unload { module: name }).unwrap();
                    let Response::Unloaded(receipt) = answer else { panic!("{answer:?}") };
                    assert!(receipt.pages_held >= 2 * 16, "{domain:?}: {receipt:?}");
                    assert_eq!(receipt.pages_returned, receipt.pages_held, "{domain:?}: {receipt:?}");
                }
                assert_eq!(usage(&mut client.borrow_mut()), before, "{domain:?}");
            }
        },
    );
}

#[test]
fn memory_that_runs_out_makes_grow_fail_and_loses_nothing() {
    kernel::with_kernel(
        // More than the machine has.
        |machine| machine.options.load.limits.memory_bytes = 1 << 30,
        |client| {
            for domain in Domain::ALL {
                let before = usage_behind_a_first(client, domain);
                let overrides = LoadOverrides {
                    domain: Some(domain.name()),
                    on_fault: Some("restart"),
                    ..LoadOverrides::default()
                };
                kernel::push_with(client, &blob("greedy", 1, 16_384), overrides);
                let mut call = |input: &[u8]| ask(client, "greedy", input);
                let mut module = Loaded { whose: format!("{domain:?}"), call: &mut call };
                let mut pages = 1;
                for step in [256, 16, 1] {
                    while module.ask(Do::Grow, step, 0) == Ok(pages) {
                        pages += step as i32;
                    }
                    module.is(Do::Grow, step, 0, -1);
                    module.is(Do::Size, 0, 0, pages);
                }
                assert!(pages > 512, "{domain:?}: {pages} pages");
                let last = pages as u64 * MEMORY_PAGE_SIZE - 1;
                module.is(Do::Write, last, 6, 0);
                module.is(Do::Read, last, 0, 6);
                // What does not fit is refused, and nothing of it stays.
                let push = Push { label: "test", overrides: LoadOverrides::default(), beside: false, gate: None };
                upload(client, &blob("second", 64, 64), &mut |_, _| ()).unwrap();
                let error = client.ask(Request::Push(push)).unwrap_err().to_string();
                assert!(error.contains("no memory"), "{error}");
                // A fault needs no memory, and gives back what the memory had grown by.
                let mut call = |input: &[u8]| ask(client, "greedy", input);
                let mut module = Loaded { whose: format!("{domain:?}"), call: &mut call };
                module.faults(Do::Read, last + 1, 0, BEYOND);
                module.is(Do::Size, 0, 0, 1);
                module.is(Do::Grow, 256, 0, 1);
                module.is(Do::Read, MEMORY_PAGE_SIZE, 0, 0);
                let answer = client.ask(Request::Unload { module: "greedy" }).unwrap();
                let Response::Unloaded(receipt) = answer else { panic!("{answer:?}") };
                assert_eq!(receipt.pages_returned, receipt.pages_held, "{domain:?}: {receipt:?}");
                assert_eq!(usage(client), before, "{domain:?}");
            }
        },
    );
}

#[test]
fn inspect_shows_a_memory_and_a_budget_refuses_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "first.mod", &blob("first", 2, 65_536));
    let output = bareflow(["inspect".into(), path.clone()]);
    assert_code(&output, 0);
    let expected = "\nLinear memory: 2 pages of 64 KiB, at most 65536; bounds by a window\n";
    assert!(text(&output).contains(expected), "{}", text(&output));
    let output = bareflow(["host".into(), "--budget".into(), "memory=131071".into(), path]);
    assert_code(&output, 1);
    assert!(text(&output).contains("a linear memory of 131072 bytes, expected at most 131071"), "{}", text(&output));
}
