//! Devices on their way through a world, and what they tell of it.

use std::f64::consts::TAU;
use std::ops::Range;

use geopush_geometry::Position;
use geopush_model::{Fix, UnixMillis};
use rand::RngExt as _;

use super::block::Block;
use super::world::{Kind, Random, World, normal, offset};

/// How devices move.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// The share of devices that stand still.
    pub standing: f64,
    /// Whether every ping is at a place that has nothing to do with the last one.
    pub jumping: bool,
}

impl Habits {
    /// Three of five stand; the others go at 1 to 30 m/s.
    pub const REALISTIC: Self = Self { standing: 0.6, jumping: false };
    /// All stand.
    pub const STANDING: Self = Self { standing: 1.0, jumping: false };
    /// Every ping somewhere else.
    pub const JUMPING: Self = Self { standing: 0.0, jumping: true };
}

/// Metres a second of those that move, each its own.
const SPEEDS_MPS: Range<f64> = 1.0..30.0;
/// Seconds from one ping of a device to its next, drawn anew each time.
const GAPS_S: Range<u32> = 10..31;
/// A second more than the longest gap: slots of the wheel.
const WHEEL: usize = GAPS_S.end as usize + 1;
/// Radians that a moving device turns by between two pings, as a standard deviation.
const TURN: f64 = 0.4;
/// 2025-01-01T00:00:00Z: when the devices are first heard of.
const START_MS: i64 = 1_735_689_600_000;
/// From a fix to its arrival.
const UNDER_WAY_MS: i64 = 300;

/// A device.
#[derive(Clone, Copy, Debug)]
struct Phone {
    /// Where it really is.
    place: Position,
    heading: f32,
    /// 0: it stands.
    speed_mps: f32,
    /// When it last told, since the start.
    told_ms: u32,
    city: u16,
    tenant: u16,
}

/// Devices on their way. First each is heard of once, in the order of their numbers; from then on each pings every 10
/// to 30 seconds, so that their order has nothing to do with their numbers.
#[derive(Debug)]
pub struct Traffic<'w> {
    world: &'w World,
    habits: Habits,
    random: Random,
    phones: Vec<Phone>,
    /// The number of the first device among those of all traffics of the world.
    first_number: u32,
    introduced: usize,
    /// Who pings in which second, modulo its length.
    wheel: Vec<Vec<u32>>,
    second: u32,
    /// How many of this second's have pinged.
    pinged: usize,
}

impl<'w> Traffic<'w> {
    /// Devices with the numbers of a range.
    pub fn new(world: &'w World, habits: Habits, numbers: Range<u32>) -> Self {
        let mut random = world.random(Kind::Traffic, numbers.start as usize);
        let count = numbers.len();
        let phones = (0..count)
            .map(|device| {
                let tenant = world.tenant_at((device as f64 + 0.5) / count as f64);
                let city = world.city_of(tenant, &mut random);
                let moves = !random.random_bool(habits.standing);
                Phone {
                    place: world.cities[usize::from(city)].place(&mut random),
                    heading: random.random_range(0.0..TAU) as f32,
                    speed_mps: if moves { random.random_range(SPEEDS_MPS) as f32 } else { 0.0 },
                    told_ms: 0,
                    city,
                    tenant: u16::try_from(tenant).expect("a world has fewer than 65,536 tenants"),
                }
            })
            .collect();
        Self {
            world,
            habits,
            random,
            phones,
            first_number: numbers.start,
            introduced: 0,
            wheel: vec![Vec::new(); WHEEL],
            second: 0,
            pinged: 0,
        }
    }

    /// How many devices.
    pub fn devices(&self) -> usize {
        self.phones.len()
    }

    /// Puts the next pings into a block instead of what it has.
    pub fn fill(&mut self, block: &mut Block, pings: usize) {
        block.clear();
        for _ in 0..pings {
            let (device, ms) = self.next();
            self.move_on(device, ms);
            let fix = self.fix(device, ms);
            let tenant = self.world.tenants()[usize::from(self.phones[device].tenant)].id;
            let received_at = fix.time.plus_ms(UNDER_WAY_MS);
            block.push(device as u32, self.first_number + device as u32, tenant, fix, received_at);
        }
    }

    /// Who pings next, and when.
    fn next(&mut self) -> (usize, u32) {
        let device = if self.introduced < self.phones.len() {
            self.introduced += 1;
            self.introduced - 1
        } else {
            while self.pinged == self.wheel[self.second as usize % WHEEL].len() {
                self.wheel[self.second as usize % WHEEL].clear();
                (self.second, self.pinged) = (self.second + 1, 0);
            }
            self.pinged += 1;
            self.wheel[self.second as usize % WHEEL][self.pinged - 1] as usize
        };
        let gap = self.random.random_range(GAPS_S);
        self.wheel[(self.second + gap) as usize % WHEEL].push(device as u32);
        (device, self.second * 1_000 + self.random.random_range(0..1_000))
    }

    fn move_on(&mut self, device: usize, ms: u32) {
        let phone = &mut self.phones[device];
        let city = &self.world.cities[usize::from(phone.city)];
        let passed_s = f64::from(ms - phone.told_ms) / 1e3;
        phone.told_ms = ms;
        if self.habits.jumping {
            phone.place = city.place(&mut self.random);
            return;
        }
        if phone.speed_mps == 0.0 {
            return;
        }
        let heading = city.way_back(phone.place).unwrap_or(f64::from(phone.heading));
        let heading = heading + TURN * normal(&mut self.random).0;
        let metres = f64::from(phone.speed_mps) * passed_s;
        phone.place = offset(phone.place, metres * heading.sin(), metres * heading.cos());
        phone.heading = heading.rem_euclid(TAU) as f32;
    }

    /// What the device makes of where it is.
    fn fix(&mut self, device: usize, ms: u32) -> Fix {
        let phone = &self.phones[device];
        let accuracy_m = accuracy_m(&mut self.random);
        let (east, north) = normal(&mut self.random);
        // Of a two-dimensional normal distribution 86 % is within twice the deviation.
        let position = offset(phone.place, east * accuracy_m / 2.0, north * accuracy_m / 2.0);
        let moves = phone.speed_mps > 0.0;
        Fix {
            accuracy_m: Some(accuracy_m),
            speed_mps: moves.then_some(f64::from(phone.speed_mps)),
            heading_deg: moves.then(|| f64::from(phone.heading).to_degrees()),
            ..Fix::at(position, UnixMillis(START_MS + i64::from(ms)))
        }
    }
}

/// Metres within which a device says that it is: satellites, mostly 4 to 16 m; wireless networks round it; a cell.
fn accuracy_m(random: &mut Random) -> f64 {
    match random.random::<f64>() {
        ..0.85 => 8.0 * (0.5 * normal(random).0).exp(),
        ..0.98 => random.random_range(15.0..80.0),
        _ => random.random_range(250.0..1_500.0),
    }
}

#[cfg(test)]
mod tests {
    use geopush_geometry::geodesic_distance_m;

    use super::*;
    use crate::geofence::world::ZoneMix;

    fn told(habits: Habits, devices: u32, pings: usize) -> Vec<Vec<Fix>> {
        let world = World::realistic(1, 100, 10, ZoneMix::REALISTIC);
        let mut traffic = Traffic::new(&world, habits, 0..devices);
        let mut block = Block::default();
        traffic.fill(&mut block, pings);
        let mut told = vec![Vec::new(); devices as usize];
        let pings = block.devices().iter().zip(block.pings());
        pings.for_each(|(device, ping)| told[*device as usize].push(ping.fix.clone()));
        told
    }

    #[test]
    fn each_is_heard_of_once_in_order_and_then_every_ten_to_thirty_seconds() {
        let world = World::realistic(1, 100, 10, ZoneMix::REALISTIC);
        let mut traffic = Traffic::new(&world, Habits::REALISTIC, 0..500);
        let mut block = Block::default();
        traffic.fill(&mut block, 500);
        assert!(block.devices().iter().copied().eq(0..500));
        for fixes in told(Habits::REALISTIC, 500, 5_000) {
            for two in fixes.windows(2) {
                let gap_ms = two[1].time.since_ms(two[0].time);
                assert!((9_000..=31_000).contains(&gap_ms), "{gap_ms}");
            }
        }
    }

    #[test]
    fn three_of_five_stand_within_some_metres_and_the_others_are_as_fast_as_they_say() {
        let (mut standing, mut all) = (0, 0);
        for fixes in told(Habits::REALISTIC, 1_000, 20_000) {
            all += 1;
            let mut near: Vec<f64> =
                fixes.iter().map(|fix| geodesic_distance_m(fix.position, fixes[0].position)).collect();
            near.sort_by(f64::total_cmp);
            match fixes[0].speed_mps {
                None => {
                    standing += 1;
                    let accuracy_m = fixes[0].accuracy_m.unwrap();
                    assert!(near[near.len() / 2] < 50.0 + 2.0 * accuracy_m, "{near:?}");
                }
                Some(mps) => {
                    assert!(SPEEDS_MPS.contains(&mps));
                    let seconds = fixes.last().unwrap().time.since_ms(fixes[0].time) as f64 / 1e3;
                    let errors_m: f64 = fixes.iter().filter_map(|fix| fix.accuracy_m).fold(0.0, f64::max);
                    assert!(near.last().unwrap() < &(mps * seconds * 1.05 + 4.0 * errors_m));
                }
            }
        }
        assert!((550..650).contains(&(standing * 1_000 / all)), "{standing} of {all}");
    }

    #[test]
    fn the_same_world_has_the_same_traffic() {
        assert_eq!(told(Habits::JUMPING, 50, 500), told(Habits::JUMPING, 50, 500));
    }
}
