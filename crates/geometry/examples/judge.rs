//! Answers for shapes and positions on stdin, so that others' implementations can be held against this crate
//! (`tests/outside-geometry`).
//!
//! A request is a line of JSON, `{"shape": …, "ask": ["contains", …], "margin_m": 20, "positions": n}`, and then n
//! positions: longitude and latitude. The answer is a line of JSON with the shape's faults, `[{"pointer", "code"}]`; for
//! a valid shape n numbers follow for each question. Positions are two by two the south-west and north-east corners of
//! boxes where the question is `reach`. Numbers are eight bytes, little-endian.

use std::io::{self, BufRead, BufWriter, Read, Write};

use geopush_geometry::{Bounds, Position, Prepared, Reach, Shape};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let mut requests = io::stdin().lock();
    let mut answers = BufWriter::new(io::stdout().lock());
    let mut line = String::new();
    while requests.read_line(&mut line)? > 0 {
        let request: Value = serde_json::from_str(&line)?;
        let count = request["positions"].as_u64().unwrap_or(0);
        let positions: Vec<Position> =
            (0..count).map(|_| position(&mut requests)).collect::<Result<_, _>>()?;
        match Shape::from_json(&request["shape"]) {
            Err(faults) => {
                let fault = |pointer: &str, code: &str| json!({"pointer": pointer, "code": code});
                let faults = faults.iter().map(|it| fault(&it.pointer, it.code.as_str()));
                writeln!(answers, "{}", faults.collect::<Value>())?;
            }
            Ok(shape) => {
                writeln!(answers, "[]")?;
                let prepared = Prepared::new(&shape);
                let margin_m = request["margin_m"].as_f64().unwrap_or(0.0);
                for question in request["ask"].as_array().into_iter().flatten() {
                    let question = question.as_str().unwrap_or_default();
                    for number in answer(&prepared, question, margin_m, &positions)? {
                        answers.write_all(&number.to_le_bytes())?;
                    }
                }
            }
        }
        answers.flush()?;
        line.clear();
    }
    Ok(())
}

fn answer(shape: &Prepared, question: &str, margin_m: f64, positions: &[Position]) -> io::Result<Vec<f64>> {
    let each =
        |answer: &dyn Fn(Position) -> f64| positions.iter().map(|position| answer(*position)).collect();
    Ok(match question {
        "contains" => each(&|position| f64::from(shape.contains(position))),
        "distance_m" => each(&|position| shape.distance_m(position)),
        "is_farther_than" => each(&|position| f64::from(shape.is_farther_than(position, margin_m))),
        "clear_m" => each(&|position| shape.clear_m(position)),
        "reach" => {
            let boxes = positions.chunks_exact(2);
            boxes.map(|corners| reach(shape, corners[0], corners[1], margin_m)).collect()
        }
        _ => return Err(io::Error::other(format!("no question: {question}"))),
    })
}

/// 1 where the shape covers the box, -1 where it misses it, 0 where it may touch it.
fn reach(shape: &Prepared, south_west: Position, north_east: Position, margin_m: f64) -> f64 {
    let Position { lon: west, lat: south } = south_west;
    let Position { lon: east, lat: north } = north_east;
    match shape.reach(&Bounds { west, south, east, north }, margin_m) {
        Reach::Covers => 1.0,
        Reach::Touches => 0.0,
        Reach::Misses => -1.0,
    }
}

fn position(requests: &mut impl Read) -> io::Result<Position> {
    let mut number = || {
        let mut bytes = [0; 8];
        requests.read_exact(&mut bytes).map(|()| f64::from_le_bytes(bytes))
    };
    let (lon, lat) = (number()?, number()?);
    Position::new(lon, lat).ok_or_else(|| io::Error::other(format!("no position: {lon}, {lat}")))
}
