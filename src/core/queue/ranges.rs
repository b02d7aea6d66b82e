//! A set of job numbers as ranges: a page of a million jobs that is half done is a few numbers, not half a million.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Numbers as ranges that neither touch nor overlap, in order. In JSON `[[1,5],[7,7]]`: both ends belong to a range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// No number.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a number. False if it was in already.
    pub fn insert(&mut self, number: u32) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        if self.0.get(at).is_some_and(|(first, _)| *first <= number) {
            return false;
        }
        let joins_before = at > 0 && self.0[at - 1].1.checked_add(1) == Some(number);
        let joins_after = self.0.get(at).is_some_and(|(first, _)| number.checked_add(1) == Some(*first));
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = number,
            (false, true) => self.0[at].0 = number,
            (false, false) => self.0.insert(at, (number, number)),
        }
        true
    }

    /// Takes a number out. False if it was not in.
    pub fn remove(&mut self, number: u32) -> bool {
        let Some(at) = self.range_of(number) else { return false };
        let (first, last) = self.0[at];
        match (first == number, last == number) {
            (true, true) => {
                self.0.remove(at);
            }
            (true, false) => self.0[at].0 = number + 1,
            (false, true) => self.0[at].1 = number - 1,
            (false, false) => {
                self.0[at].1 = number - 1;
                self.0.insert(at + 1, (number + 1, last));
            }
        }
        true
    }

    /// Whether a number is in.
    pub fn contains(&self, number: u32) -> bool {
        self.range_of(number).is_some()
    }

    /// How many numbers are in.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every number, the smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// The ranges, both ends included.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.0
    }

    fn range_of(&self, number: u32) -> Option<usize> {
        let at = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(at).filter(|(first, _)| *first <= number).map(|_| at)
    }
}

impl FromIterator<u32> for Ranges {
    fn from_iter<T: IntoIterator<Item = u32>>(numbers: T) -> Self {
        let mut ranges = Self::new();
        for number in numbers {
            ranges.insert(number);
        }
        ranges
    }
}

impl Serialize for Ranges {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// Refuses ranges that are out of order, touch or overlap: a status that holds such was not written by a worker.
impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let list = Vec::<(u32, u32)>::deserialize(from)?;
        let in_order = list.iter().all(|(first, last)| first <= last)
            && list.windows(2).all(|pair| pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0));
        if in_order { Ok(Self(list)) } else { Err(serde::de::Error::custom("ranges out of order")) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn in_json_a_range_is_its_two_ends() {
        let ranges: Ranges = [1, 2, 3, 7, 4, 5].into_iter().collect();
        let json = serde_json::to_string(&ranges).expect("JSON");
        assert_eq!(json, "[[1,5],[7,7]]");
        assert_eq!(serde_json::from_str::<Ranges>(&json).expect("ranges"), ranges);
    }

    #[test]
    fn ranges_that_no_worker_wrote_are_refused() {
        for json in ["[[5,1]]", "[[1,3],[2,4]]", "[[1,3],[4,5]]", "[[7,8],[1,2]]", "[[1,4294967295],[0,0]]", "[1]"] {
            assert!(serde_json::from_str::<Ranges>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn they_hold_what_a_set_holds(steps in prop::collection::vec((0_u32..40, any::<bool>()), 0..200)) {
            let (mut ranges, mut set) = (Ranges::new(), BTreeSet::new());
            for (number, add) in steps {
                if add {
                    prop_assert_eq!(ranges.insert(number), set.insert(number));
                } else {
                    prop_assert_eq!(ranges.remove(number), set.remove(&number));
                }
            }
            prop_assert_eq!(ranges.iter().collect::<BTreeSet<_>>(), set.clone());
            prop_assert_eq!(ranges.len() as usize, set.len());
            prop_assert!((0..40).all(|number| ranges.contains(number) == set.contains(&number)));
            prop_assert!(ranges.as_slice().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
