//! A list that grows without moving what is in it.

use std::ops::{Index, IndexMut};

/// Lines of one kind in chunks of a megabyte: the first chunk grows like any list, the others are made whole. So a
/// million lines more never cost a pause, nor twice their memory.
#[derive(Debug)]
pub(super) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
    len: u32,
}

impl<T> Chunked<T> {
    const CHUNK_BYTES: usize = 1 << 20;
    /// Lines in a chunk: a power of two, so that a place is found by a shift and a mask.
    const LINES: usize = 1 << (Self::CHUNK_BYTES / size_of::<T>()).ilog2();

    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    /// Adds a line, and says where it is from now on.
    pub(super) fn push(&mut self, line: T) -> u32 {
        let place = self.len;
        let chunk = place as usize / Self::LINES;
        if chunk == self.chunks.len() {
            let capacity = if chunk == 0 { 0 } else { Self::LINES };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        self.chunks[chunk].push(line);
        self.len = place.checked_add(1).expect("fewer lines than a u32 counts");
        place
    }

    /// A line, if there is one at this place.
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.chunks.get(place as usize / Self::LINES)?.get(place as usize % Self::LINES)
    }

    /// All lines in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// The memory it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let lines: usize = self.chunks.iter().map(Vec::capacity).sum();
        lines * size_of::<T>() + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

impl<T> Index<u32> for Chunked<T> {
    type Output = T;

    #[inline]
    fn index(&self, place: u32) -> &T {
        &self.chunks[place as usize / Self::LINES][place as usize % Self::LINES]
    }
}

impl<T> IndexMut<u32> for Chunked<T> {
    #[inline]
    fn index_mut(&mut self, place: u32) -> &mut T {
        &mut self.chunks[place as usize / Self::LINES][place as usize % Self::LINES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_where_they_were_put() {
        let mut lines = Chunked::<[u64; 8]>::new();
        let many = 3 * Chunked::<[u64; 8]>::LINES as u32 + 7;
        for n in 0..many {
            assert_eq!(lines.push([u64::from(n); 8]), n);
        }
        lines[5][0] = 99;
        assert!((6..many).all(|n| lines[n] == [u64::from(n); 8]));
        assert_eq!((lines[5][0], lines.len), (99, many));
    }

    #[test]
    fn no_more_than_a_chunk_is_kept_in_reserve() {
        let mut lines = Chunked::<[u64; 8]>::new();
        for n in 0..50_000_u64 {
            lines.push([n; 8]);
            assert!(lines.bytes() <= 64 * (n as usize + 1) * 2 + 1_000, "the first chunk doubles");
            assert!(lines.bytes() <= 64 * (n as usize + 1) + (1 << 20) + 1_000);
        }
    }
}
