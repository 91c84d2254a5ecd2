//! How a safe box is found: the tile's box, cut to where every zone near stays as it is for the device.
//!
//! In it the reference would compare in vain: what a box is cut by are the same shapes, and wherever a distance is
//! computed rather than compared, the box stays clear of it by more than the two can differ.

use geopush_geometry::{Bounds, Position, Reach};
use geopush_model::UnixMillis;

use super::SafeBox;
use crate::engine::index::{Lies, Near};
use crate::engine::meeting::{Judged, Met};
use crate::engine::{Around, Device, PreparedZone, Stamp};

/// Where and until when a device's fixes change nothing.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Safe {
    /// Nothing changes in it, as long as the stamp is current.
    pub(in crate::engine) safe_box: SafeBox,
    /// The tile that it was made by.
    pub(in crate::engine) stamp: Stamp,
    /// A dwell may be due at a fix from then on.
    pub(in crate::engine) until: UnixMillis,
}

impl Safe {
    /// Where nothing is known.
    pub(in crate::engine) const NOWHERE: Self =
        Self { safe_box: SafeBox::EMPTY, stamp: Stamp::NONE, until: UnixMillis(i64::MIN) };

    /// Nothing but the tile.
    pub(in crate::engine) fn unknown(around: &Around<'_>) -> Self {
        Self { stamp: around.stamp(), ..Self::NOWHERE }
    }

    /// Round the last fix of a device that was just judged by these zones, and was at `before` until then.
    pub(in crate::engine) fn of(device: &Device, near: &Near<'_>, met: &Met<'_>, before: Position) -> Self {
        Room::of(device, near, met, before).map_or_else(
            || Self::unknown(near.around()),
            |Room { bounds, position, until, .. }| {
                let safe_box = SafeBox::within(&bounds, position);
                Self { safe_box, stamp: near.around().stamp(), until }
            },
        )
    }
}

/// A box that is cut smaller and smaller round a position.
struct Room {
    bounds: Bounds,
    position: Position,
    /// Where the device is soon if it goes on as it came.
    ahead: Position,
    until: UnixMillis,
    /// Surely no less than a degree of longitude has anywhere in the box.
    metres_per_degree_lon: f64,
}

/// More metres than a degree of latitude has anywhere, or one of longitude at the equator.
const METRES_PER_DEGREE: f64 = 111_700.0;
/// Beyond this latitude there are no boxes: degrees of longitude become too short to reckon with.
const MOST_LATITUDE: f64 = 85.0;
/// What is kept of a distance within which nothing changes, so that rounding can't matter.
const KEPT: f64 = 0.999;
/// The part of its last way that a device is taken to go on: some stop, and some turn.
const AHEAD: f64 = 0.5;
/// An exit buffer of less than this, in metres, is taken for none.
const LEAST_BUFFER_M: f64 = 0.01;

impl Room {
    /// The largest box found; `None` if there can be none.
    fn of(device: &Device, near: &Near<'_>, met: &Met<'_>, before: Position) -> Option<Self> {
        let position = device.last_fix.position;
        // One that is in as many zones as it may be enters another as soon as it leaves one.
        if position.lat.abs() > MOST_LATITUDE || device.stays.len() >= Device::MOST_STAYS {
            return None;
        }
        if met.judged.iter().filter(|zone| zone.is_in).count() < device.stays.len() {
            // It is in a zone that is not near: no fix since was accurate enough, or the zone was just removed.
            return None;
        }
        let mut room = Self::in_all(near.around().bounds(), (before, position), met.dwell_at);
        let boundaries = || met.judged.iter().filter(|zone| zone.lies != Lies::Round || !zone.is_in);
        for Judged { zone, admitted, .. } in boundaries().filter(|zone| zone.is_in) {
            room.stay_in(zone, *admitted)?;
            room.holds_ahead()?;
        }
        for Judged { zone, lies, admitted, .. } in boundaries().filter(|zone| !zone.is_in) {
            match lies {
                // Not in it: the fix was not accurate enough.
                Lies::Round => return None,
                Lies::Somehow => room.stay_out(zone, *admitted)?,
                Lies::Beside => {}
            }
            room.holds_ahead()?;
        }
        let kept =
            || met.judged.iter().filter(|zone| zone.lies == Lies::Beside && zone.is_in).map(|zone| zone.zone);
        room.bounds = near.beside(room.bounds, before, kept);
        Some(room)
    }

    /// All of a box, for a device that came to a position in it from another one.
    fn in_all(bounds: Bounds, (before, position): (Position, Position), until: UnixMillis) -> Self {
        let on = |from: f64, to: f64| to + AHEAD * (to - from);
        let ahead = Position { lon: on(before.lon, position.lon), lat: on(before.lat, position.lat) };
        // Where degrees of longitude are longest.
        let least_lat = bounds.south.max(-bounds.north).max(0.0);
        let metres_per_degree_lon = METRES_PER_DEGREE * least_lat.to_radians().cos();
        Self { bounds, position, ahead, until, metres_per_degree_lon }
    }

    /// `None` once the box does not hold where a device that goes on is soon: it would leave it at its next ping, and to
    /// go on cutting would be in vain.
    fn holds_ahead(&self) -> Option<()> {
        self.bounds.contains(self.ahead).then_some(())
    }

    /// Keeps to where the device stays a member.
    fn stay_in(&mut self, zone: &PreparedZone, admitted: bool) -> Option<()> {
        if !admitted && zone.is_left_at(self.position) {
            return None;
        }
        let buffer_m = if zone.exit_buffer_m < LEAST_BUFFER_M { 0.0 } else { zone.exit_buffer_m };
        let room_m = KEPT * zone.shape.room_m(self.position, buffer_m);
        if self.is_within(room_m) || zone.shape.reach(&self.bounds, 0.0) == Reach::Covers {
            return Some(());
        }
        self.limit(room_m)
    }

    /// Keeps to where the device does not enter.
    fn stay_out(&mut self, zone: &PreparedZone, admitted: bool) -> Option<()> {
        if !admitted && zone.contains(self.position) {
            return None;
        }
        if zone.shape.reach(&self.bounds, 0.0) == Reach::Misses {
            return Some(());
        }
        let boxes = zone.shape.bounds(0.0);
        if boxes.iter().any(|near| near.contains(self.position)) {
            return self.limit(KEPT * zone.shape.clear_m(self.position));
        }
        boxes.iter().for_each(|near| self.cut(near));
        Some(())
    }

    /// Whether the box is within a [limit](Self::limit) already.
    fn is_within(&self, metres: f64) -> bool {
        let Bounds { west, south, east, north } = self.square(metres);
        let Bounds { west: least_lon, south: least_lat, east: most_lon, north: most_lat } = self.bounds;
        west <= least_lon && south <= least_lat && east >= most_lon && north >= most_lat && metres > 0.0
    }

    /// Keeps to a box whose corners are at most so far away.
    fn limit(&mut self, metres: f64) -> Option<()> {
        let Bounds { west, south, east, north } = self.square(metres);
        self.bounds = Bounds {
            west: self.bounds.west.max(west),
            south: self.bounds.south.max(south),
            east: self.bounds.east.min(east),
            north: self.bounds.north.min(north),
        };
        (metres > 0.0).then_some(())
    }

    /// The box round the position whose corners are at most so far away: a line to any place of it in the room is no
    /// longer than its degrees, each at least as long as any is there.
    fn square(&self, metres: f64) -> Bounds {
        let half_m = metres * std::f64::consts::FRAC_1_SQRT_2;
        let (across, along) = (half_m / self.metres_per_degree_lon, half_m / METRES_PER_DEGREE);
        let Position { lon, lat } = self.position;
        Bounds { west: lon - across, south: lat - along, east: lon + across, north: lat + along }
    }

    /// Cuts off the side with a box in which the position is not, so that most is left.
    fn cut(&mut self, other: &Bounds) {
        let Bounds { west, south, east, north } = self.bounds;
        if other.east < west || other.west > east || other.north < south || other.south > north {
            return;
        }
        let Position { lon, lat } = self.position;
        let sides = [
            (other.east < lon, Bounds { west: west.max(other.east), ..self.bounds }),
            (other.north < lat, Bounds { south: south.max(other.north), ..self.bounds }),
            (other.west > lon, Bounds { east: east.min(other.west), ..self.bounds }),
            (other.south > lat, Bounds { north: north.min(other.south), ..self.bounds }),
        ];
        let area = |left: &Bounds| (left.east - left.west) * (left.north - left.south);
        let beside = sides.into_iter().filter(|(beside, _)| *beside).map(|(_, left)| left);
        self.bounds = beside.max_by(|a, b| area(a).total_cmp(&area(b))).expect("a box beside the position");
    }
}

#[cfg(test)]
mod tests {
    use geopush_geometry::Shape;
    use geopush_model::{DeviceId, DeviceKey, Fix, TenantId, Zone, ZoneId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::engine::{ZoneChange, ZoneIndex};

    fn zone(shape: Shape, exit_buffer_m: f64) -> Zone {
        Zone {
            tenant: TenantId(Uuid::from_u128(7)),
            id: ZoneId(Uuid::from_u128(1)),
            external_id: None,
            location_id: None,
            name: String::new(),
            shape,
            exit_buffer_m: Some(exit_buffer_m),
            dwell_s: None,
            max_accuracy_m: None,
            active: true,
            tags: Vec::new(),
            metadata: serde_json::Map::new(),
            version: 1,
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            deleted: false,
            removal: None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The corners are farthest: there a box that is a little too wide shows.
        #[test]
        fn at_the_corners_of_a_box_a_device_is_still_in_its_zone_or_still_out(
            lat in prop::sample::select(vec![0.0, 41.4, -60.0, 78.2]),
            (east, north) in (-1.5..1.5, -1.5..1.5),
            radius_m in 20.0..2_000.0,
            buffer_m in prop::sample::select(vec![0.0, 20.0, 200.0, 1_000.0]),
            round: bool,
        ) {
            let (lon_m, lat_m) = (METRES_PER_DEGREE * f64::to_radians(lat).cos(), METRES_PER_DEGREE);
            let at = |x: f64, y: f64| Position::new(10.0 + x * radius_m / lon_m, lat + y * radius_m / lat_m).unwrap();
            let ring = [(-1.0, -1.0), (1.0, -0.8), (0.9, 1.0), (-1.0, 1.1), (-1.0, -1.0)].map(|(x, y)| at(x, y));
            let shape = if round {
                Shape::circle(at(0.0, 0.0), radius_m).unwrap()
            } else {
                Shape::polygon(vec![ring.to_vec()]).unwrap()
            };
            let change = ZoneChange::to(&zone(shape, buffer_m));
            let index = ZoneIndex::default();
            index.apply([&change]);
            let zone = change.now.unwrap();

            // It comes from the middle, or from far away.
            for member in [true, false] {
                let key = DeviceKey { tenant: zone.tenant, device: DeviceId::new("d").unwrap() };
                let first = if member { at(0.0, 0.0) } else { at(90.0, 0.0) };
                let mut device = Device::new(key, Fix::at(first, UnixMillis(0)), UnixMillis(0));
                let there = index.around(zone.tenant, first, None);
                device.on_first_fix(&there.near(device.tags()), &mut Vec::new());
                let here = index.around(zone.tenant, at(east, north), None);
                let near = here.near(device.tags());
                let fix = Fix::at(at(east, north), UnixMillis(1));
                let rules = crate::engine::Rules::default();
                let (_, met) = device.on_fix(&fix, UnixMillis(1), &[], &near, &rules, &mut Vec::new());
                let room = Room::of(&device, &near, &met, first);
                let Some(Room { bounds: Bounds { west, south, east, north }, .. }) = room else {
                    continue;
                };
                for (lon, lat) in [(west, south), (west, north), (east, south), (east, north)] {
                    let corner = Position::new(lon, lat).unwrap();
                    // A box that was cut ends on a border, which is not part of it any more.
                    let inward = Position {
                        lon: lon + (fix.position.lon - lon) * 1e-9,
                        lat: lat + (fix.position.lat - lat) * 1e-9,
                    };
                    match device.stays.is_empty() {
                        true => prop_assert!(!zone.contains(inward), "{corner:?}"),
                        false => prop_assert!(!zone.is_left_at(inward), "{corner:?}"),
                    }
                }
            }
        }
    }
}
