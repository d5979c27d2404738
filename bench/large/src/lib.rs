//! A large module: it reads a JSON document, writes it again, packs and unpacks the text, searches it and hashes it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use bareflow_abi::Context;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;
use regex_automata::meta::Regex;
use serde_json::{Value, from_str, to_string};
use sha2::{Digest, Sha256};

bareflow_abi::module!(run);

/// The entries of the document.
const ENTRIES: u32 = 200;

/// The lines that are searched for: an entry's name and its share, in Unicode's terms.
const PATTERN: &str = r#""(\w+-\d+)","share":(0\.[0-9]+)"#;

/// Writes the hash of the text and what was found in it. Returns the number of matches; -1 if one of the steps fails, and -2
/// if the text differs after it.
pub fn run(context: &mut Context<'_>) -> i32 {
    work(context).unwrap_or(-1)
}

fn work(context: &mut Context<'_>) -> Option<i32> {
    let mut document = String::from("[");
    for entry in 0..ENTRIES {
        let comma = if entry > 0 { "," } else { "" };
        let share = f64::from(entry) / f64::from(ENTRIES);
        document += &format!(r#"{comma}{{"name":"größe-{entry}","share":{share:.4},"tags":["a",null,true,{entry}]}}"#);
    }
    document += "]";
    let text = to_string(&from_str::<Value>(&document).ok()?).ok()?;
    let packed = compress_to_vec(text.as_bytes(), 6);
    if decompress_to_vec(&packed).ok()? != text.as_bytes() {
        return Some(-2);
    }
    let regex = Regex::new(PATTERN).ok()?;
    let mut matches = 0;
    for found in regex.find_iter(&text) {
        context.write(&text.as_bytes()[found.range()]);
        matches += 1;
    }
    context.write(&Sha256::digest(&packed));
    Some(matches)
}
