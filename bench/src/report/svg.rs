//! Shapes of a drawing. Colours, strokes and fonts come from the page's style sheet by class.

use std::fmt::Write;

use super::escape::escape;
use super::scale::Scale;

/// A drawing under construction.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// For whom a drawing is: on a narrow screen a wide one would be too small to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Screens and paper.
    Wide,
    /// A phone.
    Narrow,
}

impl Width {
    /// Units of the drawing, about pixels.
    pub fn units(self) -> f64 {
        match self {
            Width::Wide => 1040.0,
            Width::Narrow => 380.0,
        }
    }
}

/// The part of a drawing in which values are plotted.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    /// Its left end.
    pub left: f64,
    /// Its right end.
    pub right: f64,
    /// Its upper end.
    pub top: f64,
    /// Its lower end.
    pub bottom: f64,
}

impl Svg {
    /// An empty one.
    pub fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(short);
        let _ = write!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        );
    }

    /// A line through points, drawn if there are any. `series` is what the legend switches.
    pub fn line_through(&mut self, class: &str, series: usize, points: &[(f64, f64)]) {
        if !points.is_empty() {
            self.path(class, series, &through(points));
        }
    }

    /// A path in SVG's own words, part of a series.
    pub fn path(&mut self, class: &str, series: usize, words: &str) {
        let _ =
            write!(self.body, "<path class=\"{class}\" data-series=\"{series}\" d=\"{words}\"/>");
    }

    /// A rectangle.
    pub fn rect(&mut self, class: &str, at: (f64, f64), width: f64, height: f64) {
        let _ = write!(self.body, "{}/>", opened_rect(class, at, width, height));
    }

    /// A rectangle that says something when it is pointed at.
    pub fn rect_with_words(&mut self, class: &str, at: (f64, f64), size: (f64, f64), words: &str) {
        let open = opened_rect(class, at, size.0, size.1);
        let _ = write!(self.body, "{open}><title>{}</title></rect>", escape(words));
    }

    /// A circle.
    pub fn circle(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let [x, y, r] = [at.0, at.1, radius].map(short);
        let _ = write!(self.body, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>");
    }

    /// Text. Class `end` ends at the place, `middle` is centred on it, otherwise it begins there.
    pub fn text(&mut self, class: &str, at: (f64, f64), text: &str) {
        let [x, y] = [at.0, at.1].map(short);
        let text = escape(text);
        let _ = write!(self.body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
    }

    /// Lines and labels of an axis of values, at the left.
    pub fn value_axis(
        &mut self,
        plot: Plot,
        scale: &Scale,
        wanted: usize,
        label: impl Fn(f64) -> String,
    ) {
        for value in scale.faint_ticks() {
            let y = scale.at(value);
            self.line("faint", (plot.left, y), (plot.right, y));
        }
        for value in scale.ticks(wanted) {
            let y = scale.at(value);
            self.line("grid", (plot.left, y), (plot.right, y));
            self.text("end", (plot.left - 8.0, y + 4.0), &label(value));
        }
    }

    /// The drawing as an element; `words` say what it shows to those who cannot see it.
    pub fn finish(self, class: &str, words: &str) -> String {
        let (width, height) = (short(self.width), short(self.height));
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            escape(words),
            self.body
        )
    }
}

/// SVG's words for a line through points. Points that lie on the line between their neighbours' heights are left out.
pub fn through(points: &[(f64, f64)]) -> String {
    let mut words = String::new();
    for (number, point) in points.iter().enumerate() {
        let flat = |other: Option<&(f64, f64)>| {
            other.is_some_and(|other| short(other.1) == short(point.1))
        };
        let before = number.checked_sub(1).and_then(|at| points.get(at));
        if flat(before) && flat(points.get(number + 1)) {
            continue;
        }
        let command = if number == 0 { 'M' } else { 'L' };
        let _ = write!(words, "{command}{} {}", short(point.0), short(point.1));
    }
    words
}

fn opened_rect(class: &str, at: (f64, f64), width: f64, height: f64) -> String {
    let [x, y, width, height] = [at.0, at.1, width.max(0.0), height.max(0.0)].map(short);
    format!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"")
}

/// A name of at most so many characters.
pub fn fitted(name: &str, room: usize) -> String {
    match name.chars().count() <= room {
        true => name.to_owned(),
        false => name.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A tenth of a unit is finer than a screen.
pub fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_more_points_than_it_needs() {
        let points = [(0.0, 5.0), (1.0, 5.0), (2.0, 5.01), (3.0, 7.0), (4.0, 8.25)];
        assert_eq!(through(&points), "M0 5L2 5L3 7L4 8.2");
        assert_eq!(through(&[]), "");
    }

    #[test]
    fn words_are_escaped() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("end", (1.0, 2.0), "<a>");
        svg.rect_with_words("band", (0.0, 0.0), (1.0, -1.0), "\"&\"");
        let text = svg.finish("wide", "it's");
        assert!(
            text.contains(">&lt;a&gt;<") && text.contains("<title>&quot;&amp;&quot;"),
            "{text}"
        );
        assert!(
            text.contains("aria-label=\"it&#39;s\"") && text.contains("height=\"0\""),
            "{text}"
        );
    }
}
