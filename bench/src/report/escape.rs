//! Text and numbers as they may stand in a page.

use crate::result::figures;

/// Between a number and its unit, and between groups of three: narrow, and no line breaks there.
const NARROW: &str = "\u{202f}";

/// Text as content of an element or as a quoted attribute. What is no character of a page becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(character),
            // Controls, and the marks that turn the direction of the text behind them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A latency with its unit: `12.3 µs`.
pub fn latency(ns: f64) -> String {
    typeset(&figures::latency(ns))
}

/// The latency at a quantile with its unit, or `n/a`.
pub fn value_at(latencies: &crate::latency::Latencies, quantile: f64) -> String {
    let value = figures::value_at(latencies, quantile);
    value.map_or_else(|| figures::NONE.to_owned(), |value| latency(value.as_nanos() as f64))
}

/// The longest latency with its unit, or `n/a`.
pub fn max(latencies: &crate::latency::Latencies) -> String {
    let value = figures::max(latencies);
    value.map_or_else(|| figures::NONE.to_owned(), |value| latency(value.as_nanos() as f64))
}

/// A count in groups of three.
pub fn count(count: u64) -> String {
    typeset(&figures::count(count))
}

/// A number that [`figures`] wrote, with narrow spaces and µ.
pub fn typeset(text: &str) -> String {
    text.replace(" us", " µs").replace(' ', NARROW)
}

/// A table: heads, then rows of cells. The first cell of each row names it. Cells are text, not HTML.
pub fn table(class: &str, heads: &[String], rows: &[Vec<String>]) -> String {
    let mut html = format!("<div class=\"scroll\"><table class=\"{class}\"><thead><tr>");
    for head in heads {
        html += &format!("<th scope=\"col\">{}</th>", escape(head));
    }
    html += "</tr></thead><tbody>";
    for row in rows {
        html += "<tr>";
        for (at, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            html += &match at {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            };
        }
        html += "</tr>";
    }
    html + "</tbody></table></div>"
}

/// Heads of a table.
pub fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let check = |text: &str, expected: &str| assert_eq!(escape(text), expected);
        check("a topic", "a topic");
        check("<script>alert('1')</script>", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;");
        check("\" onload=\"x", "&quot; onload=&quot;x");
        check("&amp;", "&amp;amp;");
        check("nul\0bell\u{7}back\u{202e}wards", "nul\u{fffd}bell\u{fffd}back\u{fffd}wards");
        check("naïve µ 🧵", "naïve µ 🧵");
    }

    #[test]
    fn cells_are_text() {
        let html = table("data", &heads(&["<b>"]), &[vec!["&".to_owned(), "\"".to_owned()]]);
        assert!(html.contains("<th scope=\"col\">&lt;b&gt;</th>"), "{html}");
        assert!(html.contains("<th scope=\"row\">&amp;</th><td>&quot;</td>"), "{html}");
    }

    #[test]
    fn numbers_do_not_break() {
        assert_eq!(latency(12_340.0), "12.3\u{202f}µs");
        assert_eq!(count(3_072_000), "3\u{202f}072\u{202f}000");
    }
}
