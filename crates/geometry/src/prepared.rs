//! A shape made ready to be asked.

use crate::bounds::Bounds;
use crate::circle::Circle;
use crate::passage::Line;
use crate::polygons::Polygons;
use crate::position::Position;
use crate::reach::Reach;
use crate::shape::Shape;

/// A [`Shape`] made ready to be asked. Every answer follows from the shape and the position alone.
///
/// A circle has the coefficients of a polynomial that tells the distance from its centre without trigonometry but for a
/// rim of micrometres; a polygon is unwrapped at the antimeridian, its edges packed with a tree of boxes over them.
#[derive(Clone, Debug)]
pub struct Prepared(Body);

#[derive(Clone, Debug)]
enum Body {
    Circle(Circle),
    Polygons(Polygons),
}

impl Prepared {
    /// Of a valid shape.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        Self(match *shape {
            Shape::Circle { center, radius_m } => Body::Circle(Circle::new(center, radius_m)),
            Shape::Polygon(_) | Shape::MultiPolygon(_) => Body::Polygons(Polygons::new(shape.polygons())),
        })
    }

    /// Whether the position is inside or on the boundary.
    ///
    /// Circles: the geodesic distance to the centre is at most the radius. Polygons: even-odd rule with straight edges
    /// in longitude and latitude, decided exactly. A pole is inside a polygon that has a position there.
    #[must_use]
    #[inline]
    pub fn contains(&self, position: Position) -> bool {
        match &self.0 {
            Body::Circle(circle) => circle.contains(position),
            Body::Polygons(polygons) => polygons.contains(position),
        }
    }

    /// Metres from outside to the boundary; 0 inside.
    ///
    /// Circles: geodesic distance to the centre less the radius. Polygons: to the place of the boundary that is nearest
    /// on a map scaled for the position's latitude. Measured against geodesics that is right to 1e-4 within 1 km up to
    /// latitude 89.5, and to 1e-4 within 100 km up to latitude 60. From further away another place may be a little
    /// nearer, so the answer is then too long, never too short by more than rounding and the Earth's flattening.
    #[must_use]
    pub fn distance_m(&self, position: Position) -> f64 {
        match &self.0 {
            Body::Circle(circle) => circle.distance_m(position),
            Body::Polygons(polygons) => polygons.distance_m(position),
        }
    }

    /// Whether the position is outside by more than `metres`: `!contains && distance_m > metres`, but cheap unless it
    /// is a near thing.
    #[must_use]
    #[inline]
    pub fn is_farther_than(&self, position: Position, metres: f64) -> bool {
        let metres = metres.max(0.0);
        match &self.0 {
            Body::Circle(circle) => circle.is_farther_than(position, metres),
            Body::Polygons(polygons) => polygons.is_farther_than(position, metres),
        }
    }

    /// How the shape lies to a box: whether it contains every position of it, or every one is farther from it than
    /// `margin_m` metres ([`Prepared::is_farther_than`]). Errs to [`Reach::Touches`] alone: on the border, near poles
    /// and where polygons of one shape cover the box only together.
    #[must_use]
    pub fn reach(&self, bounds: &Bounds, margin_m: f64) -> Reach {
        let margin_m = margin_m.max(0.0);
        match &self.0 {
            Body::Circle(circle) => circle.reach(bounds, margin_m),
            Body::Polygons(polygons) => polygons.reach(bounds, margin_m),
        }
    }

    /// Surely no more than the metres to the boundary, from either side: every position within it is on the same
    /// side. 0 when in doubt.
    #[must_use]
    pub fn clear_m(&self, position: Position) -> f64 {
        match &self.0 {
            Body::Circle(circle) => circle.clear_m(position),
            Body::Polygons(polygons) => polygons.clear_m(position),
        }
    }

    /// Surely no more than the metres that whoever is there can go without getting farther from the shape than
    /// `margin_m` ([`Prepared::is_farther_than`]), whichever way. 0 when in doubt.
    #[must_use]
    pub fn room_m(&self, position: Position, margin_m: f64) -> f64 {
        let margin_m = margin_m.max(0.0);
        match &self.0 {
            Body::Circle(circle) => circle.room_m(position, margin_m),
            Body::Polygons(polygons) => polygons.room_m(position, margin_m),
        }
    }

    /// Where the straight line in longitude and latitude from one position to another, the short way over the
    /// antimeridian, first comes into the shape and last goes out of it: as parts of it from 0 to 1. `None` when it is
    /// nowhere inside. Between the two it may be outside for a while, of a polygon.
    ///
    /// Circles: to 2 mm where the line is no longer than 10 km; close to a pole a short stay may be overlooked.
    /// Polygons: which edges the line meets is decided exactly.
    #[must_use]
    pub fn passes(&self, from: Position, to: Position) -> Option<(f64, f64)> {
        let line = Line::new(from, to);
        match &self.0 {
            Body::Circle(circle) => circle.passage(&line),
            Body::Polygons(polygons) => polygons.passage(&line),
        }
    }

    /// Something of each place in memory where questions begin, to have asked the memory for them before.
    #[must_use]
    #[inline]
    pub fn touch(&self) -> u64 {
        match &self.0 {
            Body::Circle(circle) => circle.touch(),
            Body::Polygons(polygons) => polygons.edges().touch(),
        }
    }

    /// One or two boxes that surely hold every position within `margin_m` metres of the shape: two where the
    /// antimeridian parts them, one with all longitudes where a pole is near.
    #[must_use]
    pub fn bounds(&self, margin_m: f64) -> Vec<Bounds> {
        match &self.0 {
            Body::Circle(circle) => circle.extent().bounds(margin_m),
            Body::Polygons(polygons) => polygons.extent().bounds(margin_m),
        }
    }
}
