//! The PVH entry of kernels (Xen's `docs/misc/pvh.pandoc`; QEMU's `-kernel`): from 32-bit code to long mode in the upper
//! two gigabytes.

#![no_std]

/// The distance of a kernel's virtual addresses from its physical ones; its linker script says the same.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// The address at which the first page tables map the first [`MAPPED_END`] bytes of physical memory.
pub const PHYSICAL_MAP: u64 = 0xffff_8000_0000_0000;

/// The end of the physical memory that the first page tables map, also at its own addresses.
pub const MAPPED_END: u64 = 4 << 30;

/// Defines the entry, the symbol `pvh_entry`, and its note. It calls an `extern "C" fn(u64, u64) -> !` with the address
/// of `hvm_start_info` and the time-stamp counter at the entry, on a stack of 64 KiB, with SSE, no-execute and write
/// protection enabled.
///
/// The first 64 MiB are mapped where the kernel runs. Entries 4 to 511 of `pvh_low`, the table of the lower half, are
/// unused; each maps 1 GiB.
#[macro_export]
macro_rules! entry {
    ($start:path) => {
        ::core::arch::global_asm!(
            // The note with the entry's address (elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY).
            ".section .note.pvh, \"a\", @note",
            ".balign 4",
            ".long 4, 8, 18",
            ".asciz \"Xen\"",
            ".quad pvh_entry - {base}",
            ".section .text.boot, \"ax\", @progbits",
            ".code32",
            ".global pvh_entry",
            "pvh_entry: cld",
            "mov edi, ebx",
            "rdtsc",
            "mov esi, eax",
            "mov ebp, edx",
            // Page directories: the first 4 GiB, and the kernel's first 64 MiB, in pages of 2 MiB.
            "mov eax, 0x83",
            "mov edx, offset pvh_directories - {base}",
            "mov ecx, 4 * 512",
            "2: mov [edx], eax",
            "add eax, 0x200000",
            "add edx, 8",
            "dec ecx",
            "jnz 2b",
            "mov eax, 0x83",
            "mov ecx, 32",
            "3: mov [edx], eax",
            "add eax, 0x200000",
            "add edx, 8",
            "dec ecx",
            "jnz 3b",
            // One table for the lower half and the physical map, one for the kernel's half.
            "mov eax, offset pvh_directories - {base} + 3",
            "mov edx, offset pvh_low - {base}",
            "mov ecx, 4",
            "4: mov [edx], eax",
            "add eax, 0x1000",
            "add edx, 8",
            "dec ecx",
            "jnz 4b",
            "mov [pvh_high - {base} + 510 * 8], eax",
            "mov eax, offset pvh_low - {base} + 3",
            "mov [pvh_root - {base}], eax",
            "mov [pvh_root - {base} + 256 * 8], eax",
            "mov eax, offset pvh_high - {base} + 3",
            "mov [pvh_root - {base} + 511 * 8], eax",
            // Long mode (Intel SDM volume 3, 11.8.5): PAE and SSE, root, LME and NXE, paging and write protection.
            "mov eax, 0x620",
            "mov cr4, eax",
            "mov eax, offset pvh_root - {base}",
            "mov cr3, eax",
            "mov ecx, 0xc0000080",
            "rdmsr",
            "or eax, 0x900",
            "wrmsr",
            "mov eax, 0x80010003",
            "mov cr0, eax",
            "lgdt [pvh_gdt_pointer - {base}]",
            // A far return, since a far jump to a symbol does not assemble here.
            "mov esp, offset pvh_stack_end - {base}",
            "push 8",
            "mov eax, offset pvh_long_mode - {base}",
            "push eax",
            "retf",
            ".code64",
            "pvh_long_mode: mov rax, offset pvh_high_half",
            "jmp rax",
            "pvh_high_half: mov rsp, offset pvh_stack_end",
            "xor eax, eax",
            "mov ds, eax",
            "mov es, eax",
            "mov ss, eax",
            "mov fs, eax",
            "mov gs, eax",
            // The upper halves of registers are undefined after the switch.
            "mov edi, edi",
            "mov esi, esi",
            "shl rbp, 32",
            "or rsi, rbp",
            "xor ebp, ebp",
            "call {start}",
            "ud2",
            ".section .rodata.boot, \"a\", @progbits",
            ".balign 8",
            "pvh_gdt: .quad 0, 0x00209a0000000000",
            "pvh_gdt_pointer: .word 15",
            ".long pvh_gdt - {base}",
            ".section .bss.boot, \"aw\", @nobits",
            ".balign 4096",
            "pvh_root: .skip 4096",
            ".global pvh_low",
            "pvh_low: .skip 4096",
            "pvh_high: .skip 4096",
            // Four of physical memory, and the kernel's.
            "pvh_directories: .skip 5 * 4096",
            "pvh_stack: .skip 64 * 1024",
            "pvh_stack_end:",
            ".text",
            base = const $crate::KERNEL_BASE,
            start = sym $start,
        );
    };
}
