//! The reader of the start-of-day structure of PVH (Xen's `docs/misc/pvh.pandoc`). It fills the same [`BootInfo`] that
//! the `bootloader` crate would pass.

use bareflow_pvh::MAPPED_END;
use bootloader_api::BootInfo;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind, MemoryRegions, Optional};
use spin::Once;

use super::take_over;
use crate::memory::layout::{KERNEL_BASE, PHYSICAL_MAP};
use crate::power::{ExitCode, exit_qemu};

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

bareflow_pvh::entry!(start);

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
    (end <= MAPPED_END).then(|| unsafe { ((PHYSICAL_MAP + address) as *const [u8; N]).read_unaligned() })
}

fn read_u32(address: u64) -> u32 {
    read(address).map_or(0, u32::from_le_bytes)
}

fn read_u64(address: u64) -> u64 {
    read(address).map_or(0, u64::from_le_bytes)
}

/// Reads `hvm_start_info` at the physical address `info`, and joins the common path of booting.
extern "C" fn start(info: u64, entered: u64) -> ! {
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
    // SAFETY: `take_over` does not return, so this frame lives as long as the kernel.
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
    take_over(unsafe { boot_info_forever(&raw mut boot_info) }, entered)
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
        let end = start.saturating_add(read_u64(address + 8)).min(MAPPED_END);
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
