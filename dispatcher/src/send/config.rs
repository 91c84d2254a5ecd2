//! How sending is configured.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use geopush_service::config::Reader;

use super::rate::Rate;
use super::transport::{Limits, Timeouts};
use super::wait::Waits;

/// Everything that sending is told.
#[derive(Clone, Debug)]
pub struct SendConfig {
    /// `provider_ca`: a PEM file of further roots.
    pub provider_ca: Option<PathBuf>,
    /// What a lane may do.
    pub lanes: LaneConfig,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What a slice may have in hand.
    pub slices: SliceConfig,
}

/// What a lane may do.
#[derive(Clone, Copy, Debug)]
pub struct LaneConfig {
    /// `allow_provider_urls`: whether apps may name addresses of their own.
    pub allow_provider_urls: bool,
    /// `dispatcher.fcm_per_minute`: Google counts messages a minute and project, 600,000 by default.
    pub fcm_rate: Rate,
    /// `dispatcher.apns_per_minute`: Apple names no limit.
    pub apns_rate: Option<Rate>,
    /// `dispatcher.lane_connections`: at most so many connections a lane; it opens what its work needs.
    pub connections: usize,
    /// `dispatcher.fcm_streams`: requests under way on a connection to FCM, if its server allows as many.
    pub fcm_streams: usize,
    /// `dispatcher.apns_streams`: requests under way on a connection to APNs, if its server allows as many, once it has
    /// accepted one.
    pub apns_streams: usize,
    /// `dispatcher.lane_idle`: a lane that nobody wants is closed after this.
    pub idle: Duration,
}

/// What a slice may have in hand.
#[derive(Clone, Copy, Debug)]
pub struct SliceConfig {
    /// `dispatcher.send_in_hand`: pushes of a slice that are sent or wait, at most; memory is bounded by it.
    pub in_hand: usize,
    /// `dispatcher.send_drain`: how long answers are waited for at the end.
    pub drain: Duration,
    /// The pause between a slice's commits.
    pub commit_every: Duration,
    /// Where pushes wait for their retries.
    pub waits: Waits,
}

const LANE_RATE: u32 = 600_000;
/// Long enough for the timer's grain, short enough for "spread your messages".
pub(super) const BURST: Duration = Duration::from_millis(50);

impl SendConfig {
    /// Reads `provider_ca`, `allow_provider_urls` and `dispatcher.*`.
    pub fn read(reader: &mut Reader) -> Self {
        let defaults = Self::default();
        let per_minute = NonZeroU32::new(
            reader
                .key("dispatcher.fcm_per_minute", "The most messages a minute that one app sends to FCM")
                .within(1..=u32::MAX)
                .or(LANE_RATE),
        );
        let apns_per_minute = reader
            .key(
                "dispatcher.apns_per_minute",
                "The most messages a minute that one app sends to APNs; 0 for any",
            )
            .or(0);
        let LaneConfig { connections, fcm_streams, apns_streams, idle, fcm_rate, .. } = defaults.lanes;
        let lanes = LaneConfig {
            allow_provider_urls: reader.with_default(
                "allow_provider_urls",
                "Whether apps may name their own base_url and token_uri",
                false,
            ),
            fcm_rate: per_minute.map_or(fcm_rate, |per_minute| Rate { per_minute, burst: BURST }),
            apns_rate: NonZeroU32::new(apns_per_minute).map(|per_minute| Rate { per_minute, burst: BURST }),
            connections: reader
                .key("dispatcher.lane_connections", "The most connections of one app to one provider")
                .within(1..=64)
                .or(connections),
            fcm_streams: reader
                .key(
                    "dispatcher.fcm_streams",
                    "Requests under way on one connection to FCM, if it allows as many",
                )
                .within(1..=2000)
                .or(fcm_streams),
            apns_streams: reader
                .key(
                    "dispatcher.apns_streams",
                    "Requests under way on one connection to APNs, if it allows as many",
                )
                .within(1..=2000)
                .or(apns_streams),
            idle: reader
                .key("dispatcher.lane_idle", "A connection that nobody wants is closed after this")
                .within(Duration::from_secs(1)..=Duration::from_hours(24))
                .or(idle),
        };
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let timeouts = Timeouts {
            connect: reader
                .key("dispatcher.connect_timeout", "How long connecting to a provider may take")
                .within(second..=minute)
                .or(defaults.timeouts.connect),
            request: reader
                .key("dispatcher.request_timeout", "How long a provider may take to answer")
                .within(second..=minute)
                .or(defaults.timeouts.request),
            ping: reader
                .key("dispatcher.ping_interval", "How often a busy connection is checked for life")
                .within(second..=minute)
                .or(defaults.timeouts.ping),
        };
        let slices = SliceConfig {
            in_hand: reader
                .key(
                    "dispatcher.send_in_hand",
                    "Pushes of one slice that are sent or wait for a retry, at most",
                )
                .within(1..=1_000_000)
                .or(defaults.slices.in_hand),
            drain: reader
                .key("dispatcher.send_drain", "How long answers are waited for at shutdown")
                .within(second..=Duration::from_secs(25))
                .or(defaults.slices.drain),
            waits: Waits {
                in_memory: reader
                    .key(
                        "dispatcher.retry_in_memory",
                        "Who is tried again so soon waits in memory, not on the log",
                    )
                    .within(Duration::ZERO..=minute)
                    .or(defaults.slices.waits.in_memory),
                ..defaults.slices.waits
            },
            ..defaults.slices
        };
        let provider_ca = reader.optional("provider_ca", "A PEM file of further roots to trust providers by");
        Self { provider_ca, lanes, timeouts, slices }
    }
}

impl Default for SendConfig {
    fn default() -> Self {
        let per_minute = const { NonZeroU32::new(LANE_RATE).unwrap() };
        Self {
            provider_ca: None,
            lanes: LaneConfig {
                allow_provider_urls: false,
                fcm_rate: Rate { per_minute, burst: BURST },
                apns_rate: None,
                connections: 10,
                fcm_streams: 1000,
                apns_streams: 1000,
                idle: Duration::from_secs(600),
            },
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                request: Duration::from_secs(10),
                ping: Duration::from_secs(15),
            },
            slices: SliceConfig {
                in_hand: 4_000,
                drain: Duration::from_secs(15),
                commit_every: Duration::from_millis(100),
                waits: Waits::default(),
            },
        }
    }
}

impl LaneConfig {
    pub(super) fn fcm_limits(&self) -> Limits {
        Limits { connections: self.connections, streams: self.fcm_streams, first_streams: self.fcm_streams }
    }

    /// "APNs allows one stream on a token-based connection until a first request was accepted" (Apple's "Sending
    /// notification requests to APNs").
    pub(super) fn apns_limits(&self) -> Limits {
        Limits { connections: self.connections, streams: self.apns_streams, first_streams: 1 }
    }
}

#[cfg(test)]
mod tests {
    use geopush_service::config::Sources;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> (SendConfig, Result<(), String>) {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut reader = Reader::new(Sources { variables, ..Sources::default() });
        let config = SendConfig::read(&mut reader);
        (config, reader.finish().map_err(|errors| errors.to_string()))
    }

    #[test]
    fn what_is_not_given_is_as_the_defaults_say() {
        let (config, finished) = read(&[]);
        assert_eq!(finished, Ok(()));
        assert_eq!(format!("{config:?}"), format!("{:?}", SendConfig::default()));
    }

    #[test]
    fn values_out_of_range_are_told_by_their_names() {
        let (config, finished) = read(&[
            ("GEOPUSH_DISPATCHER_APNS_PER_MINUTE", "1200"),
            ("GEOPUSH_DISPATCHER_FCM_PER_MINUTE", "0"),
            ("GEOPUSH_DISPATCHER_SEND_DRAIN", "1h"),
        ]);
        let rate = Rate { per_minute: NonZeroU32::new(1_200).unwrap(), burst: BURST };
        assert_eq!(config.lanes.apns_rate, Some(rate));
        let errors = finished.unwrap_err();
        for key in ["dispatcher.fcm_per_minute", "dispatcher.send_drain"] {
            assert!(errors.contains(key), "{errors}");
        }
    }
}
