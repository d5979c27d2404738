//! Plots of the figures (SVG). Scales are logarithmic where numbers span decades.

use std::path::Path;

use plotters::prelude::*;

use crate::peers::BoxError;
use crate::subjects::Group;

/// The size of a plot, in pixels.
const SIZE: (u32, u32) = (860, 480);

/// The ratio of a plot's top to its highest figure, which leaves room for the legend.
const ROOM: f64 = 30.0;

/// One line of a plot.
#[derive(Clone, Debug)]
pub struct Series {
    /// The line's label.
    pub name: String,
    /// The points of the line.
    pub points: Vec<(f64, f64)>,
}

/// Draws a plot with lines.
pub fn lines(file: &Path, title: &str, (across, up): (&str, &str), series: &[Series]) -> Result<(), BoxError> {
    let points = || series.iter().flat_map(|series| &series.points);
    let (left, right) = span(points().map(|point| point.0));
    let (bottom, top) = span(points().map(|point| point.1));
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((left..right).log_scale(), (bottom / 2.0..top * ROOM).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(across)
        .y_desc(up)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (index, series) in series.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(series.points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    let legend = SeriesLabelPosition::UpperLeft;
    chart.configure_series_labels().position(legend).background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    Ok(area.present()?)
}

/// Draws a plot with groups of bars, with the same contenders in each.
pub fn bars(file: &Path, title: &str, groups: &[Group]) -> Result<(), BoxError> {
    let figures = || groups.iter().flat_map(|(_, figures)| figures);
    let (bottom, top) = span(figures().map(|figure| figure.median));
    let bottom = bottom / 2.0;
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..groups.len() as f64, (bottom..top * ROOM).log_scale())?;
    let name = |x: &f64| groups.get(*x as usize).filter(|_| x.fract() == 0.5).map_or("", |group| &group.0).to_owned();
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(2 * groups.len() + 1)
        .x_label_formatter(&name)
        .y_desc("ticks per call, median")
        .y_label_formatter(&|ticks| format!("{ticks:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let contenders = groups.first().map_or(0, |(_, figures)| figures.len());
    let width = 0.8 / contenders.max(1) as f64;
    for index in 0..contenders {
        let colour = Palette99::pick(index).to_rgba();
        let bars = groups.iter().enumerate().filter_map(|(group, (_, figures))| {
            let start = group as f64 + 0.1 + width * index as f64;
            Some(Rectangle::new([(start, bottom), (start + width, figures.get(index)?.median)], colour.filled()))
        });
        let label = groups[0].1[index].name.clone();
        let legend = move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled());
        chart.draw_series(bars)?.label(label).legend(legend);
    }
    let legend = SeriesLabelPosition::UpperLeft;
    chart.configure_series_labels().position(legend).background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    Ok(area.present()?)
}

/// Returns the smallest and the largest value, or a default range if there is none.
fn span(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let largest = values.fold(0.0, f64::max);
    if least < largest { (least, largest) } else { (1.0, 10.0) }
}
