//! The program that the engine attached to the runner's blob, and where instance and memory lie.

use core::ptr::with_exposed_provenance_mut;
use core::slice::{from_raw_parts, from_raw_parts_mut};

use bareflow_abi::layout::{DATA_OFFSET, RODATA_OFFSET};
use bareflow_abi::memory::MEMORY_PAGE_SIZE;
use bareflow_portable::program::{ATTACHMENT_MARK, Attachment, Program};
use bareflow_portable::state::MEMORY_BASE;

use crate::bytes::word;
use crate::carry::memory_bytes;
use crate::machine::Attached;
use crate::memory::Room;

/// The slot that the engine fills in.
#[repr(C, align(8))]
struct Slot {
    mark: [u8; 32],
    attachment: [u8; Attachment::SIZE],
}

/// The attachment, empty until the engine fills it in. In the data, since a constant would be known to the compiler.
#[unsafe(link_section = ".data.attached")]
static SLOT: Slot = Slot { mark: ATTACHMENT_MARK, attachment: [0; Attachment::SIZE] };

/// Returns what is attached; `None` if nothing is.
///
/// # Safety
/// It is called once: what it returns refers to memory that nothing else may refer to.
pub unsafe fn take() -> Option<Attached> {
    // SAFETY: a static may be read at any time; volatile, since the engine replaces the zeros in the blob that the compiler
    // sees here.
    let attached = unsafe { (&raw const SLOT).read_volatile() };
    let places = Attachment::from_bytes(&attached.attachment).filter(|places| places.program_bytes > 0)?;
    core::hint::black_box(attached.mark);
    let data = (&raw const SLOT).expose_provenance() as u64 - u64::from(places.own_offset);
    let at = |offset: u64| with_exposed_provenance_mut::<u8>(offset as usize);
    let program = at(data - DATA_OFFSET + RODATA_OFFSET + u64::from(places.program_offset));
    let instance = at(data + u64::from(places.instance_offset));
    let room_bytes = places.memory_pages as usize * MEMORY_PAGE_SIZE as usize;
    // SAFETY: the segments lie at these distances; the engine made the blob with the program behind the constants, and
    // with instance and memory behind the runner's own data, where nothing else is. The caller calls this once.
    let (program, instance) = unsafe {
        (
            from_raw_parts(program, places.program_bytes as usize),
            from_raw_parts_mut(instance, places.instance_bytes as usize),
        )
    };
    let room = match places.memory_offset {
        // SAFETY: the loader placed the window there, whose addresses are for as many pages as the record says, and nothing
        // else refers to them. As much of it is memory as the other word says.
        0 => unsafe { Room::new(at(word(instance, MEMORY_BASE).ok()?), memory_bytes(instance), room_bytes) },
        // SAFETY: the engine placed the room behind the instance, where nothing else is.
        offset => unsafe { Room::new(at(data + u64::from(offset)), room_bytes, room_bytes) },
    };
    Some(Attached { program: Program::decode(program)?, instance, room })
}
