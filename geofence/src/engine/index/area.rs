//! A box that is cut into ever smaller ones.

use geopush_geometry::{Bounds, Position, Prepared, Reach};

/// A box of longitudes and latitudes, borders included. Its longitudes may lie beyond ±180: a box at the antimeridian
/// is one box, seen from either side in the turn of the globe that suits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub west: f64,
    pub south: f64,
    pub east: f64,
    pub north: f64,
}

impl Area {
    /// Rows, and columns, that a box is cut into.
    const SIDE: usize = 4;
    /// Parts that a box is cut into.
    pub const PARTS: usize = Self::SIDE * Self::SIDE;

    /// Whether a position is in the box, in this turn of the globe.
    pub fn holds(&self, position: Position) -> bool {
        (self.west..=self.east).contains(&position.lon) && (self.south..=self.north).contains(&position.lat)
    }

    /// Which of the parts holds a position of the box; on a border between them, one of the two.
    pub fn part_at(&self, position: Position) -> usize {
        let (xs, ys) = self.cuts();
        let column = xs[1..Self::SIDE].iter().filter(|x| position.lon >= **x).count();
        let row = ys[1..Self::SIDE].iter().filter(|y| position.lat >= **y).count();
        row * Self::SIDE + column
    }

    /// A part by its number.
    pub fn part(&self, number: usize) -> Self {
        let (xs, ys) = self.cuts();
        let (row, column) = (number / Self::SIDE, number % Self::SIDE);
        Self { west: xs[column], east: xs[column + 1], south: ys[row], north: ys[row + 1] }
    }

    /// How a shape with a margin lies to the box.
    pub fn reach_of(&self, shape: &Prepared, margin_m: f64) -> Reach {
        let reaches = self.sides().map(|bounds| shape.reach(&bounds, margin_m));
        reaches.reduce(|a, b| if a == b { a } else { Reach::Touches }).unwrap_or(Reach::Misses)
    }

    /// The box within ±180, in two if it crosses the antimeridian.
    pub fn sides(&self) -> impl Iterator<Item = Bounds> {
        let this_side = (self.west < 180.0).then(|| self.bounds());
        this_side.into_iter().chain((self.east > 180.0).then(|| self.turned_back().bounds()))
    }

    /// The same box a turn of the globe to the west. Exact, like all that is computed of boxes that begin with whole
    /// [`super::region::Region::STEPS_PER_DEGREE`].
    pub fn turned_back(&self) -> Self {
        Self { west: self.west - 360.0, east: self.east - 360.0, ..*self }
    }

    /// What of the box lies within ±180.
    pub fn bounds(&self) -> Bounds {
        let (west, east) = (self.west.max(-180.0), self.east.min(180.0));
        Bounds { west, south: self.south, east, north: self.north }
    }

    /// Whether they share a position; both in the same turn of the globe.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.west <= other.east
            && other.west <= self.east
            && self.south <= other.north
            && other.south <= self.north
    }

    /// The box round those of some boxes that overlap this one, turned to where they do; `None` if none does.
    pub fn box_round(&self, boxes: &[Bounds]) -> Option<Self> {
        let here = boxes.iter().flat_map(|&Bounds { west, south, east, north }| {
            let further_east = |turn: f64| Self { west: west + turn, south, east: east + turn, north };
            [further_east(0.0), further_east(360.0)]
        });
        here.filter(|other| self.overlaps(other)).reduce(|a, b| Self {
            west: a.west.min(b.west),
            south: a.south.min(b.south),
            east: a.east.max(b.east),
            north: a.north.max(b.north),
        })
    }

    /// Where its columns and rows begin and end.
    fn cuts(&self) -> ([f64; Self::SIDE + 1], [f64; Self::SIDE + 1]) {
        let cut = |from: f64, to: f64| {
            let step = (to - from) / Self::SIDE as f64;
            [from, from + step, from + 2.0 * step, from + 3.0 * step, to]
        };
        (cut(self.west, self.east), cut(self.south, self.north))
    }
}
