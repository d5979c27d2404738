//! The kernel's command line: `key=value`, separated by spaces.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_loader::Timing;

/// What the command line asks for.
pub struct Options {
    /// How the clock is read around calls.
    pub timing: Timing,
    /// How often every module but the four is run.
    pub repeat: u32,
    /// Whether the serial console shows colours.
    pub colour: bool,
    /// Whether a clock tick is an instruction, which only the one who starts the machine knows.
    pub icount: bool,
    /// Whether the machine is halted at the end instead of left.
    pub halt: bool,
    /// Whether the kernel checks itself instead of running modules.
    pub selfcheck: bool,
    /// What could not be understood.
    pub warnings: Vec<String>,
}

impl Options {
    /// Reads a command line.
    pub fn read(line: &str) -> Options {
        let mut options = Options {
            timing: Timing::Precise,
            repeat: 1,
            colour: false,
            icount: false,
            halt: false,
            selfcheck: false,
            warnings: Vec::new(),
        };
        for word in line.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            if let Err(expected) = options.set(key, value) {
                options.warnings.push(format!("command line: \"{word}\", expected {expected}; it is passed over"));
            }
        }
        options
    }

    /// Sets one option, or says what was expected.
    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "timing" => self.timing = Timing::from_name(value).ok_or("timing=precise or timing=fast")?,
            "repeat" => {
                let number = value.parse().ok().filter(|&number| number > 0);
                self.repeat = number.ok_or("repeat=N with N from 1 to 4294967295")?;
            }
            "color" => self.colour = flag(value, "1", "0", "color=0 or color=1")?,
            "clock" => self.icount = flag(value, "icount", "tsc", "clock=tsc or clock=icount")?,
            "exit" => self.halt = flag(value, "halt", "leave", "exit=leave or exit=halt")?,
            "selfcheck" => self.selfcheck = flag(value, "1", "0", "selfcheck=0 or selfcheck=1")?,
            _ => return Err("timing, repeat, color, clock, exit or selfcheck"),
        }
        Ok(())
    }
}

fn flag(value: &str, yes: &str, no: &str, expected: &'static str) -> Result<bool, &'static str> {
    if value == yes || value == no { Ok(value == yes) } else { Err(expected) }
}
