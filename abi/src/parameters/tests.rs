use super::declaration::{encode_list, list_size};
use super::*;
use crate::Services;

extern crate std;
use std::string::{String, ToString};
use std::vec::Vec;

crate::parameters! {
    /// One parameter of each kind.
    struct Settings {
        /// The longest frame, in bytes.
        /// Jumbo frames have 9000.
        #[range(68..=9000)]
        mtu: u32 = 1500,
        offset: i8 = -3,
        #[range(-0.5..=0.5)]
        gain: f32 = 0.25,
        verbose: bool = false,
        mark: char = 'ä',
        hostname: Text<8> = Text::new("flow"),
    }
}

const LIST: &[Declaration] = Settings::DECLARATIONS;
const RECORD: [u8; list_size(LIST)] = encode_list(LIST);

fn parameters() -> Vec<Parameter<'static>> {
    Parameters::new(&RECORD).collect()
}

/// Returns the values of all parameters, of which `name` is set to `value`.
fn values(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for parameter in parameters() {
        let set = (parameter.name == name).then(|| Value::parse(parameter.kind, value).unwrap());
        set.unwrap_or(parameter.default).encode(parameter.size, &mut |part| bytes.extend_from_slice(part));
    }
    bytes
}

#[test]
fn lists_what_is_declared() {
    assert_eq!(Parameters::check(&RECORD), Ok(6));
    let shown: Vec<String> = parameters()
        .iter()
        .map(|found| std::format!("{}: {} = {}", found.name, found.admitted(), found.default))
        .collect();
    let expected = [
        "mtu: u32, 68 to 9000 = 1500",
        "offset: i8, -128 to 127 = -3",
        "gain: f32, -0.5 to 0.5 = 0.25",
        "verbose: bool = false",
        "mark: char = 'ä'",
        "hostname: Text of at most 8 bytes = \"flow\"",
    ];
    assert_eq!(shown, expected);
    assert_eq!(parameters()[0].description, " The longest frame, in bytes.\n Jumbo frames have 9000.\n");
}

#[test]
fn takes_values_once() {
    let input = values("hostname", "kernel");
    let mut context = Context::new(&Services::NONE, &input, &mut []);
    assert_eq!(Settings::get(), Settings::DEFAULT);
    assert_eq!(set_parameters::<Settings>(&mut Context::new(&Services::NONE, &input[1..], &mut [])), NO_VALUES);
    assert_eq!(set_parameters::<Settings>(&mut context), 0);
    let expected = Settings { hostname: Text::new("kernel"), ..Settings::DEFAULT };
    assert_eq!(Settings::get(), expected);
    assert_eq!(set_parameters::<Settings>(&mut context), NO_VALUES);
    assert_eq!(&*Settings::get().hostname, "kernel");
}

#[test]
fn rejects_values_out_of_bounds() {
    for (index, text, is_admitted) in [
        (0, "68", true),
        (0, "67", false),
        (0, "0x2328", true),
        (0, "0x2329", false),
        (1, "128", false),
        (2, "-.5", true),
        (2, "nan", false),
        (2, "inf", false),
        (5, "12345678", true),
        (5, "123456789", false),
    ] {
        let parameter = parameters()[index];
        assert_eq!(parameter.admits(&Value::parse(parameter.kind, text).unwrap()), is_admitted, "{text}");
    }
}

#[test]
fn rejects_what_is_no_value() {
    for (index, text) in
        [(0, ""), (0, "1.5"), (0, "0xg"), (0, "1 "), (2, "x"), (3, "yes"), (3, "1"), (4, "ab"), (4, "")]
    {
        assert_eq!(Value::parse(parameters()[index].kind, text), None, "{text}");
    }
}

#[test]
fn rejects_lists_that_are_cut_off() {
    let mut ends = 0;
    for length in 0..RECORD.len() {
        match Parameters::check(&RECORD[..length]) {
            Ok(count) => {
                assert_eq!(count, ends);
                ends += 1;
            }
            Err(found) => assert_eq!(found, (ends, BadParameter::CutOff), "{length}"),
        }
    }
    assert_eq!(ends, 6);
}

/// An entry with these fields, then these bytes.
fn entry(kind: u8, size: u16, name: &str, behind: &[u8]) -> Vec<u8> {
    let [low, high] = size.to_le_bytes();
    [&[kind, name.len() as u8, low, high, 0, 0], name.as_bytes(), behind].concat()
}

#[test]
fn rejects_lists_made_by_hand() {
    let good = entry(1, 1, "a", &[5, 0, 9]);
    assert_eq!(Parameters::check(&good), Ok(1));
    let text_that_lies = entry(13, 3, "a", &[3, b'x', b'y']);
    for (list, number, why) in [
        (entry(1, 1, "a", &[5, 9, 0]), 1, BadParameter::Bounds),
        (entry(1, 1, "a", &[10, 0, 9]), 1, BadParameter::Default),
        (entry(9, 4, "a", &[[0, 0, 0xc0, 0x7f]; 3].concat()), 1, BadParameter::Bounds),
        (entry(1, 1, "", &[5, 0, 9]), 1, BadParameter::Name),
        (entry(1, 1, "A", &[5, 0, 9]), 1, BadParameter::Name),
        (entry(1, 1, &"a".repeat(32), &[5, 0, 9]), 1, BadParameter::Name),
        ([good.clone(), good.clone()].concat(), 2, BadParameter::Twice),
        (entry(0, 1, "a", &[5, 0, 9]), 1, BadParameter::Type),
        (entry(14, 1, "a", &[5, 0, 9]), 1, BadParameter::Type),
        (entry(1, 2, "a", &[5, 0, 0, 0, 9, 0]), 1, BadParameter::Type),
        (entry(13, 257, "a", &[0; 257]), 1, BadParameter::Type),
        (entry(11, 1, "a", &[2]), 1, BadParameter::Value),
        (entry(12, 4, "a", &0xd800_u32.to_le_bytes()), 1, BadParameter::Value),
        (entry(13, 2, "a", &[1, 0xff]), 1, BadParameter::Value),
        (text_that_lies, 1, BadParameter::Value),
        (entry(13, 0xffff, "a", &[0]), 1, BadParameter::Type),
        ([&[11, 1, 1, 0, 1, 0, b'a', 0, 0xff][..]].concat(), 1, BadParameter::Description),
        ((0..65).flat_map(|index| entry(11, 1, &index.to_string(), &[0])).collect(), 65, BadParameter::TooMany),
    ] {
        assert_eq!(Parameters::check(&list), Err((number, why)), "{list:02x?}");
    }
}

#[test]
fn values_survive_a_round_trip() {
    for (kind, size, texts) in [
        (ParameterType::U64, 8, ["0", "18446744073709551615"]),
        (ParameterType::I16, 2, ["-32768", "32767"]),
        (ParameterType::F32, 4, ["0.1", "-1e-45"]),
        (ParameterType::F64, 8, ["0.1", "1.7976931348623157e308"]),
        (ParameterType::Bool, 1, ["true", "false"]),
        (ParameterType::Char, 4, ["'", "\u{10ffff}"]),
        (ParameterType::Text, 256, ["", "two\nlines \u{1f980}"]),
    ] {
        for text in texts {
            let value = Value::parse(kind, text).unwrap();
            let mut bytes = Vec::new();
            value.encode(size, &mut |part| bytes.extend_from_slice(part));
            assert_eq!(bytes.len(), usize::from(size));
            assert_eq!(Value::decode(kind, &bytes), Some(value), "{text}");
        }
    }
}
