//! Boots the disk image that `scripts/ci-bios-image` made: the same kernel, booted by a BIOS and the `bootloader`
//! crate, must give the same report.

mod common;

use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bareflow::qemu::{ExitReason, Machine};
use common::console::assert_console;
use common::qmp::qmp;
use common::root;

#[test]
fn boots_from_a_bios_to_the_same_report() {
    let disk = root().join("target/bios-image/bareflow.img");
    assert!(disk.is_file(), "{} is not there; run scripts/ci-bios-image", disk.display());
    let outcome =
        Machine { disk: Some(disk), ..Machine::new(&[]) }.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.exit_reason, ExitReason::Passed, "\n{}\n{}", outcome.console, outcome.complaints);
    let start = outcome.console.find("====").unwrap_or_default();
    assert_console(&outcome.console[start..].replace('\r', ""));
    let report = outcome.report.unwrap_or_else(|| panic!("no report\n{}", outcome.console));
    assert!(report.passed);
    // A call in ring 0 takes some instructions, however the kernel was booted, since it does not enter ring 3.
    let cost = |domain: &str| {
        let found = report.environment.domains.iter().find(|cost| cost.domain == domain);
        found.unwrap_or_else(|| panic!("no cost of a call in the {domain} domain")).empty_call_cycles
    };
    let (kernel, user) = (cost("kernel"), cost("user"));
    assert!(kernel < user / 4, "an empty call: {kernel} cycles in the kernel domain, {user} in the user domain");
}

/// Returns the screen's contents, by way of a file that QEMU writes: the number of columns, and the red of each pixel,
/// row by row.
fn screen(socket: &Path, file: &Path) -> (usize, Vec<u8>) {
    let mut stream = BufReader::new(UnixStream::connect(socket).unwrap());
    qmp(&mut stream, "{\"execute\":\"qmp_capabilities\"}");
    let arguments = format!("{{\"filename\":\"{}\"}}", file.display());
    qmp(&mut stream, &format!("{{\"execute\":\"screendump\",\"arguments\":{arguments}}}"));
    let picture = std::fs::read(file).unwrap();
    // P6, a size, 255, and three bytes for each pixel (ppm(5)).
    let header = picture.splitn(4, |&byte| byte == b'\n').take(3).map(<[u8]>::len).sum::<usize>() + 3;
    let text = String::from_utf8_lossy(&picture[..header]).into_owned();
    let columns = text.split_whitespace().nth(1).and_then(|columns| columns.parse().ok()).unwrap();
    (columns, picture[header..].iter().step_by(3).copied().collect())
}

/// Returns the text in the row of the screen at `top`. Each character consists of 8 by 8 squares of 2 by 2 pixels.
fn text_at(top: usize, columns: usize, pixels: &[u8]) -> String {
    let lit = |x: usize, y: usize| pixels.get((top + 2 * y) * columns + 2 * x).is_some_and(|&red| red > 0);
    let glyph = |place: usize| {
        [0, 1, 2, 3, 4, 5, 6, 7].map(|y| (0..8).map(|x| u8::from(lit(8 * place + x, y)) << x).sum::<u8>())
    };
    let letter = |glyph: [u8; 8]| font8x8::legacy::BASIC_LEGACY.iter().skip(32).position(|&known| known == glyph);
    let letters = (0..columns / 16).map(|place| letter(glyph(place)).map_or('?', |index| char::from(32 + index as u8)));
    letters.collect::<String>().trim().to_owned()
}

#[test]
fn says_on_a_screen_of_pixels_where_its_console_is() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, file) = (folder.path().join("qmp"), folder.path().join("screen.ppm"));
    let disk = root().join("target/bios-image/bareflow.img");
    let machine = Machine { disk: Some(disk), qmp: Some(socket.clone()), ..Machine::new(&[]) };
    let (mut console, mut shown) = (Vec::new(), None);
    let outcome = machine.run(|text| {
        console.extend_from_slice(text);
        if shown.is_none() && console.windows(6).any(|window| window == b"[INIT]") {
            shown = Some(screen(&socket, &file));
        }
    });
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    let (columns, pixels) = shown.unwrap_or_else(|| panic!("{}", outcome.console));
    assert_eq!(text_at(16, columns, &pixels), "BareFlow runs. Its console is the serial port COM1, at 115200 baud.");
}
