//! The mappings of a process, and removal of those that a module must not see.
//!
//! The crate `procfs` reads the same list, but allocates, which a fork of a process with other threads must not.

use bareflow_loader::segments::PAGE_SIZE;

/// One line of `/proc/self/maps`: `start-end perms offset device inode path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping<'maps> {
    start: u64,
    end: u64,
    shared: bool,
    writable: bool,
    /// Whether the mapping is of a file.
    file: bool,
    path: &'maps [u8],
}

impl<'maps> Mapping<'maps> {
    fn parse(line: &'maps [u8]) -> Option<Mapping<'maps>> {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let mut range = fields.next()?.split(|&byte| byte == b'-');
        let (start, end) = (number(range.next()?)?, number(range.next()?)?);
        let rights = fields.next()?;
        let (shared, writable) = (*rights.get(3)? == b's', *rights.get(1)? == b'w');
        let file = fields.nth(2)? != b"0";
        let path = fields.next().unwrap_or_default().trim_ascii_start();
        Some(Mapping { start, end, shared, writable, file, path })
    }
}

/// Parses hexadecimal digits.
fn number(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The mappings that are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptRanges<'ranges> {
    /// Pages to keep, without anything around them: first address and the one after the last.
    pub ranges: &'ranges [(u64, u64)],
    /// Addresses of code whose files are kept, but with their writable parts zeroed.
    pub code: &'ranges [u64],
    /// Addresses of code that needs its variables; their files are kept as they are.
    pub variables: &'ranges [u64],
}

/// The change to a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The range is unmapped.
    Unmap,
    /// The range is filled with zeros.
    Zero,
}

impl KeptRanges<'_> {
    /// Returns the first part of a mapping, from `address` on, that is kept.
    fn next(&self, address: u64) -> Option<(u64, u64)> {
        // Ranges are extended to whole pages.
        let pages = self.ranges.iter().map(|&(start, end)| (start & !(PAGE_SIZE - 1), end.next_multiple_of(PAGE_SIZE)));
        pages.filter(|&(_, end)| end > address).map(|(start, end)| (start.max(address), end)).min()
    }
}

/// Returns the mappings of a list; `None` for a line that is malformed.
fn mappings(maps: &[u8]) -> impl Iterator<Item = Option<Mapping<'_>>> {
    maps.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(Mapping::parse)
}

/// Returns the mapping that contains `address`: its first address, and the one after its last.
pub(crate) fn mapping_of(maps: &[u8], address: u64) -> Option<(u64, u64)> {
    mappings(maps)
        .flatten()
        .map(|mapping| (mapping.start, mapping.end))
        .find(|range| (range.0..range.1).contains(&address))
}

/// Whether one of `addresses` lies in a mapping of the file `path`.
fn is_of(maps: &[u8], path: &[u8], addresses: &[u64]) -> bool {
    let of_file = |mapping: &Mapping<'_>| mapping.file && mapping.path == path;
    let has = |mapping: Mapping<'_>| addresses.iter().any(|address| (mapping.start..mapping.end).contains(address));
    mappings(maps).flatten().filter(of_file).any(has)
}

/// Calls `change` for each range of the list `maps` that is not kept. The system's own code (vDSO) is always kept.
///
/// Returns `None` if the list is malformed, or if `change` returned `false`.
pub(crate) fn unmap_all_except(
    maps: &[u8],
    kept: KeptRanges<'_>,
    mut change: impl FnMut(Fate, u64, u64) -> bool,
) -> Option<()> {
    // The file whose bss the next mapping may be, and the address where that would begin.
    let mut before: Option<(&[u8], u64)> = None;
    for mapping in mappings(maps) {
        let Mapping { start, end, shared, writable, file, path } = mapping?;
        let bss = before.filter(|&(_, at)| at == start && path.is_empty() && !shared).map(|(path, _)| path);
        let of = if file && !shared { Some(path) } else { bss };
        before = of.filter(|_| file).map(|path| (path, end));
        if path.starts_with(b"[v") || of.is_some_and(|path| is_of(maps, path, kept.variables)) {
            continue;
        }
        let fate = match of {
            Some(path) if is_of(maps, path, kept.code) => Fate::Zero,
            _ => Fate::Unmap,
        };
        if fate == Fate::Zero && !writable {
            continue;
        }
        let mut address = start;
        while address < end {
            let (next, behind) = kept.next(address).unwrap_or((end, end));
            if next > address && !change(fate, address, next.min(end)) {
                return None;
            }
            address = behind;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::Fate::{Unmap, Zero};
    use super::*;

    const MAPS: &[u8] = b"1000-3000 r-xp 00000000 fe:00 77    /bin/a b\n\
        3000-4000 rw-p 00002000 fe:00 77    /bin/a b\n\
        4000-5000 rw-p 00000000 00:00 0\n\
        5000-9000 rw-p 00000000 00:00 0       [heap]\n\
        9000-a000 rw-s 00000000 fe:00 78      /data\n\
        a000-b000 rw-s 00000000 00:01 79      /memfd:bareflow (deleted)\n\
        b000-c000 r--p 00000000 fe:00 80      /secret\n\
        10000-11000 r-xp 00000000 fe:00 81    /lib/libc.so\n\
        11000-12000 rw-p 00001000 fe:00 81    /lib/libc.so\n\
        7000000-7001000 r-xp 00000000 00:00 0 [vdso]\n";

    fn stripped(ranges: &[(u64, u64)], code: &[u64], variables: &[u64]) -> Vec<(Fate, u64, u64)> {
        let mut gone = Vec::new();
        unmap_all_except(MAPS, KeptRanges { ranges, code, variables }, |fate, start, end| {
            gone.push((fate, start, end));
            true
        })
        .unwrap();
        gone
    }

    #[test]
    fn leaves_what_is_needed_and_nothing_private() {
        let ranges = [(0xa000, 0xb000), (0x8000, 0x9000), (0x6000, 0x6800)];
        let expected = [
            (Zero, 0x3000, 0x4000),
            (Zero, 0x4000, 0x5000),
            (Unmap, 0x5000, 0x6000),
            (Unmap, 0x7000, 0x8000),
            (Unmap, 0x9000, 0xa000),
            (Unmap, 0xb000, 0xc000),
        ];
        assert_eq!(stripped(&ranges, &[0x1234], &[0x10_234]), expected);
    }

    #[test]
    fn leaves_nothing_of_files_whose_code_is_not_used() {
        let gone = stripped(&[(0x1800, 0xb800)], &[], &[]);
        assert_eq!(gone, [(Unmap, 0x10_000, 0x11_000), (Unmap, 0x11_000, 0x12_000)]);
        // A statically linked program has its own variables and the C library's in one file.
        let gone = stripped(&[(0x5000, 0xc000)], &[0x1000], &[0x1000]);
        assert_eq!(gone, [(Unmap, 0x10_000, 0x11_000), (Unmap, 0x11_000, 0x12_000)]);
    }

    #[test]
    fn finds_what_an_address_lies_in() {
        assert_eq!(mapping_of(MAPS, 0x5008), Some((0x5000, 0x9000)));
        assert_eq!(mapping_of(MAPS, 0xc000), None);
    }

    #[test]
    fn refuses_what_is_no_list() {
        let kept = KeptRanges { ranges: &[], code: &[], variables: &[] };
        assert_eq!(unmap_all_except(b"1000 rw-p", kept, |_, _, _| true), None);
        assert_eq!(unmap_all_except(MAPS, kept, |_, _, _| false), None);
    }
}
