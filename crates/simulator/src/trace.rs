//! Recorded traces: CSV (`device,time_ms,lat,lon`, with or without that header) and GPX tracks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// One fix of one phone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhoneFix {
    /// Milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
}

/// What phones recorded, each in its own order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The phones' fixes by device id.
    pub phones: BTreeMap<String, Vec<PhoneFix>>,
    /// Track points that had no time, and so can't be sent.
    pub without_time: usize,
}

impl Trace {
    /// How many fixes there are.
    pub fn len(&self) -> usize {
        self.phones.values().map(Vec::len).sum()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.phones.is_empty()
    }
}

/// Why a file is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It can't be opened or read.
    #[error("the trace could not be read: {0}; check its path")]
    Io(#[from] std::io::Error),
    /// Its ending is unknown.
    #[error("a trace's name ends with .csv or .gpx; rename the file or convert it")]
    Format,
    /// A line or point of it is wrong.
    #[error("{place}: {what}")]
    Content {
        /// Where in the file.
        place: String,
        /// What is wrong there and what to do.
        what: String,
    },
}

/// Reads a trace by its name's ending.
///
/// # Errors
/// [`TraceError`]
pub fn read_trace(path: &Path) -> Result<Trace, TraceError> {
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let file = BufReader::new(File::open(path)?);
    match ending.as_deref() {
        Some("csv") => read_csv(file),
        Some("gpx") => {
            let device = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("phone");
            read_gpx(file, device)
        }
        _ => Err(TraceError::Format),
    }
}

fn read_csv(file: impl std::io::Read) -> Result<Trace, TraceError> {
    let mut trace = Trace::default();
    let mut lines = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(file);
    for (i, line) in lines.records().enumerate() {
        let wrong = |what: String| TraceError::Content { place: format!("line {}", i + 1), what };
        let line = line.map_err(|e| wrong(e.to_string()))?;
        if i == 0 && line.get(0) == Some("device") {
            continue;
        }
        let fields = (line.get(0), line.get(1), line.get(2), line.get(3));
        let (Some(device), Some(time), Some(lat), Some(lon)) = fields else {
            return Err(wrong("give the four fields device,time_ms,lat,lon".to_owned()));
        };
        let fix = PhoneFix {
            time_ms: time.parse().map_err(|_| wrong(format!("{time} is no time in ms since the epoch")))?,
            lat: lat.parse().map_err(|_| wrong(format!("{lat} is no latitude in degrees")))?,
            lon: lon.parse().map_err(|_| wrong(format!("{lon} is no longitude in degrees")))?,
        };
        trace.phones.entry(device.to_owned()).or_default().push(fix);
    }
    Ok(trace)
}

/// A GPX file is one phone; its segments follow one another.
fn read_gpx(file: impl std::io::BufRead, device: &str) -> Result<Trace, TraceError> {
    let mut trace = Trace::default();
    let mut fixes = Vec::new();
    let mut xml = Reader::from_reader(file);
    let mut buffer = Vec::new();
    let mut point: Option<(f64, f64)> = None;
    let mut time: Option<String> = None;
    let mut in_time = false;
    loop {
        let place = xml.buffer_position();
        let wrong = |what: String| TraceError::Content { place: format!("byte {place}"), what };
        match xml.read_event_into(&mut buffer).map_err(|e| wrong(format!("no XML: {e}")))? {
            Event::Start(tag) if tag.local_name().as_ref() == "trkpt" => {
                point = Some(position_of(&tag).ok_or_else(|| wrong("a trkpt needs lat and lon".to_owned()))?);
                time = None;
            }
            Event::Empty(tag) if tag.local_name().as_ref() == "trkpt" => trace.without_time += 1,
            Event::Start(tag) if tag.local_name().as_ref() == "time" => in_time = point.is_some(),
            Event::Text(text) if in_time => {
                time = Some(text.trim().to_owned());
            }
            Event::End(tag) if tag.local_name().as_ref() == "time" => in_time = false,
            Event::End(tag) if tag.local_name().as_ref() == "trkpt" => match (point.take(), time.take()) {
                (Some((lat, lon)), Some(text)) => {
                    let time_ms =
                        parse_time(&text).ok_or_else(|| wrong(format!("{text} is no RFC 3339 time")))?;
                    fixes.push(PhoneFix { time_ms, lat, lon });
                }
                _ => trace.without_time += 1,
            },
            Event::Eof => break,
            _ => {}
        }
        buffer.clear();
    }
    if !fixes.is_empty() {
        trace.phones.insert(device.to_owned(), fixes);
    }
    Ok(trace)
}

fn position_of(tag: &BytesStart<'_>) -> Option<(f64, f64)> {
    let degrees = |name: &str| {
        let value = tag.try_get_attribute(name).ok()??.value;
        value.trim().parse().ok()
    };
    Some((degrees("lat")?, degrees("lon")?))
}

/// Times without an offset are UTC, as GPX has them.
fn parse_time(text: &str) -> Option<i64> {
    let parsed = text.parse::<jiff::Timestamp>();
    let parsed = parsed.or_else(|_| format!("{text}Z").parse::<jiff::Timestamp>()).ok()?;
    Some(parsed.as_nanosecond().div_euclid(1_000_000) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_reads_with_and_without_its_header() {
        let body = "d1,1000, 41.5,2.25\nd2,-5,-1,179\nd1,2000,41.6,2.25\n";
        let plain = read_csv(body.as_bytes()).unwrap();
        assert_eq!(read_csv(format!("device,time_ms,lat,lon\n{body}").as_bytes()).unwrap(), plain);
        assert_eq!((plain.len(), plain.phones["d1"].len()), (3, 2));
        assert_eq!(plain.phones["d2"][0], PhoneFix { time_ms: -5, lat: -1.0, lon: 179.0 });
    }

    #[test]
    fn a_bad_line_is_named() {
        for (body, line) in [("d1,1,2,3\nd1,x,2,3\n", "line 2"), ("d1,1,2,north\n", "line 1")] {
            let error = read_csv(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(line), "{error}");
        }
    }

    #[test]
    fn gpx_reads_every_segment_and_counts_points_without_time() {
        let gpx = r#"<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1"><metadata><time>2020-01-01T00:00:00Z</time></metadata>
            <trk><trkseg><trkpt lat="46.5" lon="13.75"><ele>1</ele><time>1901-12-13T20:45:52.2073437Z</time></trkpt>
            <trkpt lat="46.6" lon="13.75"/></trkseg><trkseg><trkpt lon="13.8" lat="46.6"><time>2010-01-01T00:00:01</time></trkpt>
            <trkpt lon="13.8" lat="46.6"><ele>2</ele></trkpt></trkseg></trk></gpx>"#;
        let trace = read_gpx(gpx.as_bytes(), "hike").unwrap();
        assert_eq!(trace.without_time, 2);
        assert_eq!(trace.phones["hike"][0], PhoneFix { time_ms: -2_147_483_647_793, lat: 46.5, lon: 13.75 });
        assert_eq!(trace.phones["hike"][1].time_ms, 1_262_304_001_000);
    }
}
