//! Boots by PVH, maps memory, prints and exits: what every kernel already has.

use core::arch::{asm, global_asm};
use core::fmt::Write;

/// The modules, as built by `cargo build`.
static SUM: &[u8] = include_bytes!(concat!(env!("BAREFLOW_ARCHIVE"), "/sum.mod"));
static PRIMES: &[u8] = include_bytes!(concat!(env!("BAREFLOW_ARCHIVE"), "/primes.mod"));

global_asm!(
    ".section .note.pvh, \"a\", @note",
    ".long 4, 8, 18",
    ".asciz \"Xen\"",
    ".quad start",
    ".text",
    ".code32",
    ".global start",
    "start: cld",
    // Identity-maps 1 GiB in pages of 2 MiB.
    "mov eax, 0x83",
    "mov edi, offset low",
    "mov ecx, 512",
    "2: mov [edi], eax",
    "add eax, 0x200000",
    "add edi, 8",
    "dec ecx",
    "jnz 2b",
    "mov eax, offset low + 3",
    "mov [middle], eax",
    "mov eax, offset middle + 3",
    "mov [root], eax",
    // Enables PAE and SSE, long mode and no-execute, paging and write protection.
    "mov eax, 0x620",
    "mov cr4, eax",
    "mov eax, offset root",
    "mov cr3, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 0x900",
    "wrmsr",
    "mov eax, 0x80010003",
    "mov cr0, eax",
    "lgdt [gdt_pointer]",
    "mov esp, offset stack_end",
    "push 8",
    "mov eax, offset long_mode",
    "push eax",
    "retf",
    ".code64",
    "long_mode: xor eax, eax",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "call {main}",
    ".section .rodata",
    ".balign 8",
    "gdt: .quad 0, 0x00209a0000000000",
    "gdt_pointer: .word 15",
    ".long gdt",
    ".section .bss, \"aw\", @nobits",
    ".balign 4096",
    "root: .skip 4096",
    "middle: .skip 4096",
    "low: .skip 4096",
    ".skip 64 * 1024",
    "stack_end:",
    ".text",
    main = sym main,
);

extern "C" fn main() -> ! {
    crate::memory::init();
    let results = crate::embedding::run(SUM, PRIMES);
    let _ = match results {
        Some([sum, primes]) => writeln!(Serial, "sum: {sum}, primes: {primes}"),
        None => writeln!(Serial, "a module was refused"),
    };
    leave(if results == Some([5050, 168]) { 0x10 } else { 0x11 })
}

struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            // SAFETY: COM1's data port; QEMU takes a byte at any time.
            unsafe { asm!("out dx, al", in("dx") 0x3f8_u16, in("al") byte, options(nomem, nostack)) };
        }
        Ok(())
    }
}

fn leave(value: u32) -> ! {
    // SAFETY: the port of QEMU's exit device.
    unsafe { asm!("out dx, eax", in("dx") 0xf4_u16, in("eax") value, options(nomem, nostack)) };
    loop {}
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Serial, "{info}");
    leave(0x12)
}
