//! What is refused, where the pointer points, and what is accepted.

use std::io::Write as _;

use geopush_geometry::{Position, Prepared, Shape, ShapeErrorCode};
use serde_json::{Value, json};

const SQUARE: &str = "[[0,0],[4,0],[4,4],[0,4],[0,0]]";

/// The faults of a shape written as JSON, as `code pointer`.
fn faults(shape: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(shape).expect("JSON");
    match Shape::from_json(&value) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|e| format!("{} {}", e.code.as_str(), e.pointer)).collect(),
    }
}

fn polygon(rings: &str) -> String {
    format!(r#"{{"type":"Polygon","coordinates":[{rings}]}}"#)
}

fn multi_polygon(polygons: &str) -> String {
    format!(r#"{{"type":"MultiPolygon","coordinates":[{polygons}]}}"#)
}

#[test]
fn each_fault_is_named_by_its_code_and_the_pointer_of_the_offending_member() {
    let table: &[(String, &[&str])] = &[
        ("7".into(), &["invalid_type "]),
        ("{}".into(), &["missing_member /type"]),
        (r#"{"type":3}"#.into(), &["invalid_type /type"]),
        (r#"{"type":"Point","coordinates":[1,2]}"#.into(), &["unknown_shape_type /type"]),
        (r#"{"type":"Circle","center":[1,2],"radius_m":50}"#.into(), &["unknown_shape_type /type"]),
        (r#"{"type":"circle"}"#.into(), &["missing_member /center", "missing_member /radius_m"]),
        (r#"{"type":"circle","center":[1,2],"radius_m":9.99}"#.into(), &["radius_out_of_range /radius_m"]),
        (
            r#"{"type":"circle","center":[1,2],"radius_m":100000.1}"#.into(),
            &["radius_out_of_range /radius_m"],
        ),
        (r#"{"type":"circle","center":[1,2],"radius_m":"50"}"#.into(), &["not_a_number /radius_m"]),
        (r#"{"type":"circle","center":[1,90.5],"radius_m":50}"#.into(), &["position_out_of_range /center"]),
        (
            r#"{"type":"circle","center":[181,0],"radius_m":5}"#.into(),
            &["position_out_of_range /center", "radius_out_of_range /radius_m"],
        ),
        (r#"{"type":"circle","center":{"lon":1},"radius_m":50}"#.into(), &["invalid_type /center"]),
        (r#"{"type":"circle","center":[1],"radius_m":50}"#.into(), &["position_too_short /center"]),
        (r#"{"type":"circle","center":[1,null],"radius_m":50}"#.into(), &["not_a_number /center/1"]),
        (r#"{"type":"Polygon"}"#.into(), &["missing_member /coordinates"]),
        (r#"{"type":"Polygon","coordinates":null}"#.into(), &["invalid_type /coordinates"]),
        (r#"{"type":"MultiPolygon","coordinates":{}}"#.into(), &["invalid_type /coordinates"]),
        (polygon(""), &["empty_shape /coordinates"]),
        (polygon("[]"), &["empty_shape /coordinates/0"]),
        (polygon("5"), &["invalid_type /coordinates/0"]),
        (polygon("[[0,0],[1,0],3,[0,0]]"), &["invalid_type /coordinates/0/2"]),
        (polygon("[[0,0],[1,0],[0,0]]"), &["too_few_positions /coordinates/0"]),
        (polygon("[[0,0],[4,0],[4,4],[0,4]]"), &["ring_not_closed /coordinates/0"]),
        (polygon("[[0,0],[4,0],[4,91],[0,4],[0,0]]"), &["position_out_of_range /coordinates/0/2"]),
        (polygon("[[0,0],[-180.001,0],[4,4],[0,4],[0,0]]"), &["position_out_of_range /coordinates/0/1"]),
        (polygon(r#"[[0,0],[4,"0"],[4,4],[0,4],[0,0]]"#), &["not_a_number /coordinates/0/1/1"]),
        (polygon("[[0,0],[4,0],[4,4,true],[0,4],[0,0]]"), &["not_a_number /coordinates/0/2/2"]),
        // A bow tie, one whose crossing is a vertex, a spike, an edge run along twice.
        (polygon("[[0,0],[4,4],[4,0],[0,4],[0,0]]"), &["self_crossing_ring /coordinates/0"]),
        (polygon("[[0,0],[2,2],[4,4],[4,0],[2,2],[0,4],[0,0]]"), &["self_crossing_ring /coordinates/0"]),
        (polygon("[[0,0],[4,0],[4,4],[4,6],[4,4],[0,4],[0,0]]"), &["self_crossing_ring /coordinates/0"]),
        (polygon("[[0,0],[4,0],[4,4],[3,0],[1,0],[0,4],[0,0]]"), &["self_crossing_ring /coordinates/0"]),
        // No area: on a line, one point, an edge right round the globe.
        (polygon("[[0,0],[1,1],[3,3],[0,0]]"), &["empty_shape /coordinates/0"]),
        (polygon("[[1,1],[1,1],[1,1],[1,1]]"), &["empty_shape /coordinates/0"]),
        (polygon("[[-180,0],[180,0],[180,5],[-180,5],[-180,0]]"), &["empty_shape /coordinates/0"]),
        (polygon("[[0,80],[120,80],[-120,80],[0,80]]"), &["ring_round_pole /coordinates/0"]),
        (
            polygon("[[-180,-90],[-180,-70],[-60,-70],[60,-70],[180,-70],[180,-90],[-180,-90]]"),
            &["ring_round_pole /coordinates/0"],
        ),
        (polygon(&format!("{SQUARE},[[1,1],[9,1],[2,2],[1,1]]")), &["crossing_rings /coordinates/1"]),
        (polygon(&format!("{SQUARE},{SQUARE}")), &["crossing_rings /coordinates/1"]),
        (multi_polygon(""), &["empty_shape /coordinates"]),
        (multi_polygon("[]"), &["empty_shape /coordinates/0"]),
        (multi_polygon("4"), &["invalid_type /coordinates/0"]),
        (
            multi_polygon(&format!("[{SQUARE}],[{SQUARE},[[1,1],[2,1],[2,2]]]")),
            &["too_few_positions /coordinates/1/1", "ring_not_closed /coordinates/1/1"],
        ),
        (
            multi_polygon("[[[0,0],[4,4],[4,0],[0,4],[0,0]]],[[[0,0],[1,0],[1,99],[0,0]]]"),
            &["position_out_of_range /coordinates/1/0/2", "self_crossing_ring /coordinates/0/0"],
        ),
    ];
    for (shape, expected) in table {
        assert_eq!(faults(shape), *expected, "{shape}");
    }
}

#[test]
fn every_code_has_its_own_name() {
    let mut names: Vec<&str> = ShapeErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ShapeErrorCode::ALL.len());
}

#[test]
fn what_is_unusual_but_clear_is_accepted() {
    let accepted = [
        polygon(SQUARE),
        r#"{"type":"Polygon","bbox":[0,0,1,1],"crs":{},"coordinates":[[[0,0,9],[1,0,9],[1,1,9],[0,0,8]]]}"#
            .into(),
        r#"{"type":"circle","center":[180,90],"radius_m":10,"note":"x"}"#.into(),
        r#"{"type":"circle","center":[-180,-90,5],"radius_m":100000}"#.into(),
        // Positions repeated in a row; clockwise.
        polygon("[[0,0],[0,0],[0,4],[4,4],[4,4],[4,4],[4,0],[0,0],[0,0]]"),
        // Touching itself at a vertex, and at the middle of an edge; a hole drawn as a loop of the outer ring.
        polygon("[[0,0],[4,0],[4,4],[2,2],[4,6],[0,6],[2,2],[0,0]]"),
        polygon("[[0,0],[4,0],[4,4],[2,0],[0,4],[0,0]]"),
        polygon("[[0,0],[6,0],[6,6],[0,6],[0,0],[1,2],[2,1],[0,0]]"),
        // Rings that touch in points; rings in rings; a part drawn as a ring outside.
        polygon(&format!("{SQUARE},[[0,0],[2,1],[1,2],[0,0]]")),
        polygon(&format!("{SQUARE},[[1,1],[3,1],[3,3],[1,3],[1,1]],[[2,2],[2.5,2],[2,2.5],[2,2]]")),
        polygon(&format!("{SQUARE},[[8,8],[9,8],[9,9],[8,8]]")),
        // Overlapping and equal polygons: their union.
        multi_polygon(&format!("[{SQUARE}],[{SQUARE}],[[[1,1],[9,1],[2,2],[1,1]]]")),
        // Over the antimeridian, with the hole written on the other side; round the globe but not a pole.
        polygon("[[170,0],[-170,0],[-170,9],[170,9],[170,0]],[[-178,1],[-176,1],[-176,2],[-178,1]]"),
        polygon("[[-180,0],[-60,0],[60,0],[180,0],[180,5],[60,5],[-60,5],[-180,5],[-180,0]]"),
        polygon("[[-180,-90],[0,-90],[180,-90],[180,-70],[0,-70],[-180,-70],[-180,-90]]"),
    ];
    for shape in accepted {
        assert_eq!(faults(&shape), Vec::<String>::new(), "{shape}");
    }
}

#[test]
fn at_most_10_000_positions_are_accepted_and_counted_with_the_closing_ones() {
    let circle = |count: u32| {
        let edges = count - 1;
        let mut ring: Vec<Position> = (0..edges)
            .map(|step| {
                let (sin, cos) = (f64::from(step) / f64::from(edges) * std::f64::consts::TAU).sin_cos();
                Position::new(2.0 + cos, 41.0 + sin).unwrap()
            })
            .collect();
        ring.push(ring[0]);
        vec![ring]
    };
    let largest = Shape::polygon(circle(10_000)).unwrap();
    assert_eq!(largest.position_count(), 10_000);
    assert_eq!(Shape::multi_polygon(vec![circle(4), circle(60)]).unwrap().position_count(), 64);

    let half = circle(5_001);
    for errors in [
        Shape::polygon(circle(10_001)).unwrap_err(),
        Shape::multi_polygon(vec![half.clone(), half]).unwrap_err(),
        Shape::from_json(&json!({"type": "Polygon", "coordinates": [vec![json!("x"); 10_001]]})).unwrap_err(),
    ] {
        assert_eq!(errors.len(), 1);
        assert_eq!(
            (errors[0].code, errors[0].pointer.as_str()),
            (ShapeErrorCode::TooManyPositions, "/coordinates")
        );
    }
}

#[test]
fn no_more_than_20_faults_are_listed() {
    let shape = json!({"type": "Polygon", "coordinates": [vec![json!([500, 0]); 9_000]]});
    assert_eq!(Shape::from_json(&shape).unwrap_err().len(), 20);
}

#[test]
fn a_shape_comes_back_with_the_numbers_it_was_given() {
    for shape in [
        json!({"type": "circle", "center": [-179.99999999999997, 1e-300], "radius_m": 10.000000000000002}),
        json!({"type": "Polygon", "coordinates": [[[180.0, 0.1], [-179.7, 0.30000000000000004], [179.9, 5.0], [180.0, 0.1]]]}),
        json!({"type": "MultiPolygon", "coordinates": [[[[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 0.0]]]]}),
    ] {
        let read = Shape::from_json(&shape).unwrap();
        assert_eq!(read.to_json(), shape);
        assert_eq!(Shape::from_json(&read.to_json()).unwrap(), read);
    }
}

#[test]
fn real_places_are_accepted() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/zones/us-places.geojson");
    let Ok(text) = std::fs::read_to_string(path) else {
        // Past the capture of passing tests' output.
        let _ = writeln!(std::io::stderr(), "DID NOT RUN: real_places_are_accepted: there is no {path}");
        return;
    };
    let places: Value = serde_json::from_str(&text).unwrap();
    let features = places["features"].as_array().unwrap();
    assert_eq!(features.len(), 684);
    for feature in features {
        let shape =
            Shape::from_json(&feature["geometry"]).unwrap_or_else(|e| panic!("{}: {e:?}", feature["id"]));
        let prepared = Prepared::new(&shape);
        let Shape::MultiPolygon(polygons) = &shape else { panic!("{} is no MultiPolygon", feature["id"]) };
        for position in polygons.iter().flat_map(|rings| rings.iter()).flatten() {
            assert!(prepared.contains(*position), "a corner of {} is outside", feature["id"]);
        }
    }
}
