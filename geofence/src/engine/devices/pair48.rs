//! Two numbers of 48 bits in twelve bytes.

use geopush_model::UnixMillis;

/// Two signed numbers of 48 bits: as times in ms they reach 4,400 years from 1970 either way. What lies further is
/// taken to be at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair48 {
    low: [u32; 2],
    /// The upper 16 bits of each.
    high: u32,
}

impl Pair48 {
    const MOST: i64 = (1 << 47) - 1;

    pub(super) fn new(first: i64, second: i64) -> Self {
        let (first, second) = (Self::clamp(first), Self::clamp(second));
        let high = (first >> 32) as u32 & 0xffff | ((second >> 32) as u32) << 16;
        Self { low: [first as u32, second as u32], high }
    }

    pub(super) fn of_times(first: UnixMillis, second: UnixMillis) -> Self {
        Self::new(first.0, second.0)
    }

    pub(super) fn first(self) -> i64 {
        i64::from(self.high as i16) << 32 | i64::from(self.low[0])
    }

    pub(super) fn second(self) -> i64 {
        i64::from((self.high >> 16) as i16) << 32 | i64::from(self.low[1])
    }

    /// The number that it is kept as.
    pub(super) fn clamp(number: i64) -> i64 {
        number.clamp(-Self::MOST - 1, Self::MOST)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn numbers_read_back_or_are_at_the_end(first: i64, second in -(1_i64 << 49)..1 << 49) {
            let pair = Pair48::new(first, second);
            prop_assert_eq!((pair.first(), pair.second()), (Pair48::clamp(first), Pair48::clamp(second)));
        }
    }

    #[test]
    fn a_pair_takes_twelve_bytes() {
        assert_eq!(size_of::<Pair48>(), 12);
        assert_eq!(Pair48::clamp(i64::MAX) / (365 * 86_400_000), 4_462);
    }
}
