use super::*;
use std::borrow::ToOwned;
use std::string::{String, ToString};
use std::vec::Vec;

use bareflow_abi::header::FLAG_INIT;
use bareflow_abi::parameters::ParameterType;
use bareflow_abi::record::PARAMETERS;
use proptest::prelude::*;

use crate::error::InvalidModule;
use crate::fault::{Fault, FaultKind};
use crate::format::raw::RawModule;
use crate::format::valid::{Capabilities, ValidModule};
use crate::policy::{FaultPolicy, LoadOptions};
use crate::profile::Timing;
use crate::testing::{FakePlatform, blob, manager};

bareflow_abi::parameters! {
    struct Settings {
        #[range(68..=9000)]
        mtu: u32 = 1500,
        verbose: bool = false,
        hostname: bareflow_abi::parameters::Text<8> = bareflow_abi::parameters::Text::new("flow"),
        #[range(0.5..=2.0)]
        gain: f32 = 1.0,
    }
}

bareflow_abi::parameters! {
    struct Narrower {
        #[range(1000..=2000)]
        mtu: u16 = 1400,
    }
}

/// Returns the list that the packer takes from a module.
fn list<P: bareflow_abi::parameters::DeclaredParameters>() -> Vec<u8> {
    let bytes: [u8; 512] = bareflow_abi::__private::encode_list(P::DECLARATIONS);
    bytes[..bareflow_abi::__private::list_size(P::DECLARATIONS)].to_owned()
}

/// Returns a blob named `net`, with an `init` and this list.
fn net(minor: u32, list: &[u8]) -> Vec<u8> {
    let mut bytes = blob::version("net", 1, minor);
    blob::change_header(&mut bytes, |header| header.flags |= FLAG_INIT);
    blob::add_record(&mut bytes, PARAMETERS, list);
    bytes
}

/// Loads a blob whose calls return 0. Returns the reasons of the calls, or why it was refused.
fn load(bytes: &[u8], parameters: &str) -> Result<Vec<Reason>, String> {
    let platform = FakePlatform::default();
    platform.results.borrow_mut().extend([Ok(0); 2]);
    let options = LoadOptions::default();
    manager(&platform, Timing::Fast)
        .load_with(bytes, options.with_parameters(&parameters))
        .map_err(|error| error.to_string())?;
    Ok(platform.reasons.take())
}

#[test]
fn hands_them_over_before_init_and_only_where_some_are_set() {
    let bytes = net(0, &list::<Settings>());
    assert_eq!(load(&bytes, ""), Ok([Reason::Init].into()));
    assert_eq!(load(&bytes, "other.mtu=1\n"), Ok([Reason::Init].into()));
    assert_eq!(load(&bytes, "net.mtu"), Ok([Reason::Init].into()));
    let both: Vec<_> = [Reason::Parameters, Reason::Init].into();
    for parameters in ["net.mtu=9000", "net.mtu=0x44\nnet.verbose=true", "net.hostname=\nother.mtu=x\nnet.gain=0.5\n"] {
        assert_eq!(load(&bytes, parameters), Ok(both.clone()), "{parameters}");
    }
}

#[test]
fn rejects_by_name_what_can_not_be_set() {
    let bytes = net(0, &list::<Settings>());
    for (parameters, expected) in [
        ("net.mtuu=1", "unknown parameter: mtuu; set one that the module has, see `inspect`"),
        ("net.mtuu", "unknown parameter: mtuu; set one that the module has, see `inspect`"),
        ("net.mtu=1\nnet.mtu=2", "mtu is set twice; set it once"),
        ("net.mtu=9001", "mtu: \"9001\", expected u32, 68 to 9000; set it to such a value"),
        ("net.mtu=-1", "mtu: \"-1\", expected u32, 68 to 9000; set it to such a value"),
        ("net.mtu=", "mtu: \"\", expected u32, 68 to 9000; set it to such a value"),
        ("net.gain=nan", "gain: \"nan\", expected f32, 0.5 to 2; set it to such a value"),
        ("net.verbose=yes", "verbose: \"yes\", expected true or false; set it to such a value"),
        ("net.hostname=ninebytes", "hostname: \"ninebytes\", expected Text of at most 8 bytes; set it to such a value"),
        ("mtu=1", "\"mtu=1\" sets no parameter, expected MODULE.PARAMETER=VALUE without control characters"),
    ] {
        assert_eq!(load(&bytes, parameters), Err(expected.to_owned()), "{parameters}");
    }
    let error = load(&blob::version("net", 1, 0), "net.mtu=1").unwrap_err();
    assert_eq!(error, "unknown parameter: mtu; set one that the module has, see `inspect`");
}

#[test]
fn a_module_that_does_not_take_them_is_refused() {
    let bytes = net(0, &list::<Settings>());
    let options = LoadOptions::default();
    let fault = Fault { kind: FaultKind::Panic, offset: None, address: None };
    for (result, expected) in [
        (Ok(7), "the module did not take its parameters: it returned 7, expected 0; rebuild it or copy it again"),
        (Err(fault), "the module faulted when it was to take its parameters: panic outside the module; rebuild it"),
    ] {
        let platform = FakePlatform::default();
        platform.results.borrow_mut().push_back(result);
        let manager = manager(&platform, Timing::Fast);
        let error = manager.load_with(&bytes, options.with_parameters(&"net.mtu=68")).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        if result.is_err() {
            let found = manager.load_fault(&bytes, &options, &error).unwrap().to_string();
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!((platform.images.get(), manager.ids().count()), (0, 0));
    }
}

#[test]
fn hands_them_over_again_behind_a_restart() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
    platform.results.borrow_mut().extend([Ok(0); 2]);
    let id = manager.load_with(&net(0, &list::<Settings>()), options.with_parameters(&"net.mtu=68")).unwrap();
    platform.reasons.take();
    let fault = Fault { kind: FaultKind::Panic, offset: None, address: None };
    platform.results.borrow_mut().extend([Err(fault), Ok(0), Ok(0)]);
    assert!(manager.execute(id).is_err());
    assert_eq!(platform.reasons.take(), [Reason::Run, Reason::Parameters, Reason::Init]);
    assert_eq!(manager.execute(id), Ok(42));
    assert_eq!(manager.parameters(id).as_deref(), Some("net.mtu=68\n"));
}

#[cfg(feature = "reload")]
#[test]
fn takes_them_over_by_name() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let options = LoadOptions::default();
    let full = list::<Settings>();
    let replace = |minor, list: &[u8], parameters: &str| {
        platform.results.borrow_mut().clear();
        platform.results.borrow_mut().extend([Ok(0); 2]);
        let reloaded = manager.replace(&net(minor, list), options.with_parameters(&parameters));
        let id = reloaded.map_err(|error| error.to_string())?.id;
        let set = manager.parameters(id).map(|set| (*set).to_owned());
        Ok::<_, String>(set.unwrap_or_default())
    };
    assert_eq!(replace(0, &full, "net.mtu=9000\nnet.verbose=true").as_deref(), Ok("net.mtu=9000\nnet.verbose=true\n"));
    assert_eq!(replace(1, &full, "").as_deref(), Ok("net.mtu=9000\nnet.verbose=true\n"));
    assert_eq!(
        replace(2, &full, "net.mtu=1999\nnet.gain=2").as_deref(),
        Ok("net.mtu=1999\nnet.verbose=true\nnet.gain=2\n")
    );
    assert_eq!(replace(3, &full, "net.gain").as_deref(), Ok("net.mtu=1999\nnet.verbose=true\n"));
    // What has no place in the new version is refused by name, until it is dropped by name.
    let narrow = list::<Narrower>();
    let gone = "verbose: \"true\" was set for 1.3.0, and this version has no such parameter; set it anew, or to its \
                default by `--set` with its name alone";
    assert_eq!(replace(4, &narrow, ""), Err(gone.to_owned()));
    assert_eq!(replace(4, b"", ""), Err(gone.replace("verbose", "mtu").replace("true", "1999")));
    assert_eq!(replace(4, &narrow, "net.verbose").as_deref(), Ok("net.mtu=1999\n"));
    assert_eq!(
        replace(5, &narrow, "net.verbose"),
        Err("unknown parameter: verbose; set one that the module has, see `inspect`".to_owned())
    );
    assert_eq!(replace(5, &full, "net.mtu=68").as_deref(), Ok("net.mtu=68\n"));
    let narrower = "mtu: \"68\" was set for 1.5.0, and this version expects u16, 1000 to 2000; set it anew, or to its \
                    default by `--set` with its name alone";
    assert_eq!(replace(6, &narrow, ""), Err(narrower.to_owned()));
    assert_eq!(replace(6, &narrow, "net.mtu").as_deref(), Ok(""));
    // A version beside it takes them over as well, and one without a record does not go unnoticed.
    assert_eq!(replace(7, &full, "net.mtu=68").as_deref(), Ok("net.mtu=68\n"));
    platform.results.borrow_mut().extend([Ok(0); 2]);
    let beside = manager.load_versioned(&net(8, &full), &options).unwrap();
    assert_eq!(manager.parameters(beside).as_deref(), Some("net.mtu=68\n"));
    let error = manager.replace(&blob::version("net", 2, 0), &options).unwrap_err().to_string();
    assert!(error.starts_with("mtu: \"68\" was set for 1.7.0, and this version has no such parameter"), "{error}");
}

#[test]
fn rejects_invalid_lists() {
    let validate = |bytes: &[u8]| {
        let capabilities =
            Capabilities { services: 0, cpu_level: 1, checksum: bareflow_abi::checksum::Crc32c::SOFTWARE };
        ValidModule::validate(RawModule::parse(bytes).unwrap(), capabilities).map(|_| ())
    };
    let full = list::<Settings>();
    assert_eq!(validate(&net(0, &full)), Ok(()));
    let mut twice = net(0, &full);
    blob::add_record(&mut twice, PARAMETERS, &full);
    assert_eq!(validate(&twice), Err(InvalidModule::TwoParameterLists));
    let cut = validate(&net(0, &full[..full.len() - 1])).unwrap_err();
    assert!(matches!(cut, InvalidModule::Parameter { number: 4, .. }), "{cut}");
    let expected = "bad parameter: number 4: it ends behind the list's end, expected at most 64 names";
    assert!(cut.to_string().starts_with(expected), "{cut}");
}

fn any_value() -> impl Strategy<Value = (ParameterType, u16, String)> {
    prop_oneof![
        any::<u64>().prop_map(|number| (ParameterType::U64, 8, number.to_string())),
        any::<i16>().prop_map(|number| (ParameterType::I16, 2, number.to_string())),
        any::<f32>().prop_map(|number| (ParameterType::F32, 4, number.to_string())),
        any::<f64>().prop_map(|number| (ParameterType::F64, 8, number.to_string())),
        any::<bool>().prop_map(|value| (ParameterType::Bool, 1, value.to_string())),
        any::<char>().prop_map(|value| (ParameterType::Char, 4, value.to_string())),
        ".{0,60}".prop_map(|value| (ParameterType::Text, 256, value)),
    ]
}

proptest! {
    #[test]
    fn a_value_survives_a_round_trip((kind, size, text) in any_value()) {
        let value = Value::parse(kind, &text).unwrap();
        let mut bytes = Vec::new();
        value.encode(size, &mut |part| bytes.extend_from_slice(part));
        prop_assert_eq!(bytes.len(), usize::from(size));
        prop_assert_eq!(Value::decode(kind, &bytes).unwrap().to_string(), value.to_string());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Parameters::check(&bytes);
        for parameter in Parameters::new(&bytes) {
            let _ = std::format!("{}{}", parameter.admitted(), parameter.default);
        }
    }

    #[test]
    fn no_mutation_makes_it_panic(index in any::<prop::sample::Index>(), value in any::<u8>(), line in "net\\.[a-z]*=.{0,9}") {
        let mut bytes = list::<Settings>();
        let index = index.index(bytes.len());
        bytes[index] = value;
        let _ = load(&net(0, &bytes), &line);
    }
}
