//! `native-gallery NAME FILE COUNT`: calls a function of the gallery with the file's bytes, and prints the result, and
//! the least and the median number of clock ticks of a call.

use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::error::Error;
use std::hint::black_box;

use bareflow_abi::{Context, Services};
use critical_section as _;

/// A module's function.
type Run = fn(&mut Context<'_>) -> i32;

/// All functions, by the names of their modules.
const ALL: [(&str, Run); 15] = [
    ("gallery-blake3", gallery_blake3::run),
    ("gallery-chacha20poly1305", gallery_chacha20poly1305::run),
    ("gallery-ed25519-compact", gallery_ed25519_compact::run),
    ("gallery-embassy-sync", gallery_embassy_sync::run),
    ("gallery-embedded-graphics", gallery_embedded_graphics::run),
    ("gallery-linkme", gallery_linkme::run),
    ("gallery-lz4_flex", gallery_lz4_flex::run),
    ("gallery-miniz_oxide", gallery_miniz_oxide::run),
    ("gallery-nalgebra", gallery_nalgebra::run),
    ("gallery-regex-automata", gallery_regex_automata::run),
    ("gallery-secp256k1", gallery_secp256k1::run),
    ("gallery-serde_json", gallery_serde_json::run),
    ("gallery-sha2", gallery_sha2::run),
    ("gallery-smoltcp", gallery_smoltcp::run),
    ("gallery-wasmi", gallery_wasmi::run),
];

/// The room for output, in bytes: as much as the loader gives.
const OUTPUT: usize = 256 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let [name, file, count] = <[String; 3]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: native-gallery NAME FILE COUNT")?;
    let run = ALL.iter().find(|(known, _)| *known == name).ok_or("no such function")?.1;
    let (input, count) = (std::fs::read(file)?, count.parse::<usize>()?);
    let mut output = vec![0; OUTPUT];
    let mut result = 0;
    let mut times: Vec<u64> = (0..count)
        .map(|_| {
            let start = clock();
            result = black_box(run)(&mut Context::new(&Services::NONE, black_box(&input), &mut output));
            clock() - start
        })
        .collect();
    times.sort_unstable();
    let least = times.first().ok_or("no call, expected one at least")?;
    println!("{result} {least} {}", times[times.len() / 2]);
    Ok(())
}

/// Reads the clock after everything before has completed.
fn clock() -> u64 {
    // SAFETY: every x86-64 processor has the instructions, and Linux lets processes use them.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}
