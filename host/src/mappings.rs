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
    /// These and nothing around them: first address and the one behind the last, in rising order.
    pub ranges: &'ranges [(u64, u64)],
    /// The private mappings around these: what the process's own code can't do without.
    pub around: &'ranges [u64],
}

/// Hands `unmap` each range of the list `maps` that does not stay. Private
/// mappings of files stay, with the bss behind them, and so does the system's own code.
///
/// Returns `None` if the list is none, or `unmap` returned `false`.
pub(crate) fn strip(maps: &[u8], kept: Kept<'_>, mut unmap: impl FnMut(u64, u64) -> bool) -> Option<()> {
    let mut bss = None;
    for line in maps.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let mapping = Mapping::parse(line)?;
        let private = !mapping.shared
            && (mapping.file
                || bss == Some(mapping.start) && mapping.path.is_empty()
                || kept.around.iter().any(|&address| (mapping.start..mapping.end).contains(&address)));
        bss = (private && mapping.file).then_some(mapping.end);
        if private || mapping.path.starts_with(b"[v") {
            continue;
        }
        let mut next = mapping.start;
        for &(start, end) in kept.ranges {
            let (start, end) =
                (start.clamp(next, mapping.end), (end.next_multiple_of(PAGE_SIZE)).clamp(next, mapping.end));
            if start > next && !unmap(next, start) {
                return None;
            }
            next = end;
        }
        if next < mapping.end && !unmap(next, mapping.end) {
            return None;
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
        b000-c000 rw-p 00000000 00:00 0\n\
        7000000-7001000 r-xp 00000000 00:00 0 [vdso]\n";

    fn stripped(kept: Kept<'_>) -> Vec<(u64, u64)> {
        let mut gone = Vec::new();
        strip(MAPS, kept, |start, end| {
            gone.push((start, end));
            true
        })
        .unwrap();
        gone
    }

    #[test]
    fn leaves_what_is_needed() {
        let ranges = [(0x6000, 0x6800), (0x8000, 0x9000), (0xa000, 0xb000)];
        let gone = [(0x5000, 0x6000), (0x7000, 0x8000), (0x9000, 0xa000), (0xb000, 0xc000)];
        assert_eq!(stripped(Kept { ranges: &ranges, around: &[] }), gone);
        // What is shared goes though it is asked for in passing.
        let gone = [(0x9000, 0xa000), (0xa000, 0xb000), (0xb000, 0xc000)];
        assert_eq!(stripped(Kept { ranges: &[], around: &[0x5008, 0x9000] }), gone);
        let gone = [(0x5000, 0x5800), (0x9000, 0xa000), (0xa000, 0xb000), (0xb000, 0xc000)];
        assert_eq!(stripped(Kept { ranges: &[(0x5800, 0x1_0000)], around: &[] })[..1], gone[..1]);
    }

    #[test]
    fn refuses_what_is_no_list() {
        let kept = Kept { ranges: &[], around: &[] };
        assert_eq!(strip(b"1000 rw-p", kept, |_, _| true), None);
        assert_eq!(strip(MAPS, kept, |_, _| false), None);
    }
}
