use std::slice::from_ref;

use bareflow_abi::interface::bindings::Method;
use serde_json::{Value, json};

use super::diff::compare;
use super::exports::Interface;
use super::signature::Signature;
use super::types::Types;

fn types() -> Types {
    let mut types = Types::default();
    for line in [
        "enum E { NoSuchFile = 1, Full = 2 }",
        "enum Colour { Red = 1, Green = -7 }",
        "struct Mark { bits: u16 }",
        "struct Point { x: i32, marks: [Mark; 2] }",
    ] {
        types.define(line).unwrap();
    }
    types
}

fn signature(line: &str) -> Signature {
    Signature::read(line, &types()).unwrap()
}

/// Returns the error of packing arguments.
#[track_caller]
fn mistake(line: &str, arguments: Value) -> String {
    signature(line).pack(&arguments).unwrap_err().to_string()
}

const READ: &str = "fn read(&mut self, path: &str, at: u8, into: &mut [u8], room: &mut Out<'_, i16>) -> Result<u64, E>";

#[test]
fn packs_arguments_and_reads_the_answer() {
    let read = signature(READ);
    let input = read.pack(&json!(["ab", 255, [1, 2, 3], {"room": 4}])).unwrap();
    let words: Vec<_> = input.chunks_exact(8).map(|word| u64::from_le_bytes(*word.first_chunk().unwrap())).collect();
    assert_eq!(words[..7], [64, 2, 255, 16, 3, 32, 8]);
    // Behind the input come the header and the slice; the zeros of the room are left out.
    assert_eq!((&input[64..66], &input[66 + 16..]), (&b"ab"[..], &[1, 2, 3][..]));
    let mut output = [0; 40];
    output[0] = 7;
    output[8] = 4;
    output[16..19].copy_from_slice(&[4, 5, 6]);
    output[32..36].copy_from_slice(&[0xff, 0xff, 1, 0]);
    let answer = read.answer(&input, 0, &output).unwrap();
    assert_eq!(answer.json, json!({"ok": 7, "outputs": {"into": [4, 5, 6], "room": [-1, 1]}}));
    for (status, error) in
        [(1, "NoSuchFile"), (77, "77"), (0x102, "Busy"), (0x1_0007, "BadArgument"), (-1, "BadAnswer")]
    {
        assert_eq!(read.answer(&input, status, &output).unwrap().json, json!({ "error": error }));
    }
    assert!(read.answer(&input, 0, &output[..39]).unwrap_err().to_string().contains("none of this method"));
}

#[test]
fn packs_every_type() {
    let line = "fn f(&self, a: bool, b: char, c: i8, d: f32, e: f64, f: Colour) -> Result<(), CallError>";
    let input = signature(line).pack(&json!([true, "ü", -2, 0.5, "NaN", "Green"])).unwrap();
    let words: Vec<_> = input.chunks_exact(8).map(|word| u64::from_le_bytes(*word.first_chunk().unwrap())).collect();
    assert_eq!(words, [1, 0xfc, -2_i64 as u64, 0x3f00_0000, f64::NAN.to_bits(), -7_i64 as u64]);
    let line = "fn g(&self, one: &Point, all: &[Point], text: &[u8]) -> Result<(), CallError>";
    let point = json!({"x": -1, "marks": [{"bits": 2}, {"bits": 3}]});
    let input = signature(line).pack(&json!([point, [point, point], "hi"])).unwrap();
    let bytes = [0xff, 0xff, 0xff, 0xff, 2, 0, 3, 0];
    assert_eq!(
        (&input[48..56], &input[64..72], &input[72..80], &input[80..]),
        (&bytes[..], &bytes[..], &bytes[..], &b"hi"[..])
    );
}

#[test]
fn rejects_other_arguments() {
    for (arguments, expected) in [
        (json!({}), "{}, expected an array with one value for each argument [path: &str, at: u8,"),
        (json!(["a"]), "1 values, expected 4: [path: &str, at: u8, into: &mut [u8], room: &mut Out<'_, i16>]"),
        (json!([1, 0, [], {"room": 1}]), "argument path: 1, expected a text"),
        (json!(["a", 256, [], {"room": 1}]), "argument at: 256, expected u8 (0 to 255)"),
        (json!(["a", -1, [], {"room": 1}]), "argument at: -1, expected u8"),
        (json!(["a", 1.5, [], {"room": 1}]), "argument at: 1.5, expected u8"),
        (json!(["a", "1", [], {"room": 1}]), "argument at: \"1\", expected u8"),
        (json!(["a", 0, [0, 256], {"room": 1}]), "argument into[1]: 256, expected u8"),
        (json!(["a", 0, 7, {"room": 1}]), "argument into: 7, expected an array of u8"),
        (json!(["a", 0, [], [1]]), "argument room: [1], expected {\"room\": N}"),
        (json!(["a", 0, [], {"room": -1}]), "expected {\"room\": N}"),
        (json!(["a", 0, [], {"room": u64::MAX}]), "expected less"),
        (json!(["a", 0, [], {"room": 1 << 20}]), "argument room: 2097152 bytes, expected fewer"),
        (json!(["a".repeat(2 << 20), 0, [], {"room": 1}]), "argument path: 2097152 bytes, expected fewer"),
    ] {
        let said = mistake(READ, arguments);
        assert!(said.contains(expected) && said.contains(READ) && !said.contains('\n'), "{said}");
    }
    let line = "fn f(&self, one: &Point, colour: Colour, letter: char, part: f32) -> Result<(), CallError>";
    let point = json!({"x": 1, "marks": [{"bits": 1}, {"bits": 1}]});
    for (arguments, expected) in [
        (
            json!([{"x": 1}, "Red", "a", 1]),
            "argument one: no marks, expected Point { x: i32, marks: [Mark { bits: u16 }; 2] }",
        ),
        (json!([{"x": 1, "y": 2}, "Red", "a", 1]), "argument one: no field \"y\", expected Point"),
        (json!([{"x": 1, "marks": [{"bits": 1}]}, "Red", "a", 1]), "argument one.marks: 1 values, expected 2"),
        (
            json!([{"x": 1, "marks": [{"bits": 1}, {"bits": 65536}]}, "Red", "a", 1]),
            "argument one.marks[1].bits: 65536, expected u16",
        ),
        (json!([point, "Blue", "a", 1]), "argument colour: \"Blue\", expected one of \"Red\", \"Green\""),
        (json!([point, "Red", "ab", 1]), "argument letter: \"ab\", expected a text of one letter"),
        (json!([point, "Red", "a", 1e300]), "argument part: 1e+300, expected f32"),
    ] {
        let said = mistake(line, arguments);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn rejects_signatures_that_are_none() {
    let long = format!("fn f(&self, a: [u8; {}]) -> Result<(), E>", "1".repeat(5000));
    for line in [
        "fn f()",
        "fn f(&self)",
        "fn f(&self) -> Result<u8>",
        "fn f(&self, a: Unknown) -> Result<u8, E>",
        "fn f(&self, a: a::b) -> Result<u8, E>",
        "type A;",
        "fn",
        "\u{1b}",
        &long,
    ] {
        assert!(Signature::read(line, &types()).is_err(), "{line}");
    }
    let mut types = types();
    for line in [
        "struct A;",
        "struct A { a: Unknown }",
        "struct A { a: [u8; 65537] }",
        "struct A { a: bool }",
        "enum A { B }",
        "enum A { B = C }",
        "fn a() {}",
        "",
    ] {
        assert!(types.define(line).is_err(), "{line}");
    }
    // Each would be twice as large as the one before it.
    let mut last = "u8".to_owned();
    let grown = (0..64).map(|number| {
        let line = format!("struct S{number} {{ a: {last}, b: {last} }}");
        last = format!("S{number}");
        types.define(&line).is_ok()
    });
    assert!(grown.filter(|defined| *defined).count() < 20);
}

#[test]
fn rejects_what_nests_too_deeply_for_a_parser() {
    for times in [1000, 100_000] {
        for (start, end) in [
            ("[", "; 1]"),
            ("(", ")"),
            ("&", ""),
            ("-", ""),
            ("- ", ""),
            ("A<", ">"),
            ("A<u8, ", ">"),
            ("fn() -> ", ""),
            ("fn(A, B) -> ", ""),
            ("[u8; {", "}]"),
            ("|a, b| ", ""),
            ("!", ""),
            ("return ", ""),
            ("if a {} else ", ""),
            ("a!{", "}"),
        ] {
            for of in ["u8", "[u8; 1]"] {
                let nested = format!("{}{of}{}", start.repeat(times), end.repeat(times));
                for line in [
                    format!("fn f(&self, a: {nested}) -> Result<(), E>"),
                    format!("fn f(&self) -> Result<(), {nested}>"),
                    format!("fn f(&self, a: [u8; {nested}]) -> Result<(), E>"),
                ] {
                    let error = Signature::read(&line, &types()).unwrap_err().to_string();
                    let expected =
                        ["bytes, expected at most 4096", "nested more than 64 levels", "no signature has it"];
                    assert!(expected.iter().any(|part| error.contains(part)), "{error}");
                }
                assert!(types().define(&format!("struct S {{ a: {nested} }}")).is_err());
                assert!(types().define(&format!("enum S {{ A = {nested} }}")).is_err());
            }
        }
    }
    let mut types = types();
    types.define("struct S0 { a: u8 }").unwrap();
    let nested = (1..1000).map(|number| types.define(&format!("struct S{number} {{ a: S{} }}", number - 1)));
    assert_eq!(nested.filter(Result::is_ok).count(), 63);
}

/// Returns an export whose methods have these lines; the fingerprints are those of the lines.
fn export(version: (u16, u16), lines: &[&str], types: &[&str]) -> Interface {
    let mut all = Types::default();
    types.iter().for_each(|line| all.define(line).unwrap());
    let fingerprint = |line: &str| {
        line.bytes().chain(types.concat().bytes()).fold(7, |sum: u64, byte| sum * 31 % 1_000_003 + u64::from(byte))
    };
    let method =
        |line: &&str| Method { fingerprint: fingerprint(line), shape: Signature::read(line, &all).unwrap().shape() };
    Interface {
        import: None,
        name: "files".to_owned(),
        version,
        wanted: String::new(),
        methods: lines.iter().map(method).collect(),
        signatures: lines.iter().map(|&line| line.to_owned()).collect(),
        types: types.iter().map(|&line| line.to_owned()).collect(),
    }
}

/// Returns what breaks if one export replaces another.
fn breaks(old: &Interface, new: &Interface) -> Value {
    serde_json::to_value(compare(from_ref(old), from_ref(new))).unwrap()["breaks"].take()
}

#[test]
fn tells_what_breaks_users() {
    const SIZE: &str = "fn size(&self, path: &str) -> Result<u64, CallError>";
    const AREA: &str = "fn area(&self, of: &Box) -> Result<u64, CallError>";
    let old = export((1, 1), &[SIZE], &[]);
    let with = |line: &str| export((1, 1), &[line], &[]);
    for (new, expected) in [
        (export((1, 2), &[SIZE, "fn free(&self) -> Result<u64, CallError>"], &[]), json!([])),
        (export((1, 0), &[SIZE], &[]), json!(["files 1.1 is 1.0 now, expected 1.1 or a later 1"])),
        (export((2, 1), &[SIZE], &[]), json!(["files 1.1 is 2.1 now, expected 1.1 or a later 1"])),
        (with("fn length(&self, path: &str) -> Result<u64, CallError>"), json!(["files.size is gone"])),
        (
            with("fn size(&mut self, path: &[u8]) -> Result<u32, CallError>"),
            json!([
                "files.size: it takes &mut self, expected &self",
                "files.size: the argument path is &[u8], expected &str",
                "files.size: it returns u32, expected u64"
            ]),
        ),
        (with("fn size(&self) -> Result<u64, CallError>"), json!(["files.size: it has 0 arguments, expected 1"])),
        (Interface { name: "blocks".to_owned(), ..old.clone() }, json!(["files 1.1 is gone"])),
        (Interface { import: Some("source".to_owned()), ..old.clone() }, json!(["files 1.1 is gone"])),
    ] {
        assert_eq!(breaks(&old, &new), expected);
    }
    let [old, new] = ["struct Box { a: u8 }", "struct Box { a: u16 }"].map(|of| export((0, 1), &[AREA], &[of]));
    let expected = "files.area: the argument of is &Box with Box { a: u16 }, expected &Box with Box { a: u8 }";
    assert_eq!(breaks(&old, &new), json!([expected]));
    let stripped = Interface { signatures: Vec::new(), ..new };
    assert_eq!(
        breaks(&old, &stripped),
        json!(["files.area is gone or changed: the signatures of the new one were stripped"])
    );
    let more = export((1, 2), &[SIZE, "fn free(&self) -> Result<u64, CallError>"], &[]);
    let added = serde_json::to_value(compare(&[export((1, 1), &[SIZE], &[])], &[more])).unwrap();
    assert_eq!((&added["added"], &added["compatible"]), (&json!(["files.free"]), &json!(true)));
}
