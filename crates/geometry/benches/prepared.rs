//! What a question to a prepared shape costs: `cargo bench -p geopush-geometry`.
//!
//! Each number but `prepare` is for 1,000 positions, boxes or lines: microseconds read as nanoseconds a question.

use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use geopush_geometry::{Bounds, Position, Prepared, Shape};

const QUESTIONS: u32 = 1_000;
const CENTER: (f64, f64) = (2.17, 41.38);
/// Metres in a degree of longitude and latitude there.
const METRES: (f64, f64) = (83_630.0, 111_060.0);

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Fractions that fill their ranges evenly (Roberts's R2 sequence): the same in every run.
fn spread(index: u32) -> (f64, f64) {
    let n = f64::from(index);
    ((0.5 + 0.754_877_666_246_692_8 * n).fract(), (0.5 + 0.569_840_290_998_053_3 * n).fract())
}

/// A place by its direction, in turns, and distance from the centre.
fn away(turn: f64, metres: f64) -> Position {
    let (sin, cos) = (turn * std::f64::consts::TAU).sin_cos();
    let (lon, lat) = CENTER;
    Position::new(lon + metres * sin / METRES.0, lat + metres * cos / METRES.1).expect("in range")
}

/// Places in all directions, from one distance to another.
fn places(from_m: f64, to_m: f64) -> Vec<Position> {
    let place = |index| {
        let (turn, part) = spread(index);
        away(turn, from_m + part * (to_m - from_m))
    };
    (0..QUESTIONS).map(place).collect()
}

/// Round the centre, its radius varied by a part `depth` in so many `waves`.
fn polygon(corners: u32, waves: f64, depth: f64) -> Shape {
    let corner = |index: u32| {
        let turn = f64::from(index) / f64::from(corners);
        away(turn, 1_000.0 * (1.0 + depth * (turn * std::f64::consts::TAU * waves).sin()))
    };
    let mut ring: Vec<Position> = (0..corners).map(corner).collect();
    ring.push(ring[0]);
    Shape::polygon(vec![ring]).expect("a valid polygon")
}

fn ask<A, T>(group: &mut Group<'_>, name: &str, asked: &[A], mut question: impl FnMut(&A) -> T) {
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            for about in asked {
                black_box(question(black_box(about)));
            }
        });
    });
}

fn questions(criterion: &mut Criterion) {
    let (lon, lat) = CENTER;
    let circle = Shape::circle(Position::new(lon, lat).expect("in range"), 1_000.0).expect("a valid circle");
    let shapes = [
        ("circle", circle),
        ("polygon of 8", polygon(7, 2.0, 0.1)),
        ("polygon of 64", polygon(63, 9.0, 0.1)),
        ("polygon of 10,000", polygon(9_999, 40.0, 0.1)),
        ("jagged polygon of 10,000", polygon(9_999, 3_333.0, 0.1)),
    ];
    for (name, shape) in &shapes {
        let mut group = criterion.benchmark_group(*name);
        group.bench_function("prepare", |bencher| bencher.iter(|| Prepared::new(black_box(shape))));
        let shape = Prepared::new(shape);
        for (name, places) in [
            ("deep inside", places(0.0, 800.0)),
            ("near the border", places(850.0, 1_150.0)),
            ("outside", places(1_300.0, 3_000.0)),
        ] {
            ask(&mut group, &format!("contains, {name}"), &places, |place| shape.contains(*place));
            ask(&mut group, &format!("is_farther_than, {name}"), &places, |place| {
                shape.is_farther_than(*place, 100.0)
            });
            ask(&mut group, &format!("clear_m, {name}"), &places, |place| shape.clear_m(*place));
            let boxes: Vec<Bounds> = places
                .iter()
                .map(|Position { lon, lat }| Bounds {
                    west: *lon,
                    south: *lat,
                    east: lon + 0.002,
                    north: lat + 0.002,
                })
                .collect();
            ask(&mut group, &format!("reach, {name}"), &boxes, |bounds| shape.reach(bounds, 20.0));
            let lines: Vec<_> = places.iter().zip(&places[1..]).collect();
            ask(&mut group, &format!("passes, {name}"), &lines, |(from, to)| shape.passes(**from, **to));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(100))
        .measurement_time(std::time::Duration::from_millis(400))
        .sample_size(20);
    targets = questions
}
criterion_main!(benches);
