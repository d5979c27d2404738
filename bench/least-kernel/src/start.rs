//! Boots by PVH, maps memory, prints and exits: what every kernel already has.

use core::arch::{asm, global_asm};
use core::fmt::Write;

use linked_list_allocator::LockedHeap;

/// The size of each segment's range, in bytes.
pub const PAGE: u64 = 2 << 20;

/// The address where an image's text executes. Its rodata and data lie at the loader's distances from there.
#[cfg_attr(feature = "without-loader", expect(dead_code, reason = "no image is placed"))]
pub const TEXT: u64 = 1 << 30;

/// The address where the three segments are writable, one after the other.
pub const TEXT_ALIAS: u64 = 4 << 20;

/// The address of the heap, which is one page.
const HEAP: u64 = 16 << 20;

#[global_allocator]
static ALLOCATOR: LockedHeap = LockedHeap::empty();

static BLOB: &[u8] = include_bytes!(env!("BAREFLOW_ARCHIVE"));

global_asm!(
    ".section .note.pvh, \"a\", @note",
    ".long 4, 8, 18",
    ".asciz \"Xen\"",
    ".quad start",
    ".text",
    ".code32",
    ".global start",
    "start: cld",
    // Identity-maps 1 GiB in pages of 2 MiB; then maps text, rodata and data with their own permissions.
    "mov eax, 0x83",
    "mov edi, offset low",
    "mov ecx, 512",
    "2: mov [edi], eax",
    "add eax, 0x200000",
    "add edi, 8",
    "dec ecx",
    "jnz 2b",
    "mov dword ptr [text], 0x400081",
    "mov dword ptr [others], 0x600081",
    "mov dword ptr [others + 4], 0x80000000",
    "mov dword ptr [others + 128 * 8], 0x800083",
    "mov dword ptr [others + 128 * 8 + 4], 0x80000000",
    "mov eax, offset low + 3",
    "mov [middle], eax",
    "mov eax, offset text + 3",
    "mov [middle + 8], eax",
    "mov eax, offset others + 3",
    "mov [middle + 16], eax",
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
    "text: .skip 4096",
    "others: .skip 4096",
    ".skip 64 * 1024",
    "stack_end:",
    ".text",
    main = sym main,
);

extern "C" fn main() -> ! {
    // SAFETY: the page is mapped, and nothing else lies there.
    unsafe { ALLOCATOR.lock().init(HEAP as *mut u8, PAGE as usize) };
    let result = crate::embedding::run(BLOB);
    let _ = match result {
        Some((result, cycles)) => writeln!(Serial, "sum.mod: {result} in {cycles} cycles"),
        None => writeln!(Serial, "sum.mod: refused"),
    };
    leave(if result.is_some_and(|(result, _)| result == 5050) { 0x10 } else { 0x11 })
}

/// Returns the writable memory of one segment.
pub fn segment(address: u64) -> &'static mut [u8] {
    // SAFETY: the page is mapped writable, and only the one image is ever placed.
    unsafe { core::slice::from_raw_parts_mut(address as *mut u8, PAGE as usize) }
}

/// Reads the processor's cycle counter.
pub fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
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
