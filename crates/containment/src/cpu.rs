//! The processor's features, and the code that enables them.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use raw_cpuid::{CpuId, CpuIdReaderNative, ExtendedFeatures, Hypervisor};
use x86_64::instructions::port::Port;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::Msr;
use x86_64::registers::xcontrol::{XCr0, XCr0Flags};

use crate::selectors::{KERNEL_CODE, USER_DATA};

/// Enables full memory protection and the vector registers that modules use. Called before the first module runs, and
/// before the kernel's own page tables are used.
pub fn enable() {
    let cpu = CpuId::new();
    let features = cpu.get_feature_info();
    let extended = cpu.get_extended_feature_info();
    let xsave = features.as_ref().is_some_and(|features| features.has_xsave());
    let avx = features.as_ref().is_some_and(|features| features.has_avx());
    // A hypervisor may report AVX-512 and yet not allow its state to be enabled.
    let state = cpu.get_extended_state_info();
    let zmm = state.as_ref().is_some_and(|state| state.xcr0_supports_avx512_zmm_hi16());
    let avx512 = extended.as_ref().is_some_and(ExtendedFeatures::has_avx512f) && zmm;
    let has = |feature: fn(&ExtendedFeatures) -> bool| extended.as_ref().is_some_and(feature);
    // SAFETY: every x86-64 processor has no-execute, or the write faults; write protection only narrows the
    // permissions.
    unsafe {
        Efer::update(|flags| flags.insert(EferFlags::NO_EXECUTE_ENABLE));
        Cr0::update(|flags| {
            flags.insert(Cr0Flags::WRITE_PROTECT | Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::NUMERIC_ERROR);
            flags.insert(Cr0Flags::ALIGNMENT_MASK);
            flags.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED);
        });
        Cr4::update(|flags| {
            flags.insert(Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE);
            flags.set(Cr4Flags::OSXSAVE, xsave);
            // SMEP and SMAP keep the kernel from executing or reading user pages; UMIP hides the descriptor tables
            // from ring 3.
            flags.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, has(ExtendedFeatures::has_smep));
            flags.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, has(ExtendedFeatures::has_smap));
            flags.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, has(ExtendedFeatures::has_umip));
            flags.remove(Cr4Flags::PERFORMANCE_MONITOR_COUNTER | Cr4Flags::FSGSBASE);
        });
    }
    // SAFETY: both units were just enabled. After a reset the x87 control word differs from what the System V ABI
    // requires (Intel SDM volume 3, table 10-1), and a boot loader may leave any value.
    unsafe { asm!("fninit", "ldmxcsr [{}]", in(reg) &0x1f80_u32, options(nostack)) };
    HAS_XSAVE.store(xsave, Ordering::Relaxed);
    let hypervisor = cpu.get_hypervisor_info().map(|hypervisor| hypervisor.identify());
    IS_TRANSLATED.store(hypervisor == Some(Hypervisor::QEMU), Ordering::Relaxed);
    if xsave {
        let mut state = XCr0Flags::X87 | XCr0Flags::SSE;
        state.set(XCr0Flags::AVX, avx);
        state.set(AVX512, avx && avx512);
        // SAFETY: OSXSAVE is on, and each component is requested only if CPUID reports it.
        unsafe { XCr0::write(state) };
    }
}

/// The state components of AVX-512, which exist all together or not at all (Intel SDM volume 1, 13.3).
const AVX512: XCr0Flags = XCr0Flags::OPMASK.union(XCr0Flags::ZMM_HI256).union(XCr0Flags::HI16_ZMM);

/// Whether the vector units' state is restored by `xrstor` rather than `fxrstor`. The trampolines read it.
#[unsafe(export_name = "bareflow_has_xsave")]
static HAS_XSAVE: AtomicBool = AtomicBool::new(false);

/// The area that `xrstor` and `fxrstor` read (Intel SDM volume 1, 13.4): 512 bytes, of which only two control words
/// matter, and a header by which everything else is as after a reset.
#[repr(C, align(64))]
struct ClearState([u16; 512]);

#[unsafe(export_name = "bareflow_clear_state")]
static CLEAR_STATE: ClearState = {
    let mut state = [0; 512];
    // The x87 control word, at byte 0; MXCSR, at byte 24.
    state[0] = 0x37f;
    state[12] = 0x1f80;
    ClearState(state)
};

/// Enables `syscall` from ring 3: it enters the trampoline, with all flags clear that could mislead the kernel.
/// Interrupts stay on, since each has a stack of its own. Called after the descriptor tables are loaded.
pub(crate) fn enable_syscall() {
    unsafe extern "C" {
        safe fn bareflow_syscall();
    }
    // SAFETY: the segments lie in the order that the register wants, as `selectors` says; the trampoline's
    // code handles every arrival during a call.
    unsafe {
        Msr::new(STAR).write((USER_DATA - 8) << 48 | KERNEL_CODE << 32);
        Msr::new(LSTAR).write(bareflow_syscall as *const () as u64);
        Msr::new(SYSCALL_MASK).write(0x47500);
        Efer::update(|flags| flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS));
    }
}

/// The numbers of the model-specific registers (Intel SDM volume 4, table 2-2): selectors, entry, and flags to clear.
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const SYSCALL_MASK: u32 = 0xc000_0084;

/// Masks the interrupts of devices at the 8259A controllers. The firmware leaves its timer running on the vector of an
/// exception, where it would arrive as soon as a module sets the interrupt flag.
pub fn disable_pic() {
    for port in [0x21, 0xa1] {
        // SAFETY: these are the mask registers of the two controllers (Intel 8259A data sheet); a machine without them
        // ignores the writes.
        unsafe { Port::<u8>::new(port).write(0xff) };
    }
}

/// Whether QEMU translates all code, when it first runs.
static IS_TRANSLATED: AtomicBool = AtomicBool::new(false);

/// Returns whether QEMU translates all code, when it first runs (its accelerator TCG, by the name in CPUID leaf 0x4000_0000). That may
/// take far longer than the code itself.
pub fn is_translated() -> bool {
    IS_TRANSLATED.load(Ordering::Relaxed)
}

/// Returns the x86-64 level (1 to 4, x86-64 psABI section 3.1.1) that modules may use: the processor has it, and
/// [`enable`] enabled the state it needs.
pub fn level() -> u8 {
    let cpu = CpuId::new();
    let enabled = |state| HAS_XSAVE.load(Ordering::Relaxed) && XCr0::read().contains(state);
    if !has_level_2(&cpu) {
        1
    } else if !has_level_3(&cpu) || !enabled(XCr0Flags::AVX) {
        2
    } else if !has_level_4(&cpu) || !enabled(AVX512) {
        3
    } else {
        4
    }
}

/// Returns the processor's name.
pub fn name() -> alloc::string::String {
    let cpu = CpuId::new();
    let brand = cpu.get_processor_brand_string();
    let vendor = cpu.get_vendor_info();
    let name = brand.as_ref().map(|brand| brand.as_str().trim()).or(vendor.as_ref().map(|vendor| vendor.as_str()));
    name.unwrap_or("unknown").into()
}

type Cpu = CpuId<CpuIdReaderNative>;

fn has_level_2(cpu: &Cpu) -> bool {
    let Some(f) = cpu.get_feature_info() else { return false };
    let lahf = cpu.get_extended_processor_and_feature_identifiers().is_some_and(|extended| extended.has_lahf_sahf());
    f.has_sse3() && f.has_ssse3() && f.has_sse41() && f.has_sse42() && f.has_popcnt() && f.has_cmpxchg16b() && lahf
}

fn has_level_3(cpu: &Cpu) -> bool {
    let Some(f) = cpu.get_feature_info() else { return false };
    let Some(e) = cpu.get_extended_feature_info() else { return false };
    let lzcnt = cpu.get_extended_processor_and_feature_identifiers().is_some_and(|extended| extended.has_lzcnt());
    let vectors = f.has_avx() && e.has_avx2() && f.has_f16c() && f.has_fma();
    vectors && e.has_bmi1() && e.has_bmi2() && f.has_movbe() && f.has_oxsave() && lzcnt
}

fn has_level_4(cpu: &Cpu) -> bool {
    let Some(e) = cpu.get_extended_feature_info() else { return false };
    e.has_avx512f() && e.has_avx512bw() && e.has_avx512cd() && e.has_avx512dq() && e.has_avx512vl()
}
