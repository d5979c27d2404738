//! How control arrives: by PVH ([`pvh`]: QEMU's `-kernel`) or from the
//! `bootloader` crate. Both end in [`kernel_main`] with a [`BootInfo`].

mod pvh;

use bootloader_api::config::Mapping;
use bootloader_api::{BootInfo, BootloaderConfig, entry_point};

use crate::{console, cpu, memory, run};

/// What the `bootloader` crate is asked for.
const CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config.kernel_stack_size = 128 << 10;
    config
};

entry_point!(kernel_main, config = &CONFIG);

/// Takes the machine over and goes on to the run, on a stack and in page tables of the kernel's own.
fn kernel_main(info: &'static mut BootInfo) -> ! {
    console::open();
    cpu::enable();
    cpu::mask_interrupts();
    memory::take_over(info, pvh::command_line(), run::main)
}
