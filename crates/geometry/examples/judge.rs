//! Answers for shapes and positions on stdin, so that others' implementations can be held against this crate
//! (`tests/outside-geometry`).
//!
//! A request is a line of JSON, `{"shape": …, "positions": n, "distances": true}`, and then n positions: longitude and
//! latitude, each eight bytes, little-endian. The answer is a line of JSON with the shape's faults,
//! `[{"pointer", "code"}]`; for a valid shape n bytes follow, 1 for what it contains, and, if asked for, n distances in
//! metres of eight bytes.

use std::io::{self, BufRead, BufWriter, Read, Write};

use geopush_geometry::{Position, Prepared, Shape};
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
                let faults: Vec<Value> = faults
                    .iter()
                    .map(|fault| json!({"pointer": fault.pointer, "code": fault.code.as_str()}))
                    .collect();
                writeln!(answers, "{}", Value::from(faults))?;
            }
            Ok(shape) => {
                writeln!(answers, "[]")?;
                let prepared = Prepared::new(&shape);
                for position in &positions {
                    answers.write_all(&[u8::from(prepared.contains(*position))])?;
                }
                if request["distances"] == true {
                    for position in &positions {
                        answers.write_all(&prepared.distance_m(*position).to_le_bytes())?;
                    }
                }
            }
        }
        answers.flush()?;
        line.clear();
    }
    Ok(())
}

fn position(requests: &mut impl Read) -> io::Result<Position> {
    let mut number = || {
        let mut bytes = [0; 8];
        requests.read_exact(&mut bytes).map(|()| f64::from_le_bytes(bytes))
    };
    let (lon, lat) = (number()?, number()?);
    Position::new(lon, lat).ok_or_else(|| io::Error::other(format!("no position: {lon}, {lat}")))
}
