//! Mappings of this process.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{null_mut, without_provenance_mut};

use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_NONE};

use bareflow_abi::layout::{IMAGE_SPAN, MAX_SEGMENT_SIZE};

/// The distances from the process's own text at which an arena is tried, in units of the largest segment: beyond the
/// first growth of the heap, and close enough for calls to be cheap.
const DISTANCES: std::ops::Range<u64> = 1..8;

/// Reserves the addresses of an arena, near the process's own text if there is room.
pub fn reserve_span() -> io::Result<u64> {
    let own_text = (reserve_span as *const () as u64) & !(MAX_SEGMENT_SIZE - 1);
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    let near = DISTANCES.into_iter().find_map(|distance| {
        let wanted = own_text + distance * MAX_SEGMENT_SIZE;
        let got = map(wanted, IMAGE_SPAN, PROT_NONE, flags | MAP_FIXED_NOREPLACE, None).ok()?;
        // Kernels before 4.17 treat the address as a hint.
        if got != wanted {
            unmap(got, IMAGE_SPAN);
        }
        (got == wanted).then_some(got)
    });
    near.map_or_else(|| map(0, IMAGE_SPAN, PROT_NONE, flags, None), Ok)
}

/// Reserves `bytes` of addresses anywhere.
pub fn reserve(bytes: u64) -> io::Result<u64> {
    map(0, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, None)
}

/// Maps fresh zeroed pages over a part of a span.
pub fn map_over(start: u64, bytes: u64, protection: i32, flags: i32) -> io::Result<()> {
    map(start, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags, None).map(|_| ())
}

/// Maps a part of a file over a part of a span, or at an address that the system chooses if `start` is 0.
pub fn map_file(file: i32, offset: u64, start: u64, bytes: u64, protection: i32) -> io::Result<u64> {
    let fixed = if start == 0 { 0 } else { MAP_FIXED };
    map(start, bytes, protection, MAP_SHARED | MAP_NORESERVE | fixed, Some((file, offset)))
}

fn map(address: u64, bytes: u64, protection: i32, flags: i32, file: Option<(i32, u64)>) -> io::Result<u64> {
    let hint = if address == 0 { null_mut() } else { without_provenance_mut(address as usize) };
    let (file, offset) = file.unwrap_or((-1, 0));
    // SAFETY: a fixed address is only given for parts of a span that belong to one image or one arena, or with the flag
    // that refuses to replace a mapping.
    let got = unsafe { libc::mmap(hint, bytes as usize, protection, flags, file, offset.cast_signed()) };
    if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(got.expose_provenance() as u64) }
}

/// Creates an anonymous file in memory, which gets pages when they are used.
pub fn memory_file(name: &CStr, bytes: u64) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    let file = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and no one else has it.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    // SAFETY: changes the size of a file that is not yet mapped.
    match unsafe { libc::ftruncate(file.as_raw_fd(), bytes.cast_signed()) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives a part of a file memory, or takes it away (`FALLOC_FL_*`), and waits through signals.
pub fn change_file(file: i32, how: i32, offset: u64, bytes: u64) -> io::Result<()> {
    // SAFETY: callers own the part, and have no slice of it when its memory is taken away.
    while unsafe { libc::fallocate(file, how, offset.cast_signed(), bytes.cast_signed()) } != 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

/// Cuts a file off; if this fails, its end stays.
pub fn cut_file(file: i32, bytes: u64) {
    // SAFETY: callers have no slice of what is cut off.
    unsafe { libc::ftruncate(file, bytes.cast_signed()) };
}

/// Changes the permissions of mapped pages.
pub fn protect(start: u64, bytes: u64, protection: i32) -> io::Result<()> {
    // SAFETY: callers own the range, and there is no slice of it left.
    match unsafe { libc::mprotect(without_provenance_mut(start as usize), bytes as usize, protection) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Unmaps addresses that are not used any more.
pub fn unmap(start: u64, bytes: u64) {
    // SAFETY: callers have mapped the range, and nothing uses it.
    unsafe { libc::munmap(without_provenance_mut(start as usize), bytes as usize) };
}

/// Discards the pages of a private range, which then reads as zeros. Returns `false` if the system refuses.
pub fn discard(start: u64, bytes: u64) -> bool {
    // SAFETY: callers own the range, and its contents are not needed any more.
    unsafe { libc::madvise(without_provenance_mut(start as usize), bytes as usize, libc::MADV_DONTNEED) == 0 }
}

/// Keeps a range out of forked copies of this process.
pub fn keep_from_copies(start: u64, bytes: u64) -> io::Result<()> {
    // SAFETY: changes nothing in this process.
    match unsafe { libc::madvise(without_provenance_mut(start as usize), bytes as usize, libc::MADV_DONTFORK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
