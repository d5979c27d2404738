use super::services::{AND_RETURN_42, logging};
use super::*;
use std::cell::{Cell, OnceCell};

/// A platform and its images, which the log callback can use once they exist.
type Known = Rc<OnceCell<(HostPlatform, Vec<Image>)>>;
type Results = [Result<i32, Fault>; 2];

/// Calls the last of the images; when it logs for the first time, the first of them is called.
fn nest(images: &[(&[u8], Placement)]) -> Results {
    let known: Known = Rc::default();
    let result = Rc::new(Cell::new(None));
    let (seen, found) = (Rc::downgrade(&known), Rc::clone(&result));
    let nested = Cell::new(false);
    let log = move |_: std::fmt::Arguments<'_>| {
        let known = seen.upgrade().unwrap();
        if !nested.replace(true) {
            let (platform, images) = known.get().unwrap();
            found.set(Some(call(platform, &images[0])));
        }
    };
    let platform = HostPlatform::new(Box::new(log)).unwrap();
    let placed = images.iter().map(|(code, placement)| place(&platform, code, placement)).collect();
    let (platform, images) = known.get_or_init(|| (platform, placed));
    let outer = call(platform, images.last().unwrap());
    let (platform, images) = Rc::into_inner(known).and_then(OnceCell::into_inner).unwrap();
    images.into_iter().for_each(|image| platform.release(image));
    [result.take().unwrap(), outer]
}

fn both() -> impl Iterator<Item = [Placement; 2]> {
    let budget = Budget { time_us: 20_000, ..Budget::DEFAULT };
    let pairs = Domain::ALL.into_iter().flat_map(|inner| Domain::ALL.map(|outer| [inner, outer]));
    pairs.map(move |[inner, outer]| [Placement { domain: inner, budget, services: u32::MAX }, usual(outer)])
}

#[test]
fn calls_a_module_from_inside_a_service_of_another() {
    for [inner, outer] in both() {
        let code = logging(&AND_RETURN_42);
        assert_eq!(nest(&[(&RETURN_42, inner), (&code, outer)]), [Ok(42); 2], "{inner:?} {outer:?}");
        for (bad, kind) in [(&[0x0f, 0x0b], FaultKind::InvalidOpcode), (&FOR_EVER, FaultKind::TimeBudget)] {
            let [result, around] = nest(&[(bad, inner), (&code, outer)]);
            assert_eq!((result.unwrap_err().kind, around), (kind, Ok(42)), "{inner:?} {outer:?}");
        }
    }
}

#[test]
fn calls_a_module_from_inside_its_own_service() {
    for domain in Domain::ALL {
        assert_eq!(nest(&[(&logging(&AND_RETURN_42), usual(domain))]), [Ok(42); 2], "{domain:?}");
        // The module faults after its line: first in the inner call, and in the user domain this ends the outer call,
        // too.
        let [inner, outer] = nest(&[(&logging(&[0x0f, 0x0b]), usual(domain))]).map(|result| result.unwrap_err().kind);
        let lost = if domain == Domain::User { FaultKind::GeneralProtection } else { FaultKind::InvalidOpcode };
        assert_eq!((inner, outer), (FaultKind::InvalidOpcode, lost), "{domain:?}");
    }
}
