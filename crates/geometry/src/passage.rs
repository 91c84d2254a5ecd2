//! Where a straight line from one position to another is inside a shape.

use crate::around::Around;
use crate::circle::Circle;
use crate::edges::Edges;
use crate::plane::{NEAR_TURNS, Point, orientation};
use crate::polygons::Polygons;
use crate::position::{Position, geodesic_distance_m};

/// A straight line in longitude and latitude, over the antimeridian where that is the short way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    from: Position,
    to: Position,
    /// Degrees.
    east: f64,
    north: f64,
}

/// The parts of a line at which it first comes in and last goes out, 0 to 1.
type Passage = (f64, f64);

impl Line {
    pub(crate) fn new(from: Position, to: Position) -> Self {
        let east = to.lon - from.lon;
        let short = if east.abs() > 180.0 { east - 360.0_f64.copysign(east) } else { east };
        Self { from, to, east: short, north: to.lat - from.lat }
    }

    fn at(&self, part: f64) -> Position {
        let lon = self.from.lon + part * self.east;
        let lon = if lon.abs() > 180.0 { lon - 360.0_f64.copysign(lon) } else { lon };
        Position { lon, lat: (self.from.lat + part * self.north).clamp(-90.0, 90.0) }
    }

    fn turned(&self) -> Self {
        Self { from: self.to, to: self.from, east: -self.east, north: -self.north }
    }
}

impl Polygons {
    /// Where the line meets the first and the last edge, decided exactly.
    pub(crate) fn passage(&self, line: &Line) -> Option<Passage> {
        let (starts_inside, ends_inside) = (self.contains(line.from), self.contains(line.to));
        let mut parts: Option<Passage> = None;
        let mut add = |part: f64| {
            let (first, last) = parts.unwrap_or((part, part));
            parts = Some((first.min(part), last.max(part)));
        };
        if starts_inside {
            add(0.0);
        }
        if ends_inside {
            add(1.0);
        }
        if !(starts_inside && ends_inside) {
            for turn in NEAR_TURNS {
                let from = Point { x: line.from.lon + turn, y: line.from.lat };
                let to = Point { x: from.x + line.east, y: line.to.lat };
                self.edges().meetings(from, to, &mut add);
            }
        }
        parts
    }
}

impl Circle {
    pub(crate) fn passage(&self, line: &Line) -> Option<Passage> {
        match (self.contains(line.from), self.contains(line.to)) {
            (true, true) => Some((0.0, 1.0)),
            (true, false) => Some((0.0, 1.0 - self.entry(&line.turned()).unwrap_or(1.0))),
            (false, true) => Some((self.entry(line).unwrap_or(1.0), 1.0)),
            (false, false) => {
                let (first, rest) = (self.entry(line)?, self.entry(&line.turned())?);
                // A touch, its two ends found in either order.
                Some((first, first.max(1.0 - rest)))
            }
        }
    }

    /// The part of the line, which starts outside, at which it comes in.
    fn entry(&self, line: &Line) -> Option<f64> {
        /// Where the polynomial is not as good as this, it is corrected by the geodesic solver, metres.
        const GOOD_M: f64 = 1e-3;
        /// A second time, as the correction is for a place some metres from where it moves the answer to.
        const CORRECTIONS: usize = 2;
        let (around, radius_m) = (self.around(), self.radius_m());
        if radius_m > around.trusted_m() {
            return self.entry_by_steps(line);
        }
        let track = around.track(line);
        if around.blur_m(radius_m) < GOOD_M {
            return track.entry(radius_m, 0.0);
        }
        let correction = |part: f64| {
            geodesic_distance_m(around.center(), line.at(part)).powi(2) - track.square_and_slope(part).0
        };
        // Whether the line comes in at all is decided where it is nearest.
        let mut part = track.entry(radius_m, correction(track.nearest()))?;
        for _ in 0..CORRECTIONS {
            part = track.entry(radius_m, correction(part)).unwrap_or(part);
        }
        Some(part)
    }

    /// For circles close to a pole: a stay shorter than a step may be overlooked.
    fn entry_by_steps(&self, line: &Line) -> Option<f64> {
        const STEPS: u32 = 256;
        const HALVINGS: u32 = 40;
        let step = |index: u32| f64::from(index) / f64::from(STEPS);
        let inside = (1..=STEPS).find(|index| self.contains(line.at(step(*index))))?;
        let (mut outside, mut inside) = (step(inside - 1), step(inside));
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(outside, inside);
            if self.contains(line.at(middle)) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        Some(inside)
    }
}

/// A line as degrees from a centre: where it starts and what it adds.
pub(crate) struct Track<'a> {
    around: &'a Around,
    start: (f64, f64),
    step: (f64, f64),
    /// The part of it that is in the trusted box; the first is greater if none is.
    trusted: (f64, f64),
}

impl Around {
    fn track(&self, line: &Line) -> Track<'_> {
        let middle = line.from.lon - self.center().lon + 0.5 * line.east;
        let turn = if middle.abs() > 180.0 { -360.0_f64.copysign(middle) } else { 0.0 };
        let start = (line.from.lon - self.center().lon + turn, line.from.lat - self.center().lat);
        let step = (line.east, line.north);
        let (x, y) = self.trusted_box();
        let (first, last) = [(start.0, step.0, x), (start.1, step.1, y)]
            .into_iter()
            .map(|(start, step, most)| within(start, step, most))
            .fold((0.0_f64, 1.0_f64), |all, axis| (all.0.max(axis.0), all.1.min(axis.1)));
        Track { around: self, start, step, trusted: (first, last) }
    }
}

/// The parts at which `start + part * step` is within `±most`.
fn within(start: f64, step: f64, most: f64) -> (f64, f64) {
    if step == 0.0 {
        let always = start.abs() <= most;
        return if always { (f64::NEG_INFINITY, f64::INFINITY) } else { (f64::INFINITY, f64::NEG_INFINITY) };
    }
    let (a, b) = ((-most - start) / step, (most - start) / step);
    (a.min(b), a.max(b))
}

impl Track<'_> {
    /// The squared distance from the centre at a part of the line, and how it changes there.
    fn square_and_slope(&self, part: f64) -> (f64, f64) {
        let (x, y) = (self.start.0 + part * self.step.0, self.start.1 + part * self.step.1);
        let (by_x, by_y) = self.around.slopes_at(x, y);
        (self.around.square_at(x, y), by_x * self.step.0 + by_y * self.step.1)
    }

    /// About the part at which the line is nearest to the centre: where the slope would be 0 if it changed evenly.
    fn nearest(&self) -> f64 {
        let (first, last) = self.trusted;
        let (down, up) = (self.square_and_slope(first).1, self.square_and_slope(last).1);
        if down >= 0.0 {
            first
        } else if up <= 0.0 {
            last
        } else {
            first + (last - first) * down / (down - up)
        }
    }

    /// The part at which the line comes within a radius, if the squares are to be corrected by so much.
    ///
    /// In the trusted box `q` is convex along a line: its matrix of second derivatives is positive as long as a place's
    /// distance to the east is less than the centre's to the pole, about. So Newton's steps from outside go
    /// ever nearer and never past the first place; where there is none they come to where the line leads away.
    fn entry(&self, radius_m: f64, correction: f64) -> Option<f64> {
        /// Outside by less than this is there, metres.
        const CLOSE_M: f64 = 1e-4;
        /// Each step leaves at most a quarter of the excess, even where the line only touches.
        const MOST_STEPS: usize = 64;
        let limit = radius_m * radius_m - correction;
        let (mut part, last) = self.trusted;
        for _ in 0..MOST_STEPS {
            if part > last {
                return None;
            }
            let (square, slope) = self.square_and_slope(part);
            let excess = square - limit;
            if excess <= 2.0 * radius_m * CLOSE_M {
                return Some(part);
            }
            if slope >= 0.0 {
                return None;
            }
            part += excess / -slope;
        }
        None
    }
}

impl Edges {
    /// Calls with each part of the line from `from` to `to` at which it meets an edge; with the ends of what they share.
    fn meetings(&self, from: Point, to: Point, add: &mut impl FnMut(f64)) {
        self.for_each_near(from, to, |a, b| {
            let (side_a, side_b) = (orientation(from, to, a), orientation(from, to, b));
            if side_a == 0.0 && side_b == 0.0 {
                // On one line.
                for end in [a, b] {
                    let part = part_of(from, to, end);
                    if (0.0..=1.0).contains(&part) {
                        add(part);
                    }
                }
                return;
            }
            let (side_from, side_to) = (orientation(a, b, from), orientation(a, b, to));
            let parted = |one: f64, other: f64| (one <= 0.0 && other >= 0.0) || (one >= 0.0 && other <= 0.0);
            if parted(side_a, side_b) && parted(side_from, side_to) {
                add((side_from / (side_from - side_to)).clamp(0.0, 1.0));
            }
        });
    }
}

/// How far along a line a point of it is, by the coordinate in which the line is longer.
fn part_of(from: Point, to: Point, point: Point) -> f64 {
    let (x, y) = (to.x - from.x, to.y - from.y);
    if x.abs() > y.abs() { (point.x - from.x) / x } else { (point.y - from.y) / y }
}
