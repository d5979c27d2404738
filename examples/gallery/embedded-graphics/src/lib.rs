//! Draws a picture with the input as text: a binary PPM file (Netpbm's P6), which `--output FILE.png` converts to PNG.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
use embedded_graphics::mono_font::{MonoTextStyle, ascii::FONT_9X15_BOLD};
use embedded_graphics::pixelcolor::{Rgb888, WebColors, raw::BigEndian};
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Circle, PrimitiveStyle, Rectangle, Triangle};
use embedded_graphics::text::{Alignment, Text};

bareflow_abi::module!(run);

/// Writes the picture, and returns its size in bytes.
pub fn run(context: &mut Context<'_>) -> i32 {
    let mut picture = Framebuffer::<Rgb888, _, BigEndian, 128, 64, { buffer_size::<Rgb888>(128, 64) }>::new();
    let text = core::str::from_utf8(context.input()).unwrap_or("not UTF-8");
    let Ok(()) = draw(&mut picture, if text.is_empty() { "BareFlow" } else { text });
    (context.write(b"P6\n128 64\n255\n") + context.write(picture.data())) as i32
}

fn draw<Target: DrawTarget<Color = Rgb888>>(target: &mut Target, text: &str) -> Result<(), Target::Error> {
    let fill = PrimitiveStyle::with_fill;
    target.clear(Rgb888::CSS_MIDNIGHT_BLUE)?;
    Rectangle::new(Point::new(4, 40), Size::new(120, 20)).into_styled(fill(Rgb888::CSS_DARK_ORANGE)).draw(target)?;
    let ring = PrimitiveStyle::with_stroke(Rgb888::CSS_GOLD, 3);
    Circle::new(Point::new(8, 6), 28).into_styled(ring).draw(target)?;
    let [left, right, top] = [(84, 34), (120, 34), (102, 4)].map(|(x, y)| Point::new(x, y));
    Triangle::new(left, right, top).into_styled(fill(Rgb888::CSS_TEAL)).draw(target)?;
    let style = MonoTextStyle::new(&FONT_9X15_BOLD, Rgb888::CSS_WHITE);
    Text::with_alignment(text, Point::new(64, 54), style, Alignment::Center).draw(target).map(|_| ())
}
