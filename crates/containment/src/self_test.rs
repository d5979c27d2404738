//! The test of the containment by itself: a few instructions of machine code for each class of fault.

use core::fmt::Write;

use bareflow_abi::Reason;
use bareflow_loader::{
    Budget, Call, CallFailure, Domain, FaultKind, ImageSize, Name, Placement, Platform, Timing, WritableImage,
};

use crate::image::Image;
use crate::platform::Contained;

/// The result that a call returns, or the fault that ends it.
type Outcome = Result<i32, FaultKind>;

/// A class of fault: the code that commits it, and what is expected of it in ring 0 and in ring 3.
struct Class {
    code: &'static [u8],
    kernel: Outcome,
    user: Outcome,
}

impl Class {
    const fn fault(code: &'static [u8], kind: FaultKind) -> Class {
        Class { code, kernel: Err(kind), user: Err(kind) }
    }
}

/// The result of code that commits no fault: `mov eax, 5050; ret`.
const GOOD: Class = Class { code: &[0xb8, 0xba, 0x13, 0, 0, 0xc3], kernel: Ok(5050), user: Ok(5050) };

/// All classes, after code that commits none.
const CLASSES: [Class; 12] = [
    GOOD,
    // An opcode that 64-bit mode lacks.
    Class::fault(&[0x06], FaultKind::InvalidOpcode),
    // xor ecx, ecx; div ecx
    Class::fault(&[0x31, 0xc9, 0xf7, 0xf1], FaultKind::Divide),
    // int3
    Class::fault(&[0xcc], FaultKind::Breakpoint),
    // mov rax, -4096; mov eax, [rax]: no page is ever mapped there.
    Class::fault(&[0x48, 0xc7, 0xc0, 0, 0xf0, 0xff, 0xff, 0x8b, 0], FaultKind::PageRead),
    // mov byte ptr [rip - 7], 0: its own first byte.
    Class::fault(&[0xc6, 0x05, 0xf9, 0xff, 0xff, 0xff, 0], FaultKind::PageWrite),
    // push rsp; ret: onto the stack.
    Class::fault(&[0x54, 0xc3], FaultKind::PageExecute),
    // push rax, for ever.
    Class::fault(&[0x50, 0xeb, 0xfd], FaultKind::StackOverflow),
    // bts rax, 63 of zero; mov eax, [rax]: not an address.
    Class::fault(&[0x31, 0xc0, 0x48, 0x0f, 0xba, 0xe8, 0x3f, 0x8b, 0], FaultKind::GeneralProtection),
    // int 32: a tick that is none.
    Class::fault(&[0xcd, 0x20], FaultKind::GeneralProtection),
    // jmp to itself.
    Class::fault(&[0xeb, 0xfe], FaultKind::TimeBudget),
    // xor ebp, ebp; xor eax, eax; ret: ring 3 may leave it so.
    Class { code: &[0x31, 0xed, 0x31, 0xc0, 0xc3], kernel: Err(FaultKind::ClobberedRegister), user: Ok(0) },
];

/// The time of each call, in microseconds, and its stack, in bytes.
const BUDGET: Budget = Budget { time_us: 5_000, stack_bytes: 16 << 10, heap_bytes: 0, data_bytes: 0, memory_bytes: 0 };

/// Commits one fault of every class in ring 0 and in ring 3, writes a line for each outcome, and returns whether each
/// was contained: the outcome is as expected, code that commits no fault still runs, and all memory came back.
///
/// Without ticks, the time budget can't be tried: then this returns false at once.
pub fn self_test(platform: &Contained, out: &mut dyn Write) -> bool {
    let Some(name) = Name::new("self-test").filter(|_| platform.has_ticks()) else { return false };
    let mut all_contained = true;
    for domain in Domain::ALL {
        // The first image of a domain maps pages that stay.
        let _ = run(platform, &name, domain, &GOOD);
        for class in &CLASSES {
            let before = platform.usage();
            let outcome = run(platform, &name, domain, class);
            let expected = if domain == Domain::Kernel { class.kernel } else { class.user };
            let is_contained = outcome == Some(expected)
                && run(platform, &name, domain, &GOOD) == Some(Ok(5050))
                && platform.usage() == before;
            all_contained &= is_contained;
            let verdict = if is_contained { "contained" } else { "NOT CONTAINED" };
            let _ = match outcome {
                Some(Err(kind)) => writeln!(out, "{}: {}: {verdict}", domain.name(), kind.name()),
                Some(Ok(result)) => writeln!(out, "{}: returned {result}: {verdict}", domain.name()),
                None => writeln!(out, "{}: no memory", domain.name()),
            };
        }
    }
    all_contained
}

/// Runs a class's code in an image of its own; `None` if there is no memory for it.
fn run(platform: &Contained, name: &Name, domain: Domain, class: &Class) -> Option<Outcome> {
    let size = ImageSize { text_bytes: class.code.len() as u32, rodata_bytes: 0, data_bytes: 0, alignment: 16 };
    let mut unsealed = platform.allocate(size, &Placement { domain, budget: BUDGET, services: 0 }).ok()?;
    let [text, _, _] = unsealed.segments();
    text.get_mut(..class.code.len())?.copy_from_slice(class.code);
    let image = platform.seal(unsealed).ok()?;
    let outcome = call(platform, name, &image);
    platform.release(image);
    outcome
}

fn call(platform: &Contained, name: &Name, image: &Image) -> Option<Outcome> {
    let entry = image.segments.base;
    // SAFETY: the image is sealed and begins with code of this file, which does nothing but commit its fault.
    let call = unsafe { Call::new(name, image, entry, Reason::Run as u32, &[], Timing::Untimed) }.checked();
    match platform.call(&call, &mut []) {
        Ok(returned) => Some(Ok(returned.outcome.result)),
        Err(CallFailure::Fault(fault)) => Some(Err(fault.kind)),
        Err(CallFailure::NoMemory) => None,
    }
}
