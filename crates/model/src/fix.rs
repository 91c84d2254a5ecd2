//! A position with its time.

use geopush_geometry::Position;

use crate::wire::{self, v1};
use crate::{UnixMillis, WireError};

/// A position with its time, as a phone measured it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// Where.
    pub position: Position,
    /// When, truncated to ms.
    pub time: UnixMillis,
    /// The radius that the true position is probably in, in metres; unknown counts as accurate.
    pub accuracy_m: Option<f64>,
    /// Metres a second.
    pub speed_mps: Option<f64>,
    /// Degrees clockwise from north.
    pub heading_deg: Option<f64>,
    /// The phone's own name for the fix; only echoed.
    pub id: Option<String>,
}

impl Fix {
    /// A fix that says nothing but where and when.
    pub fn at(position: Position, time: UnixMillis) -> Self {
        Self { position, time, accuracy_m: None, speed_mps: None, heading_deg: None, id: None }
    }
}

impl From<&Fix> for v1::Fix {
    fn from(fix: &Fix) -> Self {
        Self {
            lon: fix.position.lon,
            lat: fix.position.lat,
            time_ms: fix.time.0,
            accuracy_m: fix.accuracy_m,
            speed_mps: fix.speed_mps,
            heading_deg: fix.heading_deg,
            id: fix.id.clone(),
        }
    }
}

impl TryFrom<v1::Fix> for Fix {
    type Error = WireError;

    fn try_from(fix: v1::Fix) -> Result<Self, WireError> {
        Ok(Self {
            position: wire::position(fix.lon, fix.lat)?,
            time: UnixMillis(fix.time_ms),
            accuracy_m: fix.accuracy_m,
            speed_mps: fix.speed_mps,
            heading_deg: fix.heading_deg,
            id: fix.id,
        })
    }
}
