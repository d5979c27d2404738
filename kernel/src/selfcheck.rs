//! The kernel checks itself: every kind of fault a module can raise in ring 0
//! by itself is contained, all memory comes back, no page is writable and
//! executable. Reached by `selfcheck=1` on the command line.

use bareflow_abi::{Context, Reason};
use bareflow_loader::report::Style;
use bareflow_loader::{Call, Draft, FaultKind, ImageSize, Name, Platform, PlatformError, line};

use crate::console::KernelConsole;
use crate::memory::{frames, tables};
use crate::platform::KernelPlatform;

/// A piece of code, and what comes of it.
type Snippet = (&'static str, &'static [u8], Result<i32, FaultKind>);

/// Hand-assembled modules.
const SNIPPETS: [Snippet; 25] = [
    ("return 6765", &[0xb8, 0x6d, 0x1a, 0, 0, 0xc3], Ok(6765)),
    ("divide by zero", &[0x31, 0xd2, 0x31, 0xc9, 0xf7, 0xf1], Err(FaultKind::Divide)),
    ("int3", &[0xcc], Err(FaultKind::Breakpoint)),
    ("ud2", &[0x0f, 0x0b], Err(FaultKind::InvalidOpcode)),
    ("panic", &[0x0f, 0xb9, 0x40, 0x62], Err(FaultKind::Panic)),
    ("read null", &[0x31, 0xc0, 0x8b, 0x00, 0xc3], Err(FaultKind::PageRead)),
    ("write null", &[0x31, 0xc0, 0x89, 0x00, 0xc3], Err(FaultKind::PageWrite)),
    ("execute null", &[0x31, 0xc0, 0xff, 0xe0], Err(FaultKind::PageExecute)),
    ("write own text", &[0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x89, 0x00, 0xc3], Err(FaultKind::PageWrite)),
    ("write own rodata", &[0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0x3f, 0x89, 0x00, 0xc3], Err(FaultKind::PageWrite)),
    ("execute own data", &[0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0x4f, 0xff, 0xe0], Err(FaultKind::PageExecute)),
    ("non-canonical address", &[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8b, 0x00], Err(FaultKind::GeneralProtection)),
    ("stack overflow", &[0x50, 0xeb, 0xfd], Err(FaultKind::StackOverflow)),
    ("lost stack pointer", &[0x31, 0xe4, 0x50], Err(FaultKind::PageWrite)),
    ("x87 exception", X87, Err(FaultKind::X87)),
    ("clobber rbx", &[0x31, 0xdb, 0xc3], Err(FaultKind::ClobberedRegister)),
    ("clobber r15", &[0x4d, 0x31, 0xff, 0xc3], Err(FaultKind::ClobberedRegister)),
    ("set direction flag", &[0xfd, 0xc3], Err(FaultKind::ClobberedRegister)),
    ("change MXCSR", &[0x6a, 0x00, 0x0f, 0xae, 0x14, 0x24, 0x58, 0xc3], Err(FaultKind::ClobberedRegister)),
    ("set interrupt flag", &[0xfb, 0xc3], Err(FaultKind::ClobberedRegister)),
    ("int 8", &[0xcd, 8, 0xc3], Err(FaultKind::GeneralProtection)),
    ("int 14", &[0xcd, 14, 0xc3], Err(FaultKind::GeneralProtection)),
    ("int 18", &[0xcd, 18, 0xc3], Err(FaultKind::GeneralProtection)),
    ("log where the stack ends", LOG_LOW, Ok(6765)),
    ("return 6765 again", &[0xb8, 0x6d, 0x1a, 0, 0, 0xc3], Ok(6765)),
];

/// `fninit; push 0; fldcw [rsp]; fld1; fldz; fdivp; fwait; pop rax; ret`
const X87: &[u8] = &[0xdb, 0xe3, 0x6a, 0, 0xd9, 0x2c, 0x24, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x9b, 0x58, 0xc3];

/// Logs its own first four bytes with all but 256 bytes of the stack used up,
/// and with the direction flag set:
/// `mov rax, [rdi + 8]; mov rax, [rax + 8]; push rbx; mov rbx, rsp; lea rsp, [rsp - 65280]; and rsp, -16;`
/// `lea rsi, [rip - 31]; mov edx, 4; std; call rax; mov rsp, rbx; pop rbx; mov eax, 6765; ret`
const LOG_LOW: &[u8] = &[
    0x48, 0x8b, 0x47, 0x08, 0x48, 0x8b, 0x40, 0x08, 0x53, 0x48, 0x89, 0xe3, 0x48, 0x8d, 0xa4, 0x24, 0x00, 0x01, 0xff,
    0xff, 0x48, 0x83, 0xe4, 0xf0, 0x48, 0x8d, 0x35, 0xe1, 0xff, 0xff, 0xff, 0xba, 4, 0, 0, 0, 0xfd, 0xff, 0xd0, 0x48,
    0x89, 0xdc, 0x5b, 0xb8, 0x6d, 0x1a, 0, 0, 0xc3,
];

/// Runs all checks and says whether they hold.
pub fn run(platform: KernelPlatform) -> bool {
    let console = &mut KernelConsole;
    // The first image makes tables that stay.
    let _ = execute(&platform, SNIPPETS[0].1);
    let before = frames::free_frames();
    let mut passed = true;
    for (name, code, expected) in SNIPPETS {
        let found = execute(&platform, code);
        let holds = found == Ok(expected);
        passed &= holds;
        let (style, verdict) = if holds { (Style::Good, "[OK]") } else { (Style::Bad, "[FAIL]") };
        bareflow_loader::report::Console::show(console, style, format_args!("{verdict}"));
        line!(console, Plain, " {name}: {found:?}");
    }
    let after = frames::free_frames();
    let (pages, bad) = tables::survey();
    line!(console, Plain, "free frames: {before} before, {after} behind");
    line!(console, Plain, "pages: {pages}, writable and executable: {bad}");
    passed && before == after && bad == 0
}

/// Places `code` as a module with a page of rodata and one of data, and calls it.
fn execute(platform: &KernelPlatform, code: &[u8]) -> Result<Result<i32, FaultKind>, PlatformError> {
    let size = ImageSize { text: code.len(), rodata: 4096, data: 4096, alignment: 16 };
    let mut draft = platform.reserve(size)?;
    draft.text().copy_from_slice(code);
    let entry = draft.base();
    let image = platform.seal(draft)?;
    let (_, bad) = tables::survey();
    let mut context = Context::new(platform.services(), &[], &mut []);
    let Some(name) = Name::new("selfcheck") else { return Ok(Ok(0)) };
    let call = Call { module: &name, image: &image, entry, reason: Reason::Run };
    let result = platform.call(&call, &mut context).map_err(|fault| fault.kind);
    platform.release(image);
    Ok(if bad == 0 { result } else { Err(FaultKind::PageExecute) })
}
