//! A report as text for a terminal.

use std::fmt::Write as _;

use crate::compare::shown_us;
use crate::latency::Latency;
use crate::report::Report;

/// The report as aligned text: facts, numbers, latencies, checks.
pub fn table(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    say(format!("{} · {} · seed {}", report.bench, report.started_at, report.seed));
    say(format!(
        "{} × {} · {:.1} GB · {} · geopush {} {} · {} build",
        machine.cores,
        machine.cpu,
        machine.memory_bytes as f64 / 1e9,
        machine.os,
        machine.version,
        machine.commit,
        machine.profile,
    ));
    let parameters: Vec<_> =
        report.parameters.iter().map(|(name, value)| format!("{name} {value}")).collect();
    say(parameters.join(" · "));
    say(String::new());
    let width =
        report.numbers.iter().map(|number| number.name.chars().count() + 2).max().unwrap_or(0).max(34);
    for number in &report.numbers {
        say(format!("{:<width$}{:>14} {}", number.name, shown(number.value), number.unit));
    }
    say(String::new());
    if !report.latencies.is_empty() {
        latencies(report).into_iter().for_each(&mut say);
        say(String::new());
    }
    for goal in &report.goals {
        let verdict = if goal.is_met() { "met   " } else { "MISSED" };
        let value = format!("{} {}", shown(goal.value), goal.unit);
        say(format!("{verdict} {:<64}{value:>12}   goal {}", goal.name, goal.told()));
    }
    if !report.goals.is_empty() {
        say(String::new());
    }
    for check in &report.checks {
        let verdict = match (check.passed(), check.compared) {
            (true, _) => "ok    ",
            (false, 0) => "EMPTY ",
            (false, _) => "FAILED",
        };
        say(format!("{verdict} {} ({} compared, {} differ)", check.claim, check.compared, check.differences));
        check.first.iter().for_each(|difference| say(format!("         {difference}")));
    }
    text
}

/// A line of heads and a line a stage.
fn latencies(report: &Report) -> Vec<String> {
    let mut heads = format!("{:<36}{:>10}", "latency", "count");
    for head in ["p50", "p90", "p99", "p99.9", "max"] {
        let _ = write!(heads, "{head:>12}");
    }
    let line = |latency: &Latency| {
        let mut line = format!("{:<36}{:>10}", latency.stage, latency.count);
        for us in [latency.p50_us, latency.p90_us, latency.p99_us, latency.p99_9_us, latency.max_us] {
            let _ = write!(line, "{:>12}", shown_us(us));
        }
        line
    };
    std::iter::once(heads).chain(report.latencies.iter().map(line)).collect()
}

/// A number with as many digits as are worth reading.
pub(crate) fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 || v.fract() == 0.0 => grouped(value.round() as i64),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// Thousands apart.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { "-".to_owned() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn numbers_are_short_and_grouped() {
        let cases =
            [(0.0, "0"), (0.123_45, "0.123"), (12.345, "12.3"), (999.0, "999"), (1_234_567.8, "1 234 568")];
        for (value, text) in cases {
            assert_eq!(shown(value), text);
        }
        assert_eq!(shown(-1_000.0), "-1 000");
    }

    #[test]
    fn a_table_has_every_number_stage_and_check() {
        let mut report = sample();
        report.checks[0].compare(Some(|| "two is three".to_owned()));
        let text = table(&report);
        for part in [
            "fixes/s",
            "12.5",
            "a → b",
            "never",
            "FAILED one is one",
            "two is three",
            "rate 10",
            "MISSED share",
            "met    wait",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
