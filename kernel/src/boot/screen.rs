//! A sentence on the screen of a machine that shows pixels, not text: who sees nothing else learns that the kernel
//! runs, and where its console is. It is written while the boot loader's map of the screen still holds.

use bootloader_api::info::{FrameBuffer, FrameBufferInfo};
use font8x8::legacy::BASIC_LEGACY;

/// Pixels of the screen for each pixel of a letter, in both directions.
const SCALE: usize = 2;

/// Pixels of a letter in both directions.
const LETTER: usize = 8;

/// Writes `text` into the upper left corner of the screen, which is made black; what does not fit is left out.
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

/// Makes the square white that one pixel of a letter is on the screen.
fn light(pixels: &mut [u8], info: &FrameBufferInfo, left: usize, top: usize) {
    if left + SCALE > info.width || top + SCALE > info.height {
        return;
    }
    for line in top..top + SCALE {
        let start = (line * info.stride + left) * info.bytes_per_pixel;
        // White is all bits of each colour, in whatever order they come.
        if let Some(square) = pixels.get_mut(start..start + SCALE * info.bytes_per_pixel) {
            square.fill(0xff);
        }
    }
}
