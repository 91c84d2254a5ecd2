//! What memory costs: loading, changing and storing the 64 bytes of the same devices in the same order.

use std::hint::black_box;
use std::time::Duration;

use crate::usage::busy;

/// As large as what the engine must touch of a device, and as aligned.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u64; 8]);

/// How many lines are asked for before the first of them is changed, with [`Floor::grouped`].
const GROUP: usize = 16;

/// A line a device, by the devices' numbers.
#[derive(Debug)]
pub struct Floor {
    lines: Vec<Line>,
}

impl Floor {
    /// Lines of so many devices.
    pub fn new(devices: usize) -> Self {
        // Not zeros, which the system would not give memory for before they are changed.
        Self { lines: vec![Line([1; 8]); devices] }
    }

    /// Takes the devices one by one: the floor that ratios go against.
    pub fn plain(&mut self, devices: &[u32]) -> Duration {
        let lines = black_box(&mut self.lines);
        let ((), took) = busy(|| {
            for (turn, device) in devices.iter().enumerate() {
                lines[*device as usize].change(turn as u64);
            }
        });
        took
    }

    /// Takes the devices in small groups whose lines are all asked for first, so that the memory's answers overlap.
    pub fn grouped(&mut self, devices: &[u32]) -> Duration {
        let lines = black_box(&mut self.lines);
        let ((), took) = busy(|| {
            for (turn, group) in devices.chunks(GROUP).enumerate() {
                let early = group.iter().fold(0, |early, device| early ^ lines[*device as usize].0[0]);
                black_box(early);
                for device in group {
                    lines[*device as usize].change(turn as u64);
                }
            }
        });
        took
    }
}

impl Line {
    fn change(&mut self, turn: u64) {
        for word in &mut self.0 {
            *word = word.wrapping_mul(3).wrapping_add(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_cache_line_and_both_floors_change_every_device_named() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
        let devices: Vec<u32> = (0..100).filter(|device| device % 3 == 0).collect();
        for way in [Floor::plain, Floor::grouped] {
            let mut floor = Floor::new(100);
            way(&mut floor, &devices);
            let changed: Vec<u32> =
                (0..100).filter(|device| floor.lines[*device as usize].0 != [1; 8]).collect();
            assert_eq!(changed, devices);
        }
    }
}
