//! The boot, the console and the exit.

use core::fmt::Write;
use core::ops::Range;

use x86_64::instructions::hlt;
use x86_64::instructions::port::Port;

use crate::memory;

bareflow_pvh::entry!(main);

unsafe extern "C" {
    safe fn kernel_main() -> bool;
}

extern "C" fn main(_start_info: u64, _entered: u64) -> ! {
    memory::init();
    leave(if kernel_main() { 0x10 } else { 0x11 })
}

/// Returns the addresses of the kernel's code and data, with its stack.
pub fn image() -> Range<u64> {
    unsafe extern "C" {
        safe static __image_start: u8;
        safe static __image_end: u8;
    }
    &raw const __image_start as u64..&raw const __image_end as u64
}

/// Returns the page table of the lower half whose entries map 1 GiB each; the first four are in use.
pub fn low_table() -> *mut [u64; 512] {
    unsafe extern "C" {
        static mut pvh_low: [u64; 512];
    }
    &raw mut pvh_low
}

/// The console: COM1.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            // SAFETY: COM1's data port; QEMU takes a byte at any time.
            unsafe { Port::new(0x3f8).write(byte) };
        }
        Ok(())
    }
}

fn leave(value: u32) -> ! {
    // SAFETY: the port of QEMU's exit device.
    unsafe { Port::new(0xf4).write(value) };
    loop {
        hlt();
    }
}

/// Prints a panic of the kernel, and ends the run.
pub fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Console, "{info}");
    leave(0x12)
}
