//! The console: COM1 and, where there is one, the VGA text screen.

mod log_ring;
mod vga;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use bareflow_suite::console::{Console, Style};
use bareflow_suite::fallible::NoMemory;
use spin::{Mutex, MutexGuard};

use crate::serial::{COM1, Serial};
use log_ring::LogRing;
use vga::Screen;

/// Both outputs.
struct Output {
    serial: Serial,
    screen: Option<Screen>,
    colour: bool,
}

/// The text that both outputs showed.
static LOG_RING: Mutex<LogRing> = Mutex::new(LogRing::new());

static OUTPUT: Mutex<Option<Output>> = Mutex::new(None);

/// Opens the serial port.
pub fn open() {
    *OUTPUT.lock() = Some(Output { serial: Serial::open(COM1), screen: None, colour: false });
}

/// Uses the VGA text screen as well, if the machine has one.
pub fn open_screen() {
    if let Some(output) = OUTPUT.lock().as_mut() {
        output.screen = Screen::find();
    }
}

/// Sends colours over the serial port from now on.
pub fn use_colour() {
    if let Some(output) = OUTPUT.lock().as_mut() {
        output.colour = true;
    }
}

/// Shows text.
pub fn show(style: Style, text: fmt::Arguments<'_>) {
    if let Some(output) = output().as_mut() {
        output.show(style, text);
    }
}

/// Waits until everything that was shown has left the serial port. Called before the machine is left.
pub fn flush() {
    if let Some(output) = OUTPUT.try_lock().as_deref().and_then(Option::as_ref) {
        output.serial.flush();
    }
}

/// Returns the lines shown from number `from` on, counted from 0, as far as they are kept, and the number of the
/// first of them.
///
/// # Errors
/// [`NoMemory`].
pub fn lines_from(from: u64) -> Result<(u64, Vec<String>), NoMemory> {
    LOG_RING.lock().lines_from(from)
}

/// Returns the outputs, even if a trap interrupted code that was using them.
fn output() -> MutexGuard<'static, Option<Output>> {
    if let Some(output) = OUTPUT.try_lock() {
        return output;
    }
    // SAFETY: there is one processor, so the holder is the interrupted code. It is not resumed in the middle of a
    // write: a trap in the kernel ends the kernel, and one in a module does not interrupt the console.
    unsafe { OUTPUT.force_unlock() };
    OUTPUT.lock()
}

/// The console as the loader and the suite use it.
pub struct KernelConsole;

impl Console for KernelConsole {
    fn show(&self, style: Style, text: fmt::Arguments<'_>) {
        show(style, text);
    }
}

impl Output {
    fn show(&mut self, style: Style, text: fmt::Arguments<'_>) {
        let escape = if self.colour { ansi(style) } else { "" };
        self.serial.send(escape.as_bytes());
        if let Some(screen) = &mut self.screen {
            screen.set_style(style);
        }
        // Neither output returns an error.
        let _ = self.write_fmt(text);
        if !escape.is_empty() {
            self.serial.send(b"\x1b[0m");
        }
    }
}

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The screen comes first: a line that was read on the serial port is on the screen, too.
        if let Some(screen) = &mut self.screen {
            text.chars().for_each(|character| screen.put(character));
        }
        self.serial.send(text.as_bytes());
        // No one else holds the lock, except for moments in which no trap shows anything.
        if let Some(mut log_ring) = LOG_RING.try_lock() {
            log_ring.push(text);
        }
        Ok(())
    }
}

/// Returns the escape sequence of the style's colour.
fn ansi(style: Style) -> &'static str {
    match style {
        Style::Plain => "",
        Style::Title => "\x1b[36m",
        Style::Heading | Style::Warning => "\x1b[33m",
        Style::Good => "\x1b[32m",
        Style::Error => "\x1b[31m",
    }
}
