//! The traps of WebAssembly: each is a fault of its own kind, in the kernel and in a process, in both domains.
//!
//! The module is made byte by byte. Its input says which of its instructions it executes.

mod common;

use bareflow::client::upload;
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{FLAG_INIT, FORMAT_VERSION, Header, MACHINE_X86_64, MAGIC};
use bareflow_abi::record::TRAPS;
use bareflow_abi::traps::{TrapKind, TrapSite};
use bareflow_loader::{Domain, FaultKind, FaultPolicy, LoadOptions};
use bareflow_protocol::control::{LoadOverrides, Push};
use bareflow_protocol::{Request, Response};
use common::mutate::{file, with_header};
use common::server::{Local, refusal};
use common::{assert_code, bareflow, kernel, text};
use serde_json::Value;

/// The size of each piece of code that the input may name.
const PIECE: usize = 4;

/// `ud2`, and room behind it.
const UD2: [u8; PIECE] = [0x0f, 0x0b, 0x90, 0x90];

/// `xor ecx, ecx; div ecx`.
const DIVISION: [u8; PIECE] = [0x31, 0xc9, 0xf7, 0xf1];

/// `xor eax, eax; mov al, [rax]`.
const READ: [u8; PIECE] = [0x31, 0xc0, 0x8a, 0x00];

/// A piece of code, the offset in it of an instruction that faults, the trap that the blob lists there, and the kind of the
/// fault.
type Piece = ([u8; PIECE], u32, Option<TrapKind>, FaultKind);

const PIECES: [Piece; 13] = [
    (UD2, 0, Some(TrapKind::Unreachable), FaultKind::WasmUnreachable),
    (UD2, 0, Some(TrapKind::OutOfBoundsMemoryAccess), FaultKind::WasmOutOfBoundsMemoryAccess),
    (UD2, 0, Some(TrapKind::OutOfBoundsTableAccess), FaultKind::WasmOutOfBoundsTableAccess),
    (UD2, 0, Some(TrapKind::UninitializedElement), FaultKind::WasmUninitializedElement),
    (UD2, 0, Some(TrapKind::IndirectCallTypeMismatch), FaultKind::WasmIndirectCallTypeMismatch),
    (UD2, 0, Some(TrapKind::IntegerDivideByZero), FaultKind::WasmIntegerDivideByZero),
    (UD2, 0, Some(TrapKind::IntegerOverflow), FaultKind::WasmIntegerOverflow),
    (UD2, 0, Some(TrapKind::InvalidConversionToInteger), FaultKind::WasmInvalidConversionToInteger),
    (UD2, 0, None, FaultKind::InvalidOpcode),
    (DIVISION, 2, Some(TrapKind::IntegerDivideByZero), FaultKind::WasmIntegerDivideByZero),
    (DIVISION, 2, None, FaultKind::Divide),
    // The list says what can't be.
    (DIVISION, 2, Some(TrapKind::Unreachable), FaultKind::Divide),
    (READ, 2, Some(TrapKind::OutOfBoundsMemoryAccess), FaultKind::PageRead),
];

/// The offset of the first piece in the text.
const FIRST: usize = 24;

/// Returns the text: the code that goes to the piece that the input names, the pieces, and a return for any other input.
fn code() -> Vec<u8> {
    let pieces = PIECES.map(|(code, ..)| code).concat();
    let dispatch = [
        &[0x48, 0x8b, 0x47, 0x18][..],                    // mov rax, [rdi + 24], the input
        &[0x0f, 0xb6, 0x00],                              // movzx eax, byte [rax]
        &[0x3c, PIECES.len() as u8],                      // cmp al, the number of pieces
        &[0x73, (FIRST - 11 + pieces.len()) as u8],       // jae behind them
        &[0x48, 0x8d, 0x0d, (FIRST - 18) as u8, 0, 0, 0], // lea rcx, [rip + 6], the first piece
        &[0x48, 0x8d, 0x04, 0x81],                        // lea rax, [rcx + 4 * rax]
        &[0xff, 0xe0],                                    // jmp rax
    ]
    .concat();
    assert_eq!(dispatch.len(), FIRST);
    // xor eax, eax; ret
    [&dispatch[..], &pieces, &[0x31, 0xc0, 0xc3]].concat()
}

fn offset(piece: usize) -> u32 {
    (FIRST + piece * PIECE) as u32 + PIECES[piece].1
}

/// Returns the blob, with the list of its traps.
fn blob() -> Vec<u8> {
    let (code, mut list, mut before) = (code(), Vec::new(), 0);
    for (number, (_, _, kind, _)) in PIECES.iter().enumerate() {
        if let Some(kind) = *kind {
            let site = TrapSite { offset: offset(number), kind };
            site.encode(before, &mut |part| list.extend_from_slice(part));
            before = site.offset;
        }
    }
    let mut header = Header {
        magic: MAGIC,
        format: FORMAT_VERSION,
        machine: MACHINE_X86_64,
        abi_major: 1,
        abi_minor: 4,
        abi_fingerprint: FINGERPRINTS[4],
        version_major: 1,
        text_size: code.len() as u32,
        alignment: 16,
        record_size: 8 + list.len() as u32,
        cpu_level: 1,
        ..Header::default()
    };
    header.name[..5].copy_from_slice(b"traps");
    let record = [&TRAPS.to_le_bytes()[..], &(list.len() as u32).to_le_bytes(), &list].concat();
    with_header(&[&header.to_bytes()[..], &code, &record].concat(), |_| ())
}

/// Returns the blob with its first trap as its entry, and an `init`.
fn blob_that_traps_in_init() -> Vec<u8> {
    with_header(&blob(), |header| (header.entry, header.flags) = (FIRST as u32, FLAG_INIT))
}

/// Executes each piece by `call`, which returns the error of a call that faults.
fn check(whose: &str, call: &mut dyn FnMut(&[u8]) -> Result<i32, String>) {
    for (number, (.., kind)) in PIECES.iter().enumerate() {
        let error = call(&[number as u8]).unwrap_err();
        let expected = format!("faulted: {kind} at offset {:#x}", offset(number));
        assert!(error.contains(&expected), "{whose}, piece {number}: {error}, expected {expected}");
        assert_eq!(call(b"\xff"), Ok(0), "{whose}, after piece {number}");
    }
}

#[test]
fn each_has_its_kind_in_a_process() {
    for domain in Domain::ALL {
        let local = Local::new(LoadOptions { domain, on_fault: FaultPolicy::Restart, ..LoadOptions::default() });
        local.load(&blob());
        check(&format!("process, {domain:?}"), &mut |input| match local.ask(Request::Call {
            module: "traps",
            input,
            repeat: 1,
        }) {
            Response::Called(called) => Ok(called.result),
            answer => Err(refusal(answer)),
        });
        let error = refusal(local.push(&blob_that_traps_in_init(), |_| ()));
        assert!(error.contains(&format!("init faulted: wasm_unreachable at offset {FIRST:#x}")), "{domain:?}: {error}");
    }
}

#[test]
fn each_has_its_kind_in_the_kernel() {
    kernel::with_kernel(
        |_| (),
        |client| {
            for domain in Domain::ALL {
                let overrides = LoadOverrides {
                    domain: Some(domain.name()),
                    on_fault: Some("restart"),
                    ..LoadOverrides::default()
                };
                let push = Push { label: "test", overrides, beside: false, gate: None };
                upload(client, &blob(), &mut |_, _| ()).unwrap();
                client.ask(Request::Push(push)).unwrap();
                check(&format!("kernel, {domain:?}"), &mut |input| match client.ask(Request::Call {
                    module: "traps",
                    input,
                    repeat: 1,
                }) {
                    Ok(Response::Called(called)) => Ok(called.result),
                    Err(error) => Err(error.to_string()),
                    other => panic!("{other:?}"),
                });
                upload(client, &blob_that_traps_in_init(), &mut |_, _| ()).unwrap();
                let error = client.ask(Request::Push(push)).unwrap_err().to_string();
                let expected = format!("init faulted: wasm_unreachable at offset {FIRST:#x}");
                assert!(error.contains(&expected), "{domain:?}: {error}");
            }
        },
    );
}

#[test]
fn inspect_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let (path, json) = (file(folder.path(), "traps.mod", &blob()), folder.path().join("inspection.json"));
    let output = bareflow(["inspect".into(), path, "--json".into(), json.clone()]);
    assert_code(&output, 0);
    assert!(text(&output).contains("\nTrap sites: 11\n"), "{}", text(&output));
    let inspection: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(inspection["traps"], 11);
}
