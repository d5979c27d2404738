//! The entries of the kernel: PVH ([`pvh`]: QEMU's `-kernel`) and the `bootloader` crate. Both end in [`take_over`]
//! with a [`BootInfo`].

mod pvh;
mod screen;

use bareflow_containment::{clock, cpu};
use bootloader_api::config::Mapping;
use bootloader_api::{BootInfo, BootloaderConfig, entry_point};

use crate::{console, memory, run};

/// The configuration of the `bootloader` crate.
const CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config.kernel_stack_size = 128 << 10;
    config
};

entry_point!(kernel_main, config = &CONFIG);

fn kernel_main(info: &'static mut BootInfo) -> ! {
    take_over(info, clock::now())
}

/// Takes over the machine and goes on to the run, on the kernel's own stack and in its own page tables. `entered` is the
/// clock when the kernel was entered.
fn take_over(info: &'static mut BootInfo, entered: u64) -> ! {
    console::open();
    if let Some(framebuffer) = info.framebuffer.as_mut() {
        screen::write(framebuffer, "BareFlow runs. Its console is the serial port COM1, at 115200 baud.");
    }
    cpu::enable();
    cpu::disable_pic();
    memory::init(info, pvh::command_line(), entered, run::main)
}
