//! The empty kernel: it is entered and exits the machine. Its time is the minimum for a boot.

/// The load address of the file.
const BASE: u64 = 0x20_0000;

/// The sizes of an ELF file's header and of one program header (System V ABI, chapters 4 and 5).
const HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;

/// The offsets of the note and of the code in the file.
const NOTE: u64 = HEADER + 2 * PROGRAM_HEADER;
const CODE: u64 = NOTE + 24;

/// `mov al, 0x10; out 0xf4, al; hlt`: the exit code that the kernel writes after a run that passed.
const INSTRUCTIONS: [u8; 5] = [0xb0, 0x10, 0xe6, 0xf4, 0xf4];

/// Returns the kernel's ELF file.
pub fn empty_kernel() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // An executable for x86-64 with two program headers, entered at its code.
    file.extend([2_u16, 62, 1, 0].map(u16::to_le_bytes).concat());
    file.extend([BASE + CODE, HEADER, 0].map(u64::to_le_bytes).concat());
    file.extend([0, 0, HEADER as u16, PROGRAM_HEADER as u16, 2, 0, 0, 0].map(u16::to_le_bytes).concat());
    let size = CODE + INSTRUCTIONS.len() as u64;
    // The whole file is loaded, readable and executable; a part of it is the note.
    for (kind, flags, offset, size, alignment) in [(1_u32, 5_u32, 0, size, 4096), (4, 4, NOTE, CODE - NOTE, 4)] {
        file.extend([kind, flags].map(u32::to_le_bytes).concat());
        file.extend([offset, BASE + offset, BASE + offset, size, size, alignment].map(u64::to_le_bytes).concat());
    }
    // The PVH note with the entry's address (elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY).
    file.extend([4_u32, 8, 18].map(u32::to_le_bytes).concat());
    file.extend(b"Xen\0");
    file.extend((BASE + CODE).to_le_bytes());
    file.extend(INSTRUCTIONS);
    file
}
