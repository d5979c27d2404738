//! Uses [`Kinds`]: calls each method and checks what comes back.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Context, Out};
use kinds_interface::{Colour, Kinds, KindsError, Mark, Point};

bareflow_abi::module!(check, imports = { kinds: Kinds }, exports = [fail]);

/// Calls each method. Returns 0, or the number of the first check that does not hold.
pub fn check(context: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    let failed = check_kinds(&mut with.kinds);
    if let Err(error) = with.kinds.calls() {
        context.write(&[error as u8]);
    }
    failed
}

/// Calls each method of `kinds`. Returns 0, or the number of the first check that does not hold.
pub fn check_kinds(kinds: &mut (impl Kinds + ?Sized)) -> i32 {
    let mut number = 0;
    let mut failed = 0;
    let mut check = |holds: bool| {
        number += 1;
        if failed == 0 && !holds {
            failed = number;
        }
    };
    check(kinds.unsigned(1, 2, 3, 1 << 40) == Ok((1 << 40) + 6));
    check(kinds.signed(-1, -2, -3, -1 << 40) == Ok((-1 << 40) - 6));
    check(kinds.floats(0.5, -0.25) == Ok(0.25));
    check(kinds.not(true) == Ok(false));
    check(kinds.upper('a') == Ok('A'));
    check(kinds.next_colour(Colour::Red) == Ok(Colour::Green));
    check(kinds.next_colour(Colour::Green) == Ok(Colour::Blue));
    check(kinds.letters("äöü") == Ok(3));
    let points = [Point { x: 1, y: -2, ..Point::default() }, Point { x: 3, y: 4, ..Point::default() }];
    check(kinds.sum(&[5, 6], &points) == Ok(17));
    check(kinds.sum(&[], &[]) == Ok(0));
    let mut point = Point { x: 1, y: 2, marks: [Mark { bits: 3 }, Mark { bits: 4 }] };
    check(kinds.weigh(&point, &[10, 20, 30]) == Ok(70));
    check(kinds.swap(&mut point) == Ok(()) && (point.x, point.y) == (2, 1) && point.marks[1].bits == 4);
    let mut words = [0; 5];
    check(kinds.count(5, &mut words) == Ok(()) && words == [5, 6, 7, 8, 9]);
    let (mut bytes, mut points) = ([0; 8], [Point::default(); 2]);
    let (mut bytes, mut points) = (Out::new(&mut bytes), Out::new(&mut points));
    check(bytes.push(b'>') && kinds.append("abc", &mut bytes, &mut points) == Ok(3));
    check(bytes.written() == b">abc" && points.written().iter().map(|point| point.x).eq([97, 98]));
    let (mut d, mut e, mut f, mut g) = ([0; 3], [0; 2], [0; 4], [0; 4]);
    let (mut f, mut g) = (Out::new(&mut f), Out::new(&mut g));
    let sum = kinds.eight("a", &[1, 2], &[3, 4, 5], &mut d, &mut e, &mut f, &mut g, &point);
    check(sum == Ok(1 + 2 + 6 + 12 + 16) && d == [2; 3] && e == [1; 2]);
    check(f.written() == [1, 2] && g.written() == [3]);
    check(kinds.fail(0) == Ok(()));
    check(kinds.fail(1) == Err(KindsError::First));
    check(kinds.fail(255) == Err(KindsError::Last));
    check(kinds.fail(256 + CallError::Busy as u32) == Err(KindsError::Call(CallError::Busy)));
    check(kinds.seven() == Ok(7));
    check(kinds.calls().is_ok());
    failed
}

/// Lets the provider fail with the number in the input, four bytes. Returns the number of the error that comes back, or 0.
pub fn fail(context: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    let number = context.input().first_chunk().copied().map_or(0, u32::from_le_bytes);
    match with.kinds.fail(number) {
        Ok(()) => 0,
        Err(KindsError::Call(error)) => 256 + error as i32,
        Err(KindsError::First) => 1,
        Err(KindsError::Middle) => 200,
        Err(KindsError::Last) => 255,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::Services;

    #[test]
    fn an_import_without_a_provider_is_not_bound() {
        let mut output = [0; 1];
        let mut context = Context::new(&Services::NONE, b"", &mut output);
        let with = Imports::of(&context);
        assert_eq!(check(&mut context, with), 1);
        assert_eq!(fail(&mut context, with), 256 + CallError::NotBound as i32);
        assert_eq!(output, [CallError::NotBound as u8]);
    }
}
