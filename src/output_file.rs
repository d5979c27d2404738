//! A module's output as a file: unchanged, or a picture as PNG.

use std::io::BufWriter;
use std::path::Path;

use anyhow::{Result, anyhow};

/// A picture; its pixels are in the order of lines.
#[derive(Debug, PartialEq, Eq)]
struct Picture<'bytes> {
    width: u32,
    height: u32,
    colour: bool,
    pixels: &'bytes [u8],
}

/// Writes `bytes` to `path`.
///
/// If its name ends in `.png`, the bytes must be a picture in Netpbm's binary format P6 (colours) or P5 (greys) with
/// values up to 255, which is converted to PNG.
///
/// # Errors
/// When the bytes are no such picture, or the file can't be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("can't write {}: {error}", path.display());
    if path.extension().is_none_or(|extension| extension != "png") {
        return std::fs::write(path, bytes).map_err(|error| failed(&error));
    }
    let Picture { width, height, colour, pixels } = picture(bytes)?;
    let file = std::fs::File::create(path).map_err(|error| failed(&error))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
    encoder.set_color(if colour { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|error| failed(&error))?;
    writer.write_image_data(pixels).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))
}

/// Parses a Netpbm picture.
///
/// The format is `P6` or `P5`, width, height and 255, each preceded by white space, then one white space character and
/// the pixels.
fn picture(bytes: &[u8]) -> Result<Picture<'_>> {
    let start = String::from_utf8_lossy(bytes.get(..8).unwrap_or(bytes)).into_owned();
    let refused = |what: &str| {
        anyhow!(
            "{} bytes that begin with {start:?} are no picture: {what}; name a file that does not end in .png to have them as they are",
            bytes.len()
        )
    };
    let colour = match bytes.get(..2) {
        Some(b"P6") => true,
        Some(b"P5") => false,
        _ => {
            return Err(refused(
                "expected \"P6\" or \"P5\" (Netpbm's binary formats) and width, height and 255 behind it",
            ));
        }
    };
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut number = || {
        let digits = rest.trim_ascii_start();
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, behind) = digits.split_at(length);
        rest = behind;
        std::str::from_utf8(digits).ok()?.parse::<u32>().ok()
    };
    let (width, height, most) = (number(), number(), number());
    let (Some(width @ 1..), Some(height @ 1..), Some(255)) = (width, height, most) else {
        return Err(refused("expected a width, a height and 255"));
    };
    let pixels = rest.split_first().map(|(_, pixels)| pixels).unwrap_or_default();
    let expected = u128::from(width) * u128::from(height) * if colour { 3 } else { 1 };
    if pixels.len() as u128 != expected {
        let found = pixels.len();
        return Err(refused(&format!("{width} by {height} pixels have {expected} bytes, found {found}")));
    }
    Ok(Picture { width, height, colour, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_pictures_as_png_and_all_else_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (png, ppm) = (folder.path().join("a.png"), folder.path().join("a.ppm"));
        let bytes = b"P6 2\n1 255\n\x01\x02\x03\x04\x05\x06";
        write(&png, bytes).unwrap();
        write(&ppm, bytes).unwrap();
        assert_eq!(std::fs::read(ppm).unwrap(), bytes);
        let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(png).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let found = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((found.width, found.height, pixels), (2, 1, vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn reads_greys() {
        let expected = Picture { width: 3, height: 1, colour: false, pixels: b"abc" };
        assert_eq!(picture(b"P5\n3 1\n255\nabc").unwrap(), expected);
    }

    #[test]
    fn rejects_what_is_no_picture() {
        for (bytes, expected) in [
            (&b"hello"[..], "5 bytes that begin with \"hello\" are no picture: expected \"P6\""),
            (b"P6 0 1 255 ", "expected a width, a height and 255"),
            (b"P6 1 1 65535 abcdef", "expected a width, a height and 255"),
            (b"P6 99999999999 1 255 ", "expected a width, a height and 255"),
            (b"P6 2 1 255 abc", "2 by 1 pixels have 6 bytes, found 3"),
            (b"P6 4294967295 4294967295 255 ", "found 0"),
        ] {
            let error = picture(bytes).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
