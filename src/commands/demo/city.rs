//! A made-up merchant's town: shops as circles, squares and districts as polygons.

use geopush_simulator::Place;
use serde_json::{Value, json};

/// The town.
pub struct City {
    pub centre: Place,
    pub half_width_m: f64,
    seed: u64,
    zones: u32,
}

impl City {
    pub fn new(seed: u64, zones: u32) -> Self {
        Self { centre: Place { lat: 41.3925, lon: 2.1640 }, half_width_m: 3_000.0, seed, zones }
    }

    /// The zones, as a GeoJSON FeatureCollection to import.
    pub fn features(&self) -> Value {
        let features: Vec<Value> = (0..self.zones).map(|i| self.feature(i)).collect();
        json!({"type": "FeatureCollection", "features": features})
    }

    fn feature(&self, i: u32) -> Value {
        let mut draw = Draw(self.seed ^ (u64::from(i) << 32) | 1);
        let half = self.half_width_m;
        let middle = self.centre.offset((draw.next() * 2.0 - 1.0) * half, (draw.next() * 2.0 - 1.0) * half);
        let size_m = 40.0 + draw.next() * 160.0;
        let (kind, geometry) = match i % 4 {
            0 => ("square", polygon(middle, size_m)),
            _ => ("shop", json!({"type": "Point", "coordinates": [middle.lon, middle.lat]})),
        };
        let mut properties = json!({"name": format!("{kind} {i}"), "tags": [kind], "dwell_s": 60});
        if kind == "shop" {
            properties["radius_m"] = json!(size_m.round());
        }
        json!({"type": "Feature", "id": format!("zone-{i}"), "geometry": geometry, "properties": properties})
    }
}

/// A six-cornered square.
fn polygon(middle: Place, size_m: f64) -> Value {
    let corner = |k: u32| {
        let angle = f64::from(k % 6) * std::f64::consts::TAU / 6.0;
        let corner = middle.offset(size_m * angle.cos(), size_m * angle.sin());
        json!([corner.lon, corner.lat])
    };
    json!({"type": "Polygon", "coordinates": [(0..=6).map(corner).collect::<Vec<_>>()]})
}

/// Numbers from 0 to 1, the same for the same seed (SplitMix64, Steele et al. 2014).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
