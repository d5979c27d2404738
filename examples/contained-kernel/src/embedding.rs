//! The loader in an existing kernel, with containment.

use core::fmt::Write;
use core::ops::Range;

use bareflow_containment::timer::LocalApic;
use bareflow_containment::{Contained, Kernel, TrapFrame, cpu, descriptor_tables, page_tables, self_test};
use bareflow_loader::{Domain, KernelDomain, LoadOptions, ModuleManager, Name, Printable, Timing};
use kernel_start::{Console, Frames, PHYSICAL_MAP, image, mapper};
use sensors_interface::{SensorError, Sensors};
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PhysFrame};

/// This kernel, as the containment sees it.
struct ThisKernel;

// SAFETY: `kernel-start` maps physical memory for good, hands out each frame once, and lies in the upper half, where it
// uses no address that is the containment's.
unsafe impl Kernel for ThisKernel {
    fn physical_map(&self) -> u64 {
        PHYSICAL_MAP
    }

    fn image(&self) -> Range<u64> {
        image()
    }

    fn stack(&self) -> Range<u64> {
        image()
    }

    fn allocate_frame(&self) -> Option<PhysFrame> {
        Frames.allocate_frame()
    }

    unsafe fn free_frame(&self, frame: PhysFrame) {
        // SAFETY: the caller promises the same.
        unsafe { Frames.deallocate_frame(frame) };
    }

    fn log(&self, module: &Name, line: &[u8]) {
        let _ = writeln!(Console, "{module}: {}", Printable(line));
    }

    fn trap(&self, frame: &mut TrapFrame, address: u64, _nested: bool) {
        panic!("exception {} in the kernel at {:#x}, address {address:#x}", frame.vector, frame.rip);
    }
}

impl Sensors for ThisKernel {
    fn temperature(&self, sensor: &str) -> Result<i32, SensorError> {
        if sensor == "cpu" { Ok(42_000) } else { Err(SensorError::NoSuchSensor) }
    }
}

/// Tries all faults, then runs one module in ring 0, another one in ring 3, and one that uses this kernel's sensors in
/// both, after sensors that panic. Returns the results of the first two.
pub fn run(sum: &[u8], primes: &[u8]) -> Option<[i32; 2]> {
    cpu::enable();
    cpu::disable_pic();
    // SAFETY: there is one processor, no one else changes page tables or has other descriptor tables, and all steps are
    // taken in order; the blobs are our own.
    let (platform, trusted) = unsafe {
        page_tables::map_module_stacks(&mut mapper(), &mut Frames).ok()?;
        descriptor_tables::load();
        (Contained::init(&ThisKernel, &LocalApic)?, KernelDomain::trust_all_blobs())
    };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, trusted);
    if !self_test(manager.platform(), &mut Console) {
        return None;
    }
    let run = |blob: &[u8], domain| {
        let module = manager.load_with(blob, &LoadOptions { domain, ..LoadOptions::default() }).ok()?;
        let result = manager.execute(module).ok()?;
        manager.unload(module).ok().map(|_| result)
    };
    let thermostat = include_bytes!(concat!(env!("BAREFLOW_ARCHIVE"), "/thermostat.mod"));
    let broken = crate::provider_panic::run(&manager, thermostat)?;
    manager.provide::<dyn Sensors, _>("board", ThisKernel).ok()?;
    let [ring_0, ring_3] = [run(thermostat, Domain::Kernel)?, run(thermostat, Domain::User)?];
    let _ = writeln!(Console, "thermostat: {broken} without sensors, {ring_0} in ring 0, {ring_3} in ring 3");
    Some([run(sum, Domain::Kernel)?, run(primes, Domain::User)?])
}
