//! When to look whether a member has fallen silent.

use std::collections::BTreeSet;
use std::ops::Range;

use geopush_model::UnixMillis;

/// Members' places in blocks, each with a time before which nobody there expires. Pings put that off without being noted,
/// and so does who leaves: then a block is looked at in vain, once.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// By block.
    due_at: Vec<UnixMillis>,
    /// The blocks with anybody to expect, by time.
    blocks: BTreeSet<(UnixMillis, u32)>,
}

impl Looks {
    const BLOCK: u32 = 32;
    const NEVER: UnixMillis = UnixMillis(i64::MAX);

    /// The member at a place does not expire before this.
    #[inline]
    pub(super) fn expect(&mut self, place: u32, at: UnixMillis) {
        let block = place / Self::BLOCK;
        let number = block as usize;
        if number >= self.due_at.len() {
            self.due_at.resize(number + 1, Self::NEVER);
        }
        if at < self.due_at[number] {
            self.blocks.remove(&(self.due_at[number], block));
            self.blocks.insert((at, block));
            self.due_at[number] = at;
        }
    }

    /// Whether anybody may have expired.
    pub(super) fn are_due(&self, now: UnixMillis) -> bool {
        self.blocks.first().is_some_and(|(at, _)| *at <= now)
    }

    /// The next places to look at, if that is due. Who is still there must be expected again.
    pub(super) fn pop(&mut self, now: UnixMillis) -> Option<Range<u32>> {
        if !self.are_due(now) {
            return None;
        }
        let (_, block) = self.blocks.pop_first()?;
        self.due_at[block as usize] = Self::NEVER;
        Some(block * Self::BLOCK..(block + 1) * Self::BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_looked_at_when_the_first_of_its_members_may_have_expired() {
        let mut looks = Looks::default();
        for (place, at) in [(1, 50), (2, 40), (31, 60), (32, 45), (100, 90)] {
            looks.expect(place, UnixMillis(at));
        }
        assert!(!looks.are_due(UnixMillis(39)));
        assert_eq!(looks.pop(UnixMillis(39)), None);
        assert_eq!(looks.pop(UnixMillis(40)), Some(0..32));
        // Who is still there is expected again.
        looks.expect(1, UnixMillis(50));
        assert_eq!(looks.pop(UnixMillis(49)), Some(32..64));
        assert_eq!(looks.pop(UnixMillis(89)), Some(0..32));
        assert_eq!(looks.pop(UnixMillis(89)), None);
        assert_eq!(looks.pop(UnixMillis(90)), Some(96..128));
    }
}
