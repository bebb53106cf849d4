//! Owns the picture of a loss curve.

use std::fmt::Write;

use qwen_tune::StepReport;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 32.0;
const TOP: f64 = 16.0;

/// A loss curve as SVG, readable on light and dark ground: each step, and a mean that moves along.
pub(crate) fn loss_curve(steps: &[StepReport]) -> String {
    let last = steps.last().map_or(1, |report| report.step.max(1)) as f64;
    let most = steps.iter().map(|report| report.loss).fold(0.0, f64::max).max(1e-6);
    let place = |step: f64, loss: f64| {
        let x = LEFT + (WIDTH - LEFT - 8.0) * step / last;
        let y = TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - loss / most);
        format!("{x:.1},{y:.1}")
    };
    let mut mean = steps.first().map_or(0.0, |report| report.loss);
    let (mut each, mut smooth) = (String::new(), String::new());
    for report in steps {
        mean += 0.02 * (report.loss - mean);
        // Writing into a string cannot fail.
        let _ = write!(each, "{} ", place(report.step as f64, report.loss));
        let _ = write!(smooth, "{} ", place(report.step as f64, mean));
    }
    let line = |y: f64| {
        let loss = most * y;
        let text = place(0.0, loss);
        let y = text.split_once(',').map_or("0", |(_, y)| y).to_owned();
        format!(
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#8d99ae\" stroke-width=\"0.4\"/>\
             <text x=\"4\" y=\"{y}\" dy=\"4\">{loss:.2}</text>"
        )
    };
    let lines: String = [0.0, 0.25, 0.5, 0.75, 1.0].into_iter().map(line).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <style>text{{font:12px sans-serif;fill:#57606a}}@media(prefers-color-scheme:dark){{text{{fill:#c9d1d9}}}}</style>\n\
         {lines}\n\
         <polyline points=\"{each}\" fill=\"none\" stroke=\"#8d99ae\" stroke-width=\"0.6\" opacity=\"0.6\"/>\n\
         <polyline points=\"{smooth}\" fill=\"none\" stroke=\"#2a9d8f\" stroke-width=\"2\"/>\n\
         <text x=\"{LEFT}\" y=\"{}\">0</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">step {last}; loss of each, and its mean</text>\n\
         </svg>\n",
        HEIGHT - 8.0,
        WIDTH - 8.0,
        HEIGHT - 8.0,
    )
}
