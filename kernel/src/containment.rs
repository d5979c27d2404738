//! The kernel as the containment of modules sees it.

use core::ops::Range;

use bareflow_containment::timer::LocalApic;
use bareflow_containment::{Contained, Kernel, TrapFrame, descriptor_tables};
use bareflow_loader::{DeviceBus, ModuleManager, Name, Printable};
use bareflow_suite::OUTPUT_CAPACITY;
use bareflow_suite::console::Style;
use spin::Once;
use x86_64::structures::paging::PhysFrame;

use crate::devices::{Bus, interrupts};
use crate::memory::layout::{KERNEL_STACK, PHYSICAL_MAP};
use crate::memory::{frames, image_range};
use crate::power::{ExitCode, exit_qemu};
use crate::serve::{self, poll_during_call};
use crate::{console, dump};

const _: () = assert!(OUTPUT_CAPACITY <= bareflow_containment::RESERVED_OUTPUT_BYTES);

/// The manager of the modules.
pub type Manager = ModuleManager<Contained>;

/// A test rig that disturbs running modules.
pub struct Rig {
    /// Takes a tick, as [`Kernel::tick`] does.
    pub tick: fn(&mut TrapFrame, bool) -> bool,
    /// Takes a debug exception, as [`Kernel::debug`] does.
    pub debug: fn(&mut TrapFrame) -> bool,
}

static RIG: Once<Rig> = Once::new();

/// Lets a rig take traps from now on.
#[cfg_attr(not(feature = "rigs"), expect(dead_code, reason = "there is no rig"))]
pub fn install_rig(rig: Rig) {
    RIG.call_once(|| rig);
}

/// Sets up the platform on which modules run. Called once, after memory is set up.
pub fn init() -> Contained {
    // SAFETY: `boot::take_over` called `cpu::enable` and `disable_pic`, and uses one processor; `memory` has loaded
    // page tables with the stacks of modules, and set up the heap; there are no other descriptor tables.
    let platform = unsafe {
        descriptor_tables::load();
        Contained::init(&ThisKernel, &LocalApic)
    };
    match platform {
        Some(platform) => platform,
        None => unreachable!("called once"),
    }
}

struct ThisKernel;

// SAFETY: `memory` maps all physical memory for good, hands out each frame once, and leaves the addresses to modules
// that are theirs, as `layout` checks.
unsafe impl Kernel for ThisKernel {
    fn physical_map(&self) -> u64 {
        PHYSICAL_MAP
    }

    fn image(&self) -> Range<u64> {
        let (start, end) = image_range();
        start..end
    }

    fn stack(&self) -> Range<u64> {
        KERNEL_STACK.start..KERNEL_STACK.top()
    }

    fn allocate_frame(&self) -> Option<PhysFrame> {
        frames::allocate()
    }

    unsafe fn free_frame(&self, frame: PhysFrame) {
        // SAFETY: the caller promises the same.
        unsafe { frames::release(frame) };
    }

    fn reserve_frames(&self, count: u64) -> u64 {
        frames::reserve(count)
    }

    fn unreserve_frames(&self, count: u64) {
        frames::unreserve(count);
    }

    fn log(&self, module: &Name, line: &[u8]) {
        console::show(Style::Plain, format_args!("  [LOG] {module}: {}\n", Printable(line)));
    }

    /// Ends the kernel. After a nested trap the state can't be trusted, so nothing more is printed.
    fn trap(&self, frame: &mut TrapFrame, address: u64, nested: bool) {
        if !nested {
            dump::dump_kernel_trap(frame, address);
        }
        console::flush();
        exit_qemu(ExitCode::Panicked);
    }

    fn tick(&self, frame: &mut TrapFrame, in_module: bool) -> bool {
        serve::drain_rx();
        interrupts::tick();
        RIG.get().is_some_and(|rig| (rig.tick)(frame, in_module))
    }

    fn debug(&self, frame: &mut TrapFrame) -> bool {
        RIG.get().is_some_and(|rig| (rig.debug)(frame))
    }

    fn interrupt(&self, vector: u8) {
        interrupts::take(vector);
    }

    fn devices(&self) -> Option<&dyn DeviceBus> {
        Some(&Bus)
    }

    fn has_deferred_work(&self) -> bool {
        poll_during_call::is_due()
    }

    fn run_deferred_work(&self) {
        poll_during_call::run_deferred_work();
    }
}
