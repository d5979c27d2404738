//! The VGA text screen: 80 columns, 25 rows, a character and its colours in
//! two bytes each (IBM VGA technical reference, alphanumeric modes).

use bareflow_suite::console::Style;
use x86_64::instructions::port::Port;

use crate::memory::physical;

/// The physical address of the screen's memory.
const ADDRESS: u64 = 0xb8000;

const COLUMNS: usize = 80;
const ROWS: usize = 25;

/// The adapter's miscellaneous output register, for reading (IBM VGA technical reference). Its bits are never all
/// set; without an adapter, all read as ones.
const MISCELLANEOUS_OUTPUT: u16 = 0x3cc;

/// An empty cell: a space in light grey on black.
const BLANK: u16 = 0x0720;

/// The character shown for those outside of ASCII.
const UNKNOWN: u8 = 0xfe;

/// The screen.
pub struct Screen {
    memory: *mut u16,
    column: usize,
    row: usize,
    attribute: u8,
}

// SAFETY: the memory is accessed only through this value, which a lock guards.
unsafe impl Send for Screen {}

impl Screen {
    /// Returns the screen, if there is an adapter, and memory at the address.
    pub fn find() -> Option<Screen> {
        // Without an adapter the address may be ordinary memory, which is not shown.
        // SAFETY: reading the register has no effect.
        if unsafe { Port::<u8>::new(MISCELLANEOUS_OUTPUT).read() } == 0xff {
            return None;
        }
        let mut screen = Screen { memory: physical(ADDRESS).cast(), column: 0, row: 0, attribute: 0x07 };
        let before = screen.read(0);
        screen.write(0, !before);
        let present = screen.read(0) == !before;
        screen.write(0, before);
        if !present {
            return None;
        }
        (0..COLUMNS * ROWS).for_each(|cell| screen.write(cell, BLANK));
        Some(screen)
    }

    /// Shows the text that follows in the colour of `style`.
    pub fn set_style(&mut self, style: Style) {
        self.attribute = match style {
            Style::Plain => 0x07,
            Style::Title => 0x0b,
            Style::Heading | Style::Warning => 0x0e,
            Style::Good => 0x0a,
            Style::Error => 0x0c,
        };
    }

    /// Shows one character; a line feed begins the next line.
    pub fn put(&mut self, character: char) {
        if character == '\n' {
            return self.begin_line();
        }
        if self.column == COLUMNS {
            self.begin_line();
        }
        let byte = match character {
            ' '..='~' => character as u8,
            _ => UNKNOWN,
        };
        self.write(self.row * COLUMNS + self.column, u16::from_le_bytes([byte, self.attribute]));
        self.column += 1;
    }

    fn begin_line(&mut self) {
        self.column = 0;
        if self.row + 1 < ROWS {
            self.row += 1;
            return;
        }
        // SAFETY: source and target are rows of the screen, 0 to 24 and 1 to 24.
        unsafe { self.memory.copy_from(self.memory.add(COLUMNS), COLUMNS * (ROWS - 1)) };
        (COLUMNS * (ROWS - 1)..COLUMNS * ROWS).for_each(|cell| self.write(cell, BLANK));
    }

    fn read(&self, cell: usize) -> u16 {
        // SAFETY: `cell` is below 80 * 25, all of which the physical map covers.
        unsafe { self.memory.add(cell).read_volatile() }
    }

    fn write(&mut self, cell: usize, value: u16) {
        // SAFETY: as above; nothing else uses this memory.
        unsafe { self.memory.add(cell).write_volatile(value) }
    }
}
