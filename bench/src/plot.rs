//! A report as a drawing: what share of each stage stayed within which latency, numbers over time, and numbers that
//! follow others.
//!
//! SVG with plain text, so that no fonts are needed to draw it.

use std::error::Error;
use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::latency::Latency;
use crate::report::{Curve, Report, Series};
use crate::table::shown;

/// Why a report could not be drawn or written.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The file system.
    #[error("the results can't be written: {0}; name another directory with --out")]
    Io(#[from] io::Error),
    /// The drawing.
    #[error("the report can't be drawn: {0}; this is a defect of the bench, please report it")]
    Drawing(String),
}

const WIDTH: u32 = 1_000;
/// Of the latencies, of everything else, and of nothing at all.
const HEIGHTS: [u32; 3] = [520, 380, 60];
/// Told apart by people who see colours differently, too (Okabe and Ito's palette).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// The report as SVG.
///
/// # Errors
/// When it can't be drawn.
pub fn draw(report: &Report) -> Result<String, PlotError> {
    let mut svg = String::new();
    panels(report, &mut svg).map_err(|e| PlotError::Drawing(e.to_string()))?;
    Ok(svg)
}

/// One panel under the other.
fn panels(report: &Report, svg: &mut String) -> Drawn {
    let stages: Vec<_> = report.latencies.iter().filter(|latency| latency.count > 0).collect();
    let has_series = report.series.iter().any(|series| !series.values.is_empty());
    let mut charts: Vec<_> = report.curves.iter().map(|curve| curve.chart.as_str()).collect();
    charts.dedup();
    let [latencies, other, empty] = HEIGHTS;
    let height = if stages.is_empty() { 0 } else { latencies };
    let height = height + other * (u32::from(has_series) + u32::try_from(charts.len())?);
    let area = SVGBackend::with_string(svg, (WIDTH, height.max(empty))).into_drawing_area();
    area.fill(&WHITE)?;
    let mut rest = area.clone();
    let mut next = |height| {
        let (panel, below) = rest.split_vertically(height);
        rest = below;
        panel
    };
    if !stages.is_empty() {
        let machine = &report.machine;
        let title = format!("{}: latency by stage ({} × {})", report.bench, machine.cores, machine.cpu);
        draw_latencies(&next(latencies), &title, &stages)?;
    }
    if has_series {
        draw_series(&next(other), &report.series)?;
    }
    for chart in charts {
        let curves: Vec<_> = report.curves.iter().filter(|curve| curve.chart == chart).collect();
        draw_curves(&next(other), chart, &curves)?;
    }
    area.present()?;
    Ok(())
}

/// How many nines a percentage has: 0 at 0 %, 1 at 90 %, 2 at 99 %.
fn nines(percent: f64) -> f64 {
    -((100.0 - percent) / 100.0).log10()
}

fn draw_latencies(area: &Area<'_>, title: &str, stages: &[&Latency]) -> Drawn {
    let most = stages.iter().map(|stage| stage.max_us).max().unwrap_or(1) as f64 / 1e3;
    // The few that are far shorter than most would take up half of a logarithmic axis.
    let least = stages.iter().map(|stage| stage.p50_us.max(20)).min().unwrap_or(20) as f64 / 20e3;
    // The last value is at 100 %, which is infinitely many nines: it is drawn at one value's share of all.
    let largest = stages.iter().map(|stage| stage.count).max().unwrap_or(1) as f64;
    let end = largest.log10().max(1.0);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end, (least..most * 1.1).log_scale())?;
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc("percentile")
        .y_desc("latency, ms (logarithmic)")
        .x_labels(end.ceil() as usize + 1)
        .x_label_formatter(&|nines| percentile_name(*nines))
        .y_label_formatter(&|ms| format!("{ms}"))
        .draw()?;
    for (stage, colour) in stages.iter().zip(COLOURS.iter().cycle()) {
        let own_end = (stage.count as f64).log10().max(0.0);
        let points = stage
            .curve
            .iter()
            .map(|(percent, us)| (nines(*percent).min(own_end), (*us as f64 / 1e3).max(least)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(stage.stage.as_str())
            .legend(|at| PathElement::new([at, (at.0 + 18, at.1)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

fn percentile_name(nines: f64) -> String {
    let percent = 100.0 * (1.0 - 10f64.powf(-nines));
    let decimals = (nines.ceil() as usize).saturating_sub(2);
    format!("{percent:.decimals$} %")
}

fn draw_series(area: &Area<'_>, all: &[Series]) -> Drawn {
    let end = all.iter().map(|series| series.values.len() as f64 * series.every_s).fold(1.0, f64::max);
    let most = all.iter().flat_map(|series| &series.values).copied().fold(1.0, f64::max);
    let mut units: Vec<_> = all.iter().map(|series| series.unit.as_str()).collect();
    units.dedup();
    let mut chart = ChartBuilder::on(area)
        .caption("over time", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end, 0.0..most * 1.1)?;
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc("seconds")
        .y_desc(units.join(", "))
        .x_label_formatter(&|s| format!("{s}"))
        .y_label_formatter(&|value| format!("{value}"))
        .draw()?;
    for (series, colour) in all.iter().zip(COLOURS.iter().cycle()) {
        let points = series.values.iter().enumerate();
        let points = points.map(|(i, value)| ((i as f64 + 0.5) * series.every_s, *value));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(series.name.as_str())
            .legend(|at| PathElement::new([at, (at.0 + 18, at.1)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

fn draw_curves(area: &Area<'_>, chart: &str, curves: &[&Curve]) -> Drawn {
    let points = || curves.iter().flat_map(|curve| &curve.points).copied().filter(|(x, _)| *x > 0.0);
    let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.0).fold(0.0, f64::max);
    let Some(first) = curves.first().filter(|_| most > 0.0) else { return Ok(()) };
    let highest = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let mut drawn = ChartBuilder::on(area)
        .caption(chart, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d((least..(most * 1.05).max(least * 1.1)).log_scale(), 0.0..highest * 1.1)?;
    drawn
        .configure_mesh()
        .max_light_lines(1)
        .x_desc(format!("{} (logarithmic)", first.x))
        .y_desc(first.y.as_str())
        .x_label_formatter(&|x| shown(*x))
        .y_label_formatter(&|y| shown(*y))
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<_> = curve.points.iter().copied().filter(|(x, _)| *x > 0.0).collect();
        drawn.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        drawn
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(curve.name.as_str())
            .legend(|at| PathElement::new([at, (at.0 + 18, at.1)], colour.stroke_width(2)));
    }
    drawn
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn every_stage_series_and_curve_that_has_values_is_drawn_and_named() {
        let svg = draw(&sample()).unwrap();
        for part in ["a → b", "fixes", "percentile", "99.9 %", "growth", "engine", "ns/ping", "</svg>"] {
            assert!(svg.contains(part), "{part} in\n{svg}");
        }
        assert!(!svg.contains("never"), "a stage without values has no line");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_report_of_checks_alone_is_an_empty_drawing() {
        let report = Report { latencies: vec![], series: vec![], curves: vec![], ..sample() };
        assert!(draw(&report).unwrap().contains("</svg>"));
    }

    #[test]
    fn percentiles_have_as_many_digits_as_nines() {
        let names: Vec<_> = [0.0, 1.0, 2.0, 3.0, 4.0].map(percentile_name).into();
        assert_eq!(names, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }
}
