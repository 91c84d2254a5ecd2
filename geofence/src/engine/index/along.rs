//! The zones along a line.

use std::cmp::Reverse;
use std::sync::Arc;

use geopush_geometry::Position;
use geopush_model::TenantId;

use super::ZoneIndex;
use super::area::Area;
use super::directory::Tenant;
use super::node::Node;
use super::tiles::{Tile, TileId};
use crate::engine::PreparedZone;

type Zones = Vec<Arc<PreparedZone>>;

impl ZoneIndex {
    /// The tenant's zones that a straight line may meet, and others near it, each once. The line goes the short way over
    /// the antimeridian. `hint`: a tile that answered for where it starts.
    ///
    /// It is followed from region to region: where it leaves one, the cell there has the next, in which there is always
    /// some way to go, as a region is larger than its cell on all sides. What rounding does to the pieces is far less
    /// than the room that the zones' boxes have.
    pub fn along(&self, tenant: TenantId, from: Position, to: Position, hint: Option<TileId>) -> Zones {
        let mut zones = Vec::new();
        let Some(tenant) = self.tenants.get(tenant) else { return zones };
        let hint = hint.map(|id| self.tiles.get(id)).filter(|tile| tile.tenant == tenant.id);
        let (mut line, mut hint) = (Some(Line::between(from, to)), hint);
        while let Some(rest) = line {
            line = self.along_piece(&tenant, rest, hint.take(), &mut zones);
        }
        // Of a zone that changes meanwhile, the latest version found.
        zones.sort_unstable_by_key(|zone| (zone.id, Reverse(zone.version)));
        zones.dedup_by_key(|zone| zone.id);
        zones
    }

    /// Takes the zones along the line as far as one region goes, and answers the rest of the line.
    fn along_piece(
        &self,
        tenant: &Tenant,
        line: Line,
        hint: Option<&Tile>,
        zones: &mut Zones,
    ) -> Option<Line> {
        if let Some(tile) = hint
            && let Some(area) = tile.region.area_round(line.start)
        {
            let (here, rest) = line.split(&area);
            tile.zones.load().list_along(&area, &here.area(), zones);
            return rest;
        }
        let (cell, region) = self.place_of(line.start);
        // Before the tile: a huge zone that becomes small meanwhile is then in either.
        let huge = tenant.huge.load();
        let tile = self.tiles_by_cell.get(&self.tiles, tenant.id, cell).map(|id| self.tiles.get(id));
        let area = region.area_round(line.start).expect("a region holds its cell");
        let (here, rest) = line.split(&area);
        match tile {
            Some(tile) => tile.zones.load().list_along(&area, &here.area(), zones),
            None => zones.extend(huge.meeting(&here.area().turned_into_range()).into_iter().cloned()),
        }
        rest
    }
}

/// A straight line in degrees. It may end beyond ±180.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Not at the antimeridian if it leads over it from there: already on the other side.
    start: Position,
    east: f64,
    north: f64,
}

impl Line {
    fn between(from: Position, to: Position) -> Self {
        let east = to.lon - from.lon;
        let short = if east.abs() > 180.0 { east - 360.0_f64.copysign(east) } else { east };
        Self::new(from.lon, from.lat, short, to.lat - from.lat)
    }

    fn new(lon: f64, lat: f64, east: f64, north: f64) -> Self {
        let lon = if (lon >= 180.0 && east > 0.0) || lon > 180.0 {
            lon - 360.0
        } else if (lon <= -180.0 && east < 0.0) || lon < -180.0 {
            lon + 360.0
        } else {
            lon
        };
        Self { start: Position { lon, lat: lat.clamp(-90.0, 90.0) }, east, north }
    }

    /// The piece in an area in which it starts, and what follows.
    fn split(&self, area: &Area) -> (Self, Option<Self>) {
        let Position { lon, lat } = self.start;
        let part_in = |start: f64, step: f64, least: f64, most: f64| match step {
            0.0 => 1.0,
            _ => (if step > 0.0 { most - start } else { least - start }) / step,
        };
        let across = part_in(lon, self.east, area.west, area.east);
        let part = across.min(part_in(lat, self.north, area.south, area.north)).max(0.0);
        if part >= 1.0 {
            return (*self, None);
        }
        let (east, north) = (part * self.east, part * self.north);
        let rest = Self::new(lon + east, lat + north, self.east - east, self.north - north);
        (Self { east, north, ..*self }, Some(rest))
    }

    /// The box round it, in the turn of the globe in which it starts.
    fn area(&self) -> Area {
        let Position { lon, lat } = self.start;
        let (other_lon, other_lat) = (lon + self.east, lat + self.north);
        Area {
            west: lon.min(other_lon),
            south: lat.min(other_lat),
            east: lon.max(other_lon),
            north: lat.max(other_lat),
        }
    }
}

impl Area {
    /// The same box so that it begins from -180 up to but not 180.
    fn turned_into_range(self) -> Self {
        if self.west < -180.0 {
            Self { west: self.west + 360.0, east: self.east + 360.0, ..self }
        } else if self.west >= 180.0 {
            self.turned_back()
        } else {
            self
        }
    }
}

impl Node {
    /// Adds the zones listed for the parts that a box meets; `area` is the node's own box, in the same turn of the globe.
    fn list_along(&self, area: &Area, line: &Area, zones: &mut Zones) {
        if !area.overlaps(line) {
            return;
        }
        zones.extend(self.listings.all().iter().cloned());
        for (number, part) in self.parts.iter().flat_map(|parts| parts.iter()).enumerate() {
            part.list_along(&area.part(number), line, zones);
        }
    }
}
