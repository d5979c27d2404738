//! The PVH entry (Xen's `docs/misc/pvh.pandoc`): 32-bit code that switches to long mode, and the reader of the
//! start-of-day structure. The reader fills the same [`BootInfo`] that the `bootloader` crate would pass.

use core::arch::global_asm;

use bootloader_api::BootInfo;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind, MemoryRegions, Optional};
use spin::Once;

use super::kernel_main;
use crate::memory::layout::{KERNEL_BASE, PHYSICAL_MAP};
use crate::power::{ExitCode, exit_qemu};

/// The end of the memory that the first page tables map.
const EARLY_END: u64 = 4 << 30;

/// The first bytes of the structure.
const MAGIC: u32 = 0x336e_c578;

/// The end of the memory that belongs to the firmware.
const LOW_END: u64 = 1 << 20;

/// The longest command line that is read, in bytes.
const COMMAND_LINE_SIZE: usize = 1024;

/// The most regions that are passed on.
const REGIONS: usize = 64;

/// The number of ranges that are in use although the memory map lists them as usable.
const RESERVED: usize = 8;

global_asm!(
    // The note with the entry's address (elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY).
    ".section .note.pvh, \"a\", @note",
    ".balign 4",
    ".long 4, 8, 18",
    ".asciz \"Xen\"",
    ".quad pvh_entry - {base}",
    ".section .text.boot, \"ax\", @progbits",
    ".code32",
    ".global pvh_entry",
    "pvh_entry:",
    "cld",
    "mov edi, ebx",
    "rdtsc",
    "mov [{entered} - {base}], eax",
    "mov [{entered} - {base} + 4], edx",
    // Page directories: the first 4 GiB in pages of 2 MiB.
    "mov eax, 0x83",
    "mov edx, offset early_directories - {base}",
    "mov ecx, 2048",
    "2: mov dword ptr [edx], eax",
    "add eax, 0x200000",
    "add edx, 8",
    "dec ecx",
    "jnz 2b",
    // One table for the low half and the physical map, one for the kernel's half.
    "mov eax, offset early_directories - {base} + 3",
    "mov edx, offset early_low - {base}",
    "mov ecx, 4",
    "3: mov dword ptr [edx], eax",
    "add eax, 0x1000",
    "add edx, 8",
    "dec ecx",
    "jnz 3b",
    "mov eax, offset early_directories - {base} + 3",
    "mov dword ptr [early_high - {base} + 510 * 8], eax",
    "mov eax, offset early_low - {base} + 3",
    "mov dword ptr [early_root - {base}], eax",
    "mov dword ptr [early_root - {base} + 256 * 8], eax",
    "mov eax, offset early_high - {base} + 3",
    "mov dword ptr [early_root - {base} + 511 * 8], eax",
    // Long mode (Intel SDM volume 3, 11.8.5): PAE, root, LME, paging.
    "mov eax, cr4",
    "or eax, 0x20",
    "mov cr4, eax",
    "mov eax, offset early_root - {base}",
    "mov cr3, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 0x900",
    "wrmsr",
    "mov eax, cr0",
    "or eax, 0x80000001",
    "mov cr0, eax",
    "lgdt [early_gdt_pointer - {base}]",
    // A far return, since a far jump to a symbol does not assemble here.
    "mov esp, offset early_stack_end - {base}",
    "push 8",
    "mov eax, offset early_long - {base}",
    "push eax",
    "retf",
    ".code64",
    "early_long: mov rax, offset early_high_half",
    "jmp rax",
    "early_high_half: mov rsp, offset early_stack_end",
    "xor eax, eax",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "mov fs, eax",
    "mov gs, eax",
    "mov edi, edi",
    "call {start}",
    "ud2",
    ".section .rodata.boot, \"a\", @progbits",
    ".balign 8",
    "early_gdt: .quad 0, 0x00209a0000000000",
    "early_gdt_pointer: .word 15",
    ".long early_gdt - {base}",
    ".section .bss.boot, \"aw\", @nobits",
    ".balign 4096",
    "early_root: .skip 4096",
    "early_low: .skip 4096",
    "early_high: .skip 4096",
    "early_directories: .skip 4 * 4096",
    "early_stack: .skip 64 * 1024",
    "early_stack_end:",
    ".text",
    base = const KERNEL_BASE,
    start = sym start,
    entered = sym super::ENTERED,
);

static COMMAND_LINE: Once<([u8; COMMAND_LINE_SIZE], usize)> = Once::new();

/// Returns the command line; empty if the kernel was booted without one.
pub(super) fn command_line() -> &'static str {
    let bytes = COMMAND_LINE.get().and_then(|(bytes, length)| bytes.get(..*length));
    core::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}

/// Reads bytes at a physical address, as far as the first page tables map it.
fn read<const N: usize>(address: u64) -> Option<[u8; N]> {
    let end = address.checked_add(N as u64)?;
    // SAFETY: the first page tables map the first 4 GiB readable, and any bytes are a valid array.
    (end <= EARLY_END).then(|| unsafe { ((PHYSICAL_MAP + address) as *const [u8; N]).read_unaligned() })
}

fn read_u32(address: u64) -> u32 {
    read(address).map_or(0, u32::from_le_bytes)
}

fn read_u64(address: u64) -> u64 {
    read(address).map_or(0, u64::from_le_bytes)
}

/// Reads `hvm_start_info` at the physical address `info`, and joins the common path of booting.
extern "C" fn start(info: u64) -> ! {
    if read_u32(info) != MAGIC {
        exit_qemu(ExitCode::Panicked);
    }
    let modules = read_u32(info + 12);
    let (module_list, command_line) = (read_u64(info + 16), read_u64(info + 24));
    let (memory_map, entries) = (read_u64(info + 40), u64::from(read_u32(info + 48)));
    keep_command_line(command_line);

    // The first module is the boot archive.
    let (archive, archive_length) =
        if modules > 0 { (read_u64(module_list), read_u64(module_list + 8)) } else { (0, 0) };
    let reserved: [(u64, u64); RESERVED] = [
        (0, LOW_END),
        image(),
        page_range(info, 56),
        page_range(module_list, 32 * u64::from(modules)),
        page_range(command_line, COMMAND_LINE_SIZE as u64),
        page_range(memory_map, entries * 24),
        page_range(archive, archive_length),
        (0, 0),
    ];
    let mut regions = [MemoryRegion::empty(); REGIONS];
    let count = find_usable(memory_map, entries, &reserved, &mut regions);
    let regions = regions.get_mut(..count).unwrap_or_default();
    // SAFETY: `kernel_main` does not return, so this frame lives as long as the kernel.
    let regions: &'static mut [MemoryRegion] = unsafe { &mut *(regions as *mut [MemoryRegion]) };

    let mut boot_info = BootInfo::new(MemoryRegions::from(regions));
    boot_info.physical_memory_offset = Optional::Some(PHYSICAL_MAP);
    boot_info.rsdp_addr = Optional::Some(read_u64(info + 32));
    if archive_length > 0 {
        boot_info.ramdisk_addr = Optional::Some(PHYSICAL_MAP + archive);
        boot_info.ramdisk_len = archive_length;
    }
    let (image_start, image_end) = image();
    (boot_info.kernel_addr, boot_info.kernel_len) = (image_start, image_end - image_start);
    boot_info.kernel_image_offset = image_start + KERNEL_BASE;
    // SAFETY: as above.
    kernel_main(unsafe { boot_info_forever(&raw mut boot_info) })
}

/// Returns the structure with the lifetime of the kernel.
///
/// # Safety
/// `info` lies in the frame of a function that never returns.
unsafe fn boot_info_forever(info: *mut BootInfo) -> &'static mut BootInfo {
    // SAFETY: as the caller says.
    unsafe { &mut *info }
}

/// Keeps a copy of the command line, up to its terminating zero.
fn keep_command_line(address: u64) {
    if address == 0 {
        return;
    }
    let mut bytes = [0; COMMAND_LINE_SIZE];
    let mut length = 0;
    for (target, offset) in bytes.iter_mut().zip(0..) {
        match read(address + offset) {
            None | Some([0]) => break,
            Some([byte]) => *target = byte,
        }
        length += 1;
    }
    COMMAND_LINE.call_once(|| (bytes, length));
}

/// Collects the unused parts of RAM, and returns their number.
fn find_usable(map: u64, entries: u64, reserved: &[(u64, u64)], regions: &mut [MemoryRegion]) -> usize {
    let mut count = 0;
    for entry in 0..entries {
        let address = map + entry * 24;
        let (start, kind) = (read_u64(address), read_u32(address + 16));
        let end = start.saturating_add(read_u64(address + 8)).min(EARLY_END);
        if kind != 1 || start >= end {
            continue;
        }
        let mut start = start;
        while start < end {
            // Skip the range that is reserved at `start`, or else stop at the next one.
            if let Some(&(_, behind)) = reserved.iter().find(|&&(from, to)| from <= start && start < to) {
                start = behind;
                continue;
            }
            let next =
                reserved.iter().map(|&(from, _)| from).filter(|&from| from > start).min().unwrap_or(end).min(end);
            if let Some(region) = regions.get_mut(count) {
                *region = MemoryRegion { start, end: next, kind: MemoryRegionKind::Usable };
                count += 1;
            }
            start = next;
        }
    }
    count
}

fn page_range(start: u64, length: u64) -> (u64, u64) {
    if length == 0 { (0, 0) } else { (start & !0xfff, start.saturating_add(length).saturating_add(0xfff) & !0xfff) }
}

/// Returns the start and the end of the kernel in physical memory.
fn image() -> (u64, u64) {
    let (start, end) = crate::memory::image_range();
    (start - KERNEL_BASE, end - KERNEL_BASE)
}
