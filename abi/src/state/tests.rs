use super::cell::StateCell;
use super::migrate::{restore_state, save_state};
use super::schema::{encode, schema_size};
use super::*;
use crate::context::Context;
use crate::{Reason, Services};

extern crate std;
use std::vec::Vec;

crate::state! {
    /// The first version's state.
    struct First {
        calls: u64 = 7,
        lengths: [u32; 2] = [1, 2],
        on: bool = true,
    }
}

crate::state! {
    /// A later version's state.
    struct Second {
        on: bool = false,
        calls: u64 = 0,
        first: First = First::INITIAL,
    }
}

fn saved<S: State>(state: &S) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.save(&mut |part| bytes.extend_from_slice(part));
    bytes
}

/// Returns the state as a loader passes it to a new version.
fn old<S: State>(state: &S) -> Vec<u8> {
    let schema: [u8; 200] = encode(S::FIELDS);
    let schema = &schema[..schema_size(S::FIELDS)];
    let header = StateHeader { version: [1, 2, 3], schema_length: schema.len() as u32 };
    [&header.to_bytes(), schema, &saved(state)].concat()
}

#[test]
fn has_its_fields_one_behind_the_other() {
    assert_eq!((First::SIZE, Second::SIZE), (17, 26));
    assert_eq!(saved(&First::INITIAL), [7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1]);
    assert_eq!(First::restore(&mut &saved(&First::INITIAL)[..]), Some(First::INITIAL));
    assert_eq!(First::restore(&mut &saved(&First::INITIAL)[1..]), None);
}

#[test]
fn a_schema_survives_a_round_trip() {
    let bytes: [u8; schema_size(Second::FIELDS)] = encode(Second::FIELDS);
    let schema = Schema::parse(&bytes).unwrap();
    assert!(schema.fields().eq(Second::FIELDS.iter().copied()));
    assert_eq!((schema.size, schema.fingerprint), (26, Second::FINGERPRINT));
    for length in 0..bytes.len() {
        assert_eq!(Schema::parse(&bytes[..length]), None, "{length}");
    }
}

#[test]
fn fingerprints_tell_fields_apart() {
    mod other {
        crate::state! {
            pub struct Renamed { pub count: u64 = 7, pub lengths: [u32; 2] = [1, 2], pub on: bool = true }
        }
        crate::state! {
            pub struct Retyped { pub calls: i64 = 7, pub lengths: [u32; 2] = [1, 2], pub on: bool = true }
        }
        crate::state! {
            pub struct Same { pub calls: u64 = 9, pub lengths: [u32; 2] = [0; 2], pub on: bool = false }
        }
    }
    assert_ne!(First::FINGERPRINT, other::Renamed::FINGERPRINT);
    assert_ne!(First::FINGERPRINT, other::Retyped::FINGERPRINT);
    assert_eq!(First::FINGERPRINT, other::Same::FINGERPRINT);
}

#[test]
fn an_old_state_is_read_by_name() {
    let input = old(&First { calls: 41, ..First::INITIAL });
    let old = PreviousState::parse(&input).unwrap();
    assert_eq!(old.version, [1, 2, 3]);
    assert_eq!((old.get::<u64>("calls"), old.get::<[u32; 2]>("lengths")), (Some(41), Some([1, 2])));
    assert_eq!((old.get::<i64>("calls"), old.get::<u64>("call")), (None, None));
    assert!(PreviousState::parse(&input[..input.len() - 1]).is_none());
}

static SERVICES: Services = Services::NONE;

/// Migrates the state of another version, unless it has no calls.
fn migrate(old: &PreviousState<'_>, state: &mut Second) -> i32 {
    state.calls = old.get("calls").unwrap_or(0);
    i32::from(state.calls == 0)
}

#[test]
fn takes_over_what_is_the_same_and_migrates_what_is_not() {
    let taken = |input: &[u8], migrate: Option<fn(&PreviousState<'_>, &mut Second) -> i32>| {
        let mut state = Second::INITIAL;
        let result = restore_state(&mut state, &Context::new(&SERVICES, input, &mut []), migrate);
        (result, state.calls)
    };
    assert_eq!(taken(&old(&Second { calls: 5, ..Second::INITIAL }), None), (0, 5));
    assert_eq!(taken(&old(&First::INITIAL), Some(migrate)), (0, 7));
    assert_eq!(taken(&old(&First { calls: 0, ..First::INITIAL }), Some(migrate)), (1, 0));
    assert_eq!(taken(&old(&First::INITIAL), None).1, 0);
    assert_ne!(taken(&old(&First::INITIAL), None).0, 0);
    assert_ne!(taken(b"nothing such", Some(migrate)).0, 0);
}

#[test]
fn hands_over_all_or_says_no() {
    let mut output = [0; 20];
    let mut context = Context::new(&SERVICES, b"", &mut output);
    assert_eq!(save_state(&First::INITIAL, &mut context), 0);
    assert_eq!(context.output_length(), First::SIZE);
    assert_ne!(save_state(&First::INITIAL, &mut context), 0);
    assert_eq!(Reason::ALL.map(|reason| reason as u32), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
#[should_panic(expected = "two calls have the state at once")]
fn lends_a_state_once() {
    let cell = StateCell::new(First::INITIAL);
    cell.enter(|state| {
        state.calls += 1;
        cell.enter(|_| ());
    });
}
