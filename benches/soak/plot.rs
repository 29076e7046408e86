//! The plot: one strip for each thing that is looked at, over the same time, as plain SVG.

use std::fmt::Write as _;

use crate::sample::{METRICS, Samples};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 84.0;
const LEFT: f64 = 230.0;
const TOP: f64 = 44.0;
const STRIP: f64 = 58.0;
/// More points than this cannot be told apart.
const POINTS: usize = 400;

/// The samples as a picture with a white ground, for light and dark pages alike.
pub fn svg(title: &str, samples: &Samples) -> String {
    let rows = samples.rows();
    let end = rows.last().map_or(1.0, |(at, _)| at.max(1.0));
    let height = TOP + HEIGHT * count(METRICS.len()) + 24.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"15\">{title}</text>\n"
    );
    let right = WIDTH - 16.0;
    for (place, metric) in METRICS.iter().enumerate() {
        let top = TOP + HEIGHT * count(place);
        let bottom = top + STRIP;
        let (first, last, most) = samples.ends(place);
        let ceiling = if most > 0.0 { most * 1.08 } else { 1.0 };
        let _ = writeln!(
            text,
            "<text x=\"12\" y=\"{:.0}\">{}</text>\n\
             <text x=\"12\" y=\"{:.0}\" fill=\"#666\">{first:.1} → {last:.1}, most {most:.1}</text>\n\
             <line x1=\"{LEFT}\" y1=\"{bottom:.1}\" x2=\"{right}\" y2=\"{bottom:.1}\" stroke=\"#bbb\"/>",
            top + 24.0,
            metric.name,
            top + 42.0,
        );
        let step = rows.len().div_ceil(POINTS).max(1);
        let points: Vec<String> = rows
            .chunks(step)
            .map(|part| {
                let at = part[0].0;
                let value = part.iter().map(|(_, values)| values[place]).fold(0.0, f64::max);
                format!("{:.1},{:.1}", LEFT + (right - LEFT) * at / end, bottom - STRIP * value / ceiling)
            })
            .collect();
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"#2563a8\" stroke-width=\"1.2\" points=\"{}\"/>",
            points.join(" ")
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{:.0}\" fill=\"#666\">0</text>\n\
         <text x=\"{right}\" y=\"{:.0}\" fill=\"#666\" text-anchor=\"end\">{:.0} min</text>\n</svg>",
        height - 8.0,
        height - 8.0,
        end / 60.0
    );
    text
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
