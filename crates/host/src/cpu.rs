//! The processor's name and features.

use std::arch::x86_64::__cpuid;

/// Returns the processor's name.
#[must_use]
pub fn cpu_name() -> String {
    if __cpuid(0x8000_0000).eax < 0x8000_0004 {
        return "unknown".to_owned();
    }
    let parts = [0x8000_0002, 0x8000_0003, 0x8000_0004].map(__cpuid);
    let registers = parts.iter().flat_map(|part| [part.eax, part.ebx, part.ecx, part.edx]);
    let bytes: Vec<u8> = registers.flat_map(u32::to_le_bytes).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// Returns whether Intel made the processor, whose fastest instructions differ from those of other makes.
#[must_use]
pub fn is_intel() -> bool {
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
}

/// Returns the x86-64 level (1 to 4, x86-64 psABI section 3.1.1) that processor and system support.
#[must_use]
pub fn cpu_level() -> u8 {
    macro_rules! all {
        ($($feature:tt)+) => { $(std::arch::is_x86_feature_detected!($feature))&&+ };
    }
    // LAHF in long mode can't be asked for here; every processor with the other features has it.
    let second = all!("cmpxchg16b" "popcnt" "sse3" "sse4.1" "sse4.2" "ssse3");
    let third = second && all!("avx" "avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt" "movbe");
    let fourth = third && all!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl");
    1 + u8::from(second) + u8::from(third) + u8::from(fourth)
}
