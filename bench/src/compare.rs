//! Two runs of a bench side by side.

use std::fmt::Write as _;

use crate::report::Report;
use crate::table::shown;

/// The numbers and latencies of `report` over those of `earlier`, and in what the runs differ.
pub fn compare(earlier: &Report, report: &Report) -> String {
    let mut text = format!("compared with {} of {}\n", earlier.bench, earlier.started_at);
    for difference in differences(earlier, report) {
        let _ = writeln!(text, "not the same: {difference}");
    }
    let mut say = |name: &str, was: String, is: String, ratio: Option<f64>| {
        let ratio = ratio.map_or("-".to_owned(), |ratio| format!("× {ratio:.2}"));
        let _ = writeln!(text, "{name:<34}{was:>14}{is:>14}{ratio:>10}");
    };
    for number in &report.numbers {
        if let Some(was) = earlier.value(&number.name) {
            say(&number.name, shown(was), shown(number.value), ratio(was, number.value));
        }
    }
    for latency in &report.latencies {
        let Some(was) = earlier.latencies.iter().find(|was| was.stage == latency.stage) else { continue };
        let parts = [
            ("p50", was.p50_us, latency.p50_us),
            ("p99", was.p99_us, latency.p99_us),
            ("p99.9", was.p99_9_us, latency.p99_9_us),
        ];
        for (name, was, is) in parts {
            let name = format!("{} {name}", latency.stage);
            say(&name, shown_us(was), shown_us(is), ratio(was as f64, is as f64));
        }
    }
    text
}

/// Microseconds in the unit that reads best.
pub(crate) fn shown_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us as f64 / 1e3),
        10_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

fn ratio(was: f64, is: f64) -> Option<f64> {
    (was != 0.0).then(|| is / was)
}

/// What makes two runs less comparable.
fn differences(earlier: &Report, report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |name: &str, was: String, is: String| {
        if was != is {
            all.push(format!("{name} was {was}, is {is}"));
        }
    };
    differ("bench", earlier.bench.clone(), report.bench.clone());
    differ("processor", earlier.machine.cpu.clone(), report.machine.cpu.clone());
    differ("cores", earlier.machine.cores.to_string(), report.machine.cores.to_string());
    differ("build", earlier.machine.profile.clone(), report.machine.profile.clone());
    differ("seed", earlier.seed.to_string(), report.seed.to_string());
    for (name, is) in &report.parameters {
        let was = earlier.parameters.get(name).map_or("unknown".to_owned(), ToString::to_string);
        differ(name, was, is.to_string());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn ratios_are_of_the_later_to_the_earlier_and_differences_are_said() {
        let earlier = sample();
        let mut later = sample();
        later.numbers[0].value *= 2.0;
        later.latencies[0].p99_us /= 2;
        later.parameters.insert("rate".to_owned(), 20.into());
        let text = compare(&earlier, &later);
        for part in ["× 2.00", "× 0.50", "× 1.00", "not the same: rate was 10, is 20"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let never = text.lines().find(|line| line.starts_with("never p50")).unwrap();
        assert!(never.ends_with('-'), "nothing can be divided by nothing: {never}");
        assert!(!compare(&earlier, &sample()).contains("not the same"));
    }

    #[test]
    fn microseconds_are_told_in_the_unit_that_reads_best() {
        let cases = [
            (999, "999 µs"),
            (1_500, "1.50 ms"),
            (45_678, "45.7 ms"),
            (250_000, "250 ms"),
            (2_500_000, "2.50 s"),
        ];
        for (us, text) in cases {
            assert_eq!(shown_us(us), text);
        }
    }
}
