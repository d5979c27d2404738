//! The conditions of a gate: a list of bounded length that needs no allocation.

use core::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Condition;

/// The maximum number of conditions of a gate: each figure twice, and some to spare.
pub const MAX_CONDITIONS: usize = 16;

/// A list of conditions.
///
/// If there are more than [`MAX_CONDITIONS`], the rest is only counted. So a decoder can refuse a request by that
/// number, whatever its sender announced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    list: [Condition; MAX_CONDITIONS],
    asked: usize,
}

impl Default for Conditions {
    fn default() -> Conditions {
        Conditions { list: [Condition::OutputsEqual; MAX_CONDITIONS], asked: 0 }
    }
}

impl Conditions {
    /// Adds a condition, or only counts it if the list is full.
    pub fn push(&mut self, condition: Condition) {
        if let Some(target) = self.list.get_mut(self.asked) {
            *target = condition;
        }
        self.asked = self.asked.saturating_add(1);
    }

    /// Returns the conditions in the list.
    #[must_use]
    pub fn as_slice(&self) -> &[Condition] {
        self.list.get(..self.asked.min(MAX_CONDITIONS)).unwrap_or_default()
    }

    /// Returns the number of conditions that were requested, in the list or not.
    #[must_use]
    pub const fn asked(&self) -> usize {
        self.asked
    }

    /// Returns the number of conditions that did not fit: a gate with such conditions is refused.
    #[must_use]
    pub const fn excess(&self) -> usize {
        self.asked.saturating_sub(MAX_CONDITIONS)
    }
}

impl FromIterator<Condition> for Conditions {
    fn from_iter<I: IntoIterator<Item = Condition>>(iterator: I) -> Conditions {
        let mut conditions = Conditions::default();
        iterator.into_iter().for_each(|condition| conditions.push(condition));
        conditions
    }
}

impl Serialize for Conditions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Conditions, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Conditions;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list of conditions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Conditions, A::Error> {
                let mut conditions = Conditions::default();
                while let Some(condition) = sequence.next_element()? {
                    conditions.push(condition);
                }
                Ok(conditions)
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn travels_as_a_list() {
        let list = vec![Condition::OutputsEqual; 3];
        let bytes = postcard::to_allocvec(&list).unwrap();
        let conditions: Conditions = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(conditions.as_slice(), list);
        assert_eq!(postcard::to_allocvec(&conditions).unwrap(), bytes);
    }

    #[test]
    fn rejects_no_number_of_conditions_but_keeps_sixteen() {
        let bytes = postcard::to_allocvec(&vec![Condition::OutputsEqual; 1_050_000]).unwrap();
        let conditions: Conditions = postcard::from_bytes(&bytes).unwrap();
        assert_eq!((conditions.as_slice().len(), conditions.asked(), conditions.excess()), (16, 1_050_000, 1_049_984));
    }
}
