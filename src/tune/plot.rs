//! The candidates' ticks as bars in an SVG file.

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::candidates::Candidate;

/// The width of the plot, the height of a bar with its margins, and the height of everything else, in pixels.
const WIDTH: u32 = 900;
const BAR: u32 = 24;
const AROUND: u32 = 120;

/// The bars' colour.
const COLOUR: RGBColor = RGBColor(70, 130, 90);

/// Draws a bar for each candidate that ran here, as long as its median call.
pub(super) fn plot(path: &Path, module: &str, candidates: &[Candidate]) -> Result<()> {
    let ran = candidates.iter().filter_map(|candidate| Some((candidate.short(), candidate.ticks?.median)));
    let svg = draw(module, &ran.collect::<Vec<_>>()).map_err(|error| anyhow!("can't draw the plot: {error}"))?;
    fs::write(path, svg).map_err(|error| anyhow!("can't write {}: {error}", path.display()))
}

fn draw(module: &str, bars: &[(String, u64)]) -> Result<String> {
    let mut svg = String::new();
    {
        let height = BAR * u32::try_from(bars.len())? + AROUND;
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let title = format!("{module}: median ticks of a call");
        if bars.is_empty() {
            area.titled(&title, ("sans-serif", 20))?.present()?;
            drop(area);
            return Ok(svg);
        }
        let longest = bars.iter().map(|(_, ticks)| *ticks).max().unwrap_or_default().max(1) as f64;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(30)
            .y_label_area_size(110)
            .build_cartesian_2d(0.0..longest, (0..bars.len().saturating_sub(1)).into_segmented())?;
        // The axis points up, but the first candidate belongs at the top.
        let name = |index: &SegmentValue<usize>| match index {
            SegmentValue::CenterOf(index) => bars.iter().rev().nth(*index).map(|(name, _)| name.clone()),
            _ => None,
        };
        let label = |index: &SegmentValue<usize>| name(index).unwrap_or_default();
        chart
            .configure_mesh()
            .disable_y_mesh()
            .x_max_light_lines(0)
            .y_labels(bars.len())
            .y_label_formatter(&label)
            .draw()?;
        chart.draw_series(bars.iter().rev().enumerate().map(|(index, &(_, ticks))| {
            let corners = [(0.0, SegmentValue::Exact(index)), (ticks as f64, SegmentValue::Exact(index + 1))];
            let mut bar = Rectangle::new(corners, COLOUR.filled());
            bar.set_margin(3, 3, 0, 0);
            bar
        }))?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_and_names_every_bar() {
        let bars: Vec<_> = (1..=24).map(|number| (format!("v{number} s"), number * 100)).collect();
        let svg = draw("sum", &bars).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("sum: median ticks of a call"), "{svg}");
        for (name, _) in &bars {
            assert!(svg.contains(&format!("\n{name}\n")), "{name}\n{svg}");
        }
        assert!(draw("sum", &[]).is_ok());
    }
}
