//! The module on the host, where it does nothing wrong.

extern crate std;

use crate::{GOOD, UNKNOWN, entry};
use bareflow_abi::{Context, Services};
use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;

#[allow(dead_code, reason = "only the names matter here")]
#[path = "../../../common/fault_classes.rs"]
mod fault_classes;

extern "C" fn log(_: *mut Context<'_>, _: *const u8, _: usize) {}
extern "C" fn clock(_: *mut Context<'_>) -> u64 {
    0
}

fn call(input: &[u8]) -> (i32, String) {
    let services = Services::new(log, clock);
    let mut output = [0; 8192];
    let mut context = Context::new(&services, input, &mut output);
    let result = entry(&mut context, 0);
    let length = context.output_length();
    (result, String::from_utf8_lossy(&output[..length]).into_owned())
}

#[test]
fn does_nothing_wrong_by_itself() {
    assert_eq!(call(b"good").0, GOOD);
    assert_eq!(call(b"unknown").0, UNKNOWN);
    assert_eq!(call(b"").0, UNKNOWN);
}

#[test]
fn lists_the_classes_of_which_something_is_expected() {
    let (count, list) = call(b"list");
    let names: Vec<_> = list.lines().collect();
    let expected: Vec<_> = fault_classes::CLASSES.iter().map(|class| class.name).collect();
    assert_eq!(names, expected);
    assert_eq!(usize::try_from(count), Ok(names.len()));
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name occurs twice");
}
