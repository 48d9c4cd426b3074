//! A drawing with its title, legend, and the same as a table.

use super::escape::escape;
use super::svg::{Svg, Width};

/// What the parts of a drawing stand for.
#[derive(Clone, Debug)]
pub struct Key {
    /// The class that its lines or areas have.
    pub class: String,
    /// In words.
    pub words: String,
    /// Drawn as an area rather than a line.
    pub area: bool,
}

impl Key {
    /// Of lines.
    pub fn line(class: impl Into<String>, words: impl Into<String>) -> Key {
        Key { class: class.into(), words: words.into(), area: false }
    }

    /// Of areas.
    pub fn area(class: impl Into<String>, words: impl Into<String>) -> Key {
        Key { class: class.into(), words: words.into(), area: true }
    }
}

/// A figure: `draw` is asked for a wide and for a narrow drawing. The number of a key is the series it switches.
pub fn figure(
    title: &str,
    words: &str,
    keys: &[Key],
    draw: impl Fn(Width) -> Svg,
    table: &str,
) -> String {
    let mut html = String::from("<figure>");
    html += &format!("<figcaption><h3>{}</h3><p>{}</p></figcaption>", escape(title), escape(words));
    if !keys.is_empty() {
        html += "<ul class=\"keys\">";
        for (series, key) in keys.iter().enumerate() {
            html += &entry(series, key);
        }
        html += "</ul>";
    }
    let label = format!("{title}. {words}");
    html += &draw(Width::Wide).finish("wide", &label);
    html += &draw(Width::Narrow).finish("narrow", &label);
    if !table.is_empty() {
        html += &format!("<details><summary>as a table</summary>{table}</details>");
    }
    html + "</figure>"
}

fn entry(series: usize, key: &Key) -> String {
    let sample = match key.area {
        true => {
            format!("<rect class=\"{}\" x=\"0\" y=\"1\" width=\"22\" height=\"10\"/>", key.class)
        }
        false => format!("<path class=\"{}\" d=\"M0 6H22\"/>", key.class),
    };
    format!(
        "<li class=\"key\" data-key=\"{series}\"><svg viewBox=\"0 0 22 12\" aria-hidden=\"true\">{sample}</svg>{}</li>",
        escape(&key.words)
    )
}
