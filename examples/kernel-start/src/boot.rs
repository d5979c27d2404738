//! The boot, the console and the exit.

use core::arch::global_asm;
use core::fmt::Write;
use core::ops::Range;

use x86_64::instructions::hlt;
use x86_64::instructions::port::Port;

use crate::memory::{self, KERNEL_BASE};

global_asm!(
    ".section .note.pvh, \"a\", @note",
    ".long 4, 8, 18",
    ".asciz \"Xen\"",
    ".quad start - {base}",
    ".text",
    ".code32",
    ".global start",
    "start: cld",
    // Maps 1 GiB in pages of 2 MiB, at 0 and at the map of all physical memory, and the first 64 MiB where the kernel
    // runs.
    "mov eax, 0x83",
    "mov edi, offset low - {base}",
    "mov ecx, 512",
    "2: mov [edi], eax",
    "add eax, 0x200000",
    "add edi, 8",
    "dec ecx",
    "jnz 2b",
    "mov eax, 0x83",
    "mov edi, offset kernel - {base}",
    "mov ecx, 32",
    "3: mov [edi], eax",
    "add eax, 0x200000",
    "add edi, 8",
    "dec ecx",
    "jnz 3b",
    "mov eax, offset low - {base} + 3",
    "mov [middle - {base}], eax",
    "mov eax, offset kernel - {base} + 3",
    "mov [high - {base} + 510 * 8], eax",
    "mov eax, offset middle - {base} + 3",
    "mov [root - {base}], eax",
    "mov [root - {base} + 256 * 8], eax",
    "mov eax, offset high - {base} + 3",
    "mov [root - {base} + 511 * 8], eax",
    // Enables PAE and SSE, long mode and no-execute, paging and write protection.
    "mov eax, 0x620",
    "mov cr4, eax",
    "mov eax, offset root - {base}",
    "mov cr3, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 0x900",
    "wrmsr",
    "mov eax, 0x80010003",
    "mov cr0, eax",
    "lgdt [gdt_pointer - {base}]",
    "mov esp, offset stack_end - {base}",
    "push 8",
    "mov eax, offset long_mode - {base}",
    "push eax",
    "retf",
    ".code64",
    "long_mode: mov rax, offset high_half",
    "jmp rax",
    "high_half: mov rsp, offset stack_end",
    "xor eax, eax",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "call {main}",
    ".section .rodata",
    ".balign 8",
    "gdt: .quad 0, 0x00209a0000000000",
    "gdt_pointer: .word 15",
    ".long gdt - {base}",
    ".section .bss, \"aw\", @nobits",
    ".balign 4096",
    "root: .skip 4096",
    "middle: .skip 4096",
    "high: .skip 4096",
    "low: .skip 4096",
    "kernel: .skip 4096",
    ".skip 64 * 1024",
    "stack_end:",
    ".text",
    base = const KERNEL_BASE,
    main = sym main,
);

unsafe extern "C" {
    safe fn kernel_main() -> bool;
}

extern "C" fn main() -> ! {
    memory::init();
    leave(if kernel_main() { 0x10 } else { 0x11 })
}

/// Returns the addresses of the kernel's code and data, with its stack.
pub fn image() -> Range<u64> {
    unsafe extern "C" {
        safe static __image_start: u8;
        safe static __image_end: u8;
    }
    &raw const __image_start as u64..&raw const __image_end as u64
}

/// Returns the page table of the lower half whose entries map 1 GiB each; the first is in use.
pub fn middle_table() -> *mut [u64; 512] {
    unsafe extern "C" {
        safe static middle: [u64; 512];
    }
    (&raw const middle).cast_mut()
}

/// The console: COM1.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            // SAFETY: COM1's data port; QEMU takes a byte at any time.
            unsafe { Port::new(0x3f8).write(byte) };
        }
        Ok(())
    }
}

fn leave(value: u32) -> ! {
    // SAFETY: the port of QEMU's exit device.
    unsafe { Port::new(0xf4).write(value) };
    loop {
        hlt();
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Console, "{info}");
    leave(0x12)
}
