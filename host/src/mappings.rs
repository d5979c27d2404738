//! What a process has mapped, and what a module has no business to see of it.

use bareflow_loader::segments::PAGE_SIZE;

/// One line of `/proc/self/maps`: `start-end perms offset device inode path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping<'maps> {
    start: u64,
    end: u64,
    shared: bool,
    /// Whether there is a file behind it.
    file: bool,
    path: &'maps [u8],
}

impl<'maps> Mapping<'maps> {
    fn parse(line: &'maps [u8]) -> Option<Mapping<'maps>> {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let mut range = fields.next()?.split(|&byte| byte == b'-');
        let (start, end) = (number(range.next()?)?, number(range.next()?)?);
        let shared = *fields.next()?.get(3)? == b's';
        let file = fields.nth(2)? != b"0";
        let path = fields.next().unwrap_or_default().trim_ascii_start();
        Some(Mapping { start, end, shared, file, path })
    }
}

/// Hexadecimal digits.
fn number(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<'ranges> {
    /// These and nothing around them: first address and the one behind the last.
    pub ranges: &'ranges [(u64, u64)],
    /// What is private and less than [`NEAR`] bytes from these: the process's own code
    /// can't do without, and nobody knows where exactly it begins and ends.
    pub around: &'ranges [u64],
}

/// More than a stack and a thread's own variables take.
const NEAR: u64 = 256 << 10;

impl Kept<'_> {
    /// The first part, from `address` on, of a private or shared mapping that stays.
    fn next(&self, address: u64, shared: bool) -> Option<(u64, u64)> {
        let around = if shared { &[] } else { self.around };
        let near = around.iter().map(|place| (place.saturating_sub(NEAR), place + NEAR));
        let pages = self.ranges.iter().copied().chain(near).map(|(start, end)| {
            // From the beginning of a page to the end of one.
            (start & !(PAGE_SIZE - 1), end.next_multiple_of(PAGE_SIZE))
        });
        pages.filter(|&(_, end)| end > address).map(|(start, end)| (start.max(address), end)).min()
    }
}

/// Hands `unmap` each range of the list `maps` that does not stay. Private
/// mappings of files stay, with the bss behind them, and so does the system's own code.
///
/// Returns `None` if the list is none, or `unmap` returned `false`.
pub(crate) fn strip(maps: &[u8], kept: Kept<'_>, mut unmap: impl FnMut(u64, u64) -> bool) -> Option<()> {
    let mut bss = None;
    for line in maps.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let Mapping { start, end, shared, file, path } = Mapping::parse(line)?;
        let own = !shared && (file || bss == Some(start) && path.is_empty());
        bss = (own && file).then_some(end);
        if own || path.starts_with(b"[v") {
            continue;
        }
        let mut address = start;
        while address < end {
            let (next, behind) = kept.next(address, shared).unwrap_or((end, end));
            if next > address && !unmap(address, next.min(end)) {
                return None;
            }
            address = behind;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"1000-3000 r-xp 00000000 fe:00 77    /bin/a b\n\
        3000-4000 rw-p 00000000 00:00 0\n\
        5000-9000 rw-p 00000000 00:00 0       [heap]\n\
        9000-a000 rw-s 00000000 fe:00 78      /data\n\
        a000-b000 rw-s 00000000 00:01 79      /memfd:bareflow (deleted)\n\
        1000000-2000000 rw-p 00000000 00:00 0\n\
        7000000-7001000 r-xp 00000000 00:00 0 [vdso]\n";

    fn stripped(ranges: &[(u64, u64)], around: &[u64]) -> Vec<(u64, u64)> {
        let mut gone = Vec::new();
        strip(MAPS, Kept { ranges, around }, |start, end| {
            gone.push((start, end));
            true
        })
        .unwrap();
        gone
    }

    #[test]
    fn leaves_what_is_needed() {
        let last = (0x100_0000, 0x200_0000);
        let ranges = [(0xa000, 0xb000), (0x8000, 0x9000), (0x6000, 0x6800)];
        assert_eq!(stripped(&ranges, &[]), [(0x5000, 0x6000), (0x7000, 0x8000), (0x9000, 0xa000), last]);
        assert_eq!(stripped(&[(0x5800, 0x300_0000)], &[]), []);
        assert_eq!(stripped(&[(0x6000, 0x8000), (0x7000, 0x20_0000)], &[]), [(0x5000, 0x6000), last]);
    }

    #[test]
    fn leaves_what_is_near_but_nothing_shared() {
        let (shared, last) =
            ([(0x9000, 0xa000), (0xa000, 0xb000)], [(0x100_0000, 0x178_0000), (0x180_0000, 0x200_0000)]);
        assert_eq!(stripped(&[], &[0x8008, 0x17c_0000]), [shared, last].concat());
    }

    #[test]
    fn refuses_what_is_no_list() {
        let kept = Kept { ranges: &[], around: &[] };
        assert_eq!(strip(b"1000 rw-p", kept, |_, _| true), None);
        assert_eq!(strip(MAPS, kept, |_, _| false), None);
    }
}
