//! The descriptor tables, and a stack for each kind of trap.
//!
//! Module code may use the red zone, so no trap may push onto its stack. Every vector therefore runs on a stack of
//! the kernel's (IST, Intel SDM volume 3, 7.14.5).

use core::arch::asm;

use spin::Once;
use x86_64::PrivilegeLevel;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::idt::{Entry, EntryOptions, InterruptDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

use super::stubs::{VECTORS, stub};
use crate::call::this_processor;
use crate::selectors::KERNEL_CODE;
use crate::timer;

static TSS: Once<TaskStateSegment> = Once::new();
static GDT: Once<(GlobalDescriptorTable, SegmentSelector)> = Once::new();

static IDT: Once<InterruptDescriptorTable> = Once::new();

/// Loads descriptor tables with a stub for every exception and interrupt, and the task register.
///
/// # Safety
/// This runs in ring 0 of a kernel that relies on no other segments, task or interrupts of its own.
pub unsafe fn load() {
    let tss = TSS.call_once(|| {
        let mut tss = TaskStateSegment::new();
        fill_tss(&mut tss);
        tss
    });
    let (gdt, task) = GDT.call_once(|| {
        let mut gdt = GlobalDescriptorTable::new();
        gdt.append(Descriptor::kernel_code_segment());
        gdt.append(Descriptor::kernel_data_segment());
        gdt.append(Descriptor::user_data_segment());
        gdt.append(Descriptor::user_code_segment());
        let task = gdt.append(Descriptor::tss_segment(tss));
        (gdt, task)
    });
    gdt.load();
    // SAFETY: the selectors are those of the table just loaded; long mode accepts null data segments (Intel SDM
    // volume 3, 5.2.1).
    unsafe {
        CS::set_reg(SegmentSelector(KERNEL_CODE as u16));
        DS::set_reg(SegmentSelector::NULL);
        ES::set_reg(SegmentSelector::NULL);
        SS::set_reg(SegmentSelector::NULL);
        load_tss(*task);
        // No local table: a reset leaves one at address 0.
        asm!("lldt {:x}", in(reg) 0_u16, options(nostack, preserves_flags));
    }
    let idt = IDT.call_once(|| {
        let mut idt = InterruptDescriptorTable::new();
        fill_idt(&mut idt);
        fill_devices(&mut idt);
        fill_unused(&mut idt);
        idt
    });
    idt.load();
}

/// Sets the stacks of traps, entries 0 to 4 of the interrupt stack table, and forbids ring 3 all ports.
pub fn fill_tss(tss: &mut TaskStateSegment) {
    // The structure is packed, so its table is copied, changed and written back.
    let mut stacks = tss.interrupt_stack_table;
    for (target, stack) in stacks.iter_mut().zip(&this_processor().stacks.traps) {
        *target = VirtAddr::from_ptr(stack.end());
    }
    tss.interrupt_stack_table = stacks;
    // The map of ports lies outside the segment (Intel SDM volume 1, 19.5.2).
    tss.iomap_base = size_of::<TaskStateSegment>() as u16;
}

/// Sets the entries of all exceptions, of the tick ([`timer::TICK`]) and of the timer's spurious interrupt
/// ([`timer::SPURIOUS`]), whatever they were. The kernel is told of those that are not a module's
/// ([`Kernel::trap`](crate::Kernel::trap)).
pub fn fill_idt(idt: &mut InterruptDescriptorTable) {
    // The crate gives each entry a type by its handler; ours are all stubs.
    macro_rules! set {
        ($($field:ident = $vector:literal),+) => { $(set_stub(&mut idt.$field, $vector);)+ };
    }
    set!(divide_error = 0, debug = 1, non_maskable_interrupt = 2, breakpoint = 3, overflow = 4);
    set!(bound_range_exceeded = 5, invalid_opcode = 6, device_not_available = 7, double_fault = 8);
    set!(invalid_tss = 10, segment_not_present = 11, stack_segment_fault = 12, general_protection_fault = 13);
    set!(page_fault = 14, x87_floating_point = 16, alignment_check = 17, machine_check = 18, simd_floating_point = 19);
    set!(virtualization = 20, cp_protection_exception = 21, hv_injection_exception = 28);
    set!(vmm_communication_exception = 29, security_exception = 30);
    for vector in [timer::TICK as u8, timer::SPURIOUS as u8] {
        set_stub(&mut idt[vector], usize::from(vector));
    }
    // Ring 3 may execute `int3`; any other `int` from ring 3 is a violation.
    set_stub(&mut idt.breakpoint, 3).set_privilege_level(PrivilegeLevel::Ring3);
}

/// Sets the entries of devices' interrupts ([`timer::FIRST_DEVICE`] to [`timer::LAST_DEVICE`]), of which the kernel is told
/// ([`Kernel::interrupt`](crate::Kernel::interrupt)). One whose modules drive no devices may have something else there, such as
/// what came from the first interrupt controller.
pub fn fill_devices(idt: &mut InterruptDescriptorTable) {
    for vector in timer::FIRST_DEVICE as u8..=timer::LAST_DEVICE as u8 {
        set_stub(&mut idt[vector], usize::from(vector));
    }
}

/// Sets the entries of the vectors that nothing uses ([`timer::FIRST_UNUSED`] to 255), so that an interrupt of theirs is
/// counted ([`timer::unasked`]) and goes by. A kernel that uses some of them sets those afterwards.
pub fn fill_unused(idt: &mut InterruptDescriptorTable) {
    for vector in timer::FIRST_UNUSED as u8..=u8::MAX {
        set_stub(&mut idt[vector], usize::from(vector));
    }
}

/// Sets an entry to the stub of `vector`, on its stack. A kernel may have its ticks at any entry: their stub is that of
/// [`timer::TICK`].
///
/// # Panics
/// If there is no such stub: `vector` is below 256.
pub fn set_stub<F>(entry: &mut Entry<F>, vector: usize) -> &mut EntryOptions {
    let stack = match vector {
        8 => 1,
        2 => 2,
        18 => 3,
        1 => 4,
        _ => 0,
    };
    assert!(vector < VECTORS);
    // SAFETY: the stub saves and restores everything and returns by `iretq`; the stack's index is that of one of the five.
    unsafe { entry.set_handler_addr(VirtAddr::new(stub(vector))).set_stack_index(stack) }
}
