//! Draws a picture: shapes, and the input as text. It is a binary PPM file (P6, netpbm).

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
use embedded_graphics::mono_font::{MonoTextStyle, ascii::FONT_9X15_BOLD};
use embedded_graphics::pixelcolor::raw::BigEndian;
use embedded_graphics::pixelcolor::{Rgb888, WebColors};
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Circle, PrimitiveStyle, Rectangle, Triangle};
use embedded_graphics::text::{Alignment, Text};

bareflow_abi::module!(run);

/// Pixels of the picture.
const SIZE: (usize, usize) = (128, 64);

type Picture = Framebuffer<
    Rgb888,
    <Rgb888 as PixelColor>::Raw,
    BigEndian,
    { SIZE.0 },
    { SIZE.1 },
    { buffer_size::<Rgb888>(SIZE.0, SIZE.1) },
>;

/// Writes the picture and returns the number of its bytes.
pub fn run(context: &mut Context<'_>) -> i32 {
    let mut picture = Picture::new();
    let text = core::str::from_utf8(context.input()).unwrap_or("not UTF-8");
    let Ok(()) = draw(&mut picture, if text.is_empty() { "BareFlow" } else { text });
    (context.write(b"P6\n128 64\n255") + context.write(b"\n") + context.write(picture.data())) as i32
}

fn draw<Target: DrawTarget<Color = Rgb888>>(target: &mut Target, text: &str) -> Result<(), Target::Error> {
    target.clear(Rgb888::CSS_MIDNIGHT_BLUE)?;
    let fill = PrimitiveStyle::with_fill;
    Rectangle::new(Point::new(4, 40), Size::new(120, 20)).into_styled(fill(Rgb888::CSS_DARK_ORANGE)).draw(target)?;
    Circle::new(Point::new(8, 6), 28).into_styled(PrimitiveStyle::with_stroke(Rgb888::CSS_GOLD, 3)).draw(target)?;
    Triangle::new(Point::new(84, 34), Point::new(120, 34), Point::new(102, 4))
        .into_styled(fill(Rgb888::CSS_TEAL))
        .draw(target)?;
    let style = MonoTextStyle::new(&FONT_9X15_BOLD, Rgb888::CSS_WHITE);
    Text::with_alignment(text, Point::new(64, 54), style, Alignment::Center).draw(target).map(|_| ())
}
