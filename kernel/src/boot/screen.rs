//! A sentence on the screen of a machine in a graphics mode. It tells someone who sees only the screen that the
//! kernel runs, and where its console is. It is written while the boot loader's mapping of the screen still holds.

use bootloader_api::info::{FrameBuffer, FrameBufferInfo};
use font8x8::legacy::BASIC_LEGACY;

/// The size of a letter's pixel on the screen, in pixels, in both directions.
const SCALE: usize = 2;

/// The size of a letter in both directions, in its own pixels.
const LETTER: usize = 8;

/// Clears the screen to black and writes `text` into its upper left corner; text that does not fit is left out.
pub fn write(screen: &mut FrameBuffer, text: &str) {
    let info = screen.info();
    let pixels = screen.buffer_mut();
    pixels.fill(0);
    for (column, letter) in text.bytes().enumerate() {
        let Some(rows) = BASIC_LEGACY.get(usize::from(letter)) else { continue };
        for (y, row) in rows.iter().enumerate() {
            for x in (0..LETTER).filter(|x| row >> x & 1 != 0) {
                light(pixels, &info, (LETTER * (column + 1) + x) * SCALE, (LETTER + y) * SCALE);
            }
        }
    }
}

/// Fills the square that one pixel of a letter takes on the screen with white.
fn light(pixels: &mut [u8], info: &FrameBufferInfo, left: usize, top: usize) {
    if left + SCALE > info.width || top + SCALE > info.height {
        return;
    }
    for line in top..top + SCALE {
        let start = (line * info.stride + left) * info.bytes_per_pixel;
        // White has all bits of each colour set, in any order of the colours.
        if let Some(square) = pixels.get_mut(start..start + SCALE * info.bytes_per_pixel) {
            square.fill(0xff);
        }
    }
}
