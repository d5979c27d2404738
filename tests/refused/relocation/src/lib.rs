//! A module with a symbol that only a dynamic linker could resolve.

#![no_std]

bareflow_abi::module!(run);

core::arch::global_asm!(
    ".text",
    ".type chosen_at_load, @gnu_indirect_function",
    ".global chosen_at_load",
    "chosen_at_load: ret",
);

unsafe extern "C" {
    fn chosen_at_load();
}

static TABLE: [unsafe extern "C" fn(); 1] = [chosen_at_load];

fn run() -> i32 {
    // SAFETY: it never runs, since the module can't be packed.
    unsafe { core::hint::black_box(&TABLE)[0]() };
    0
}
