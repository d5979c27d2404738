//! Frames that are lost, doubled, late and cut, in one direction of a wire.

use std::collections::VecDeque;

use fastrand::Rng;

/// The most frames that overtake a late one.
const OVERTAKE: u32 = 8;

/// The chances that something happens to a frame, in 10,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chances {
    /// Never arrives.
    pub lost: u32,
    /// Arrives twice.
    pub doubled: u32,
    /// Arrives after up to eight others that were sent later.
    pub late: u32,
    /// Arrives without its end.
    pub cut: u32,
}

/// A fate of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Never arrives.
    Lost,
    /// Arrives twice.
    Doubled,
    /// Arrives after others that were sent later.
    Late,
    /// Arrives without its end.
    Cut,
}

/// One direction, with the frames that are late and the number of those that overtake each still.
#[derive(Debug)]
pub struct Faults {
    random: Rng,
    late: VecDeque<(u32, Vec<u8>)>,
}

impl Faults {
    /// Makes a direction whose faults are those of the seed.
    #[must_use]
    pub fn new(seed: u64) -> Faults {
        Faults { random: Rng::with_seed(seed), late: VecDeque::new() }
    }

    /// Takes a frame. Returns those that arrive now, and what happened to this one.
    pub fn pass(&mut self, mut frame: Vec<u8>, chances: Chances) -> (Vec<Vec<u8>>, Option<Fault>) {
        let fault = self.draw(chances);
        let mut arrive = Vec::new();
        for (left, _) in &mut self.late {
            *left = left.saturating_sub(1);
        }
        match fault {
            Some(Fault::Lost) => (),
            Some(Fault::Late) => self.late.push_back((self.random.u32(1..=OVERTAKE), frame)),
            Some(Fault::Doubled) => arrive.extend([frame.clone(), frame]),
            Some(Fault::Cut) => {
                frame.truncate(self.random.usize(1..frame.len().max(2)));
                arrive.push(frame);
            }
            None => arrive.push(frame),
        }
        while let Some(place) = self.late.iter().position(|(left, _)| *left == 0) {
            arrive.extend(self.late.remove(place).map(|(_, frame)| frame));
        }
        (arrive, fault)
    }

    /// Returns all that are late, since nothing is there to overtake them.
    pub fn flush(&mut self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.late.drain(..).map(|(_, frame)| frame)
    }

    fn draw(&mut self, chances: Chances) -> Option<Fault> {
        let Chances { lost, doubled, late, cut } = chances;
        let mut drawn = self.random.u32(0..10_000);
        let all = [(lost, Fault::Lost), (doubled, Fault::Doubled), (late, Fault::Late), (cut, Fault::Cut)];
        for (chance, fault) in all {
            if drawn < chance {
                return Some(fault);
            }
            drawn -= chance;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a thousand frames of 100 bytes, each with its number.
    fn sent(chances: Chances) -> (Vec<Vec<u8>>, usize) {
        let mut faults = Faults::new(7);
        let (mut came, mut counted) = (Vec::new(), 0);
        for number in 0..1000_u32 {
            let (arrive, fault) = faults.pass([&number.to_le_bytes()[..], &[0; 96]].concat(), chances);
            came.extend(arrive);
            counted += usize::from(fault.is_some());
        }
        came.extend(faults.flush());
        (came, counted)
    }

    #[test]
    fn a_good_wire_carries_all_in_order() {
        let (came, counted) = sent(Chances::default());
        assert_eq!((came.len(), counted), (1000, 0));
        assert!(came.is_sorted_by_key(|frame| u32::from_le_bytes(*frame.first_chunk().unwrap())));
    }

    #[test]
    fn each_fault_is_what_it_says() {
        let (came, counted) = sent(Chances { lost: 1000, ..Chances::default() });
        assert!(counted > 50 && came.len() == 1000 - counted, "{counted}");
        let (came, counted) = sent(Chances { doubled: 1000, ..Chances::default() });
        assert!(counted > 50 && came.len() == 1000 + counted, "{counted}");
        let (came, counted) = sent(Chances { cut: 1000, ..Chances::default() });
        let cut = came.iter().filter(|frame| frame.len() < 100).count();
        assert!(counted > 50 && came.len() == 1000 && cut == counted, "{cut}");
        let (mut came, counted) = sent(Chances { late: 1000, ..Chances::default() });
        assert!(counted > 50 && came.len() == 1000, "{counted}");
        assert!(!came.is_sorted_by_key(|frame| u32::from_le_bytes(*frame.first_chunk().unwrap())));
        came.sort_unstable();
        came.dedup();
        assert_eq!(came.len(), 1000);
    }
}
