//! Printing: text for people and pipes, or JSON; numbers as people read them.

use std::io::{self, IsTerminal, Write};

use super::args::Common;
use super::failure::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Plain columns.
    #[default]
    Text,
    /// One JSON value.
    Json,
}

/// Where a command prints to.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// How results are printed.
    pub format: Format,
    /// Say nothing but results and errors.
    pub quiet: bool,
    /// Whether progress may be shown.
    pub progress: bool,
    /// Whether standard error is a terminal.
    pub terminal: bool,
}

impl Output {
    /// What the options ask for.
    pub fn new(common: &Common) -> Self {
        Output {
            format: common.format,
            quiet: common.quiet,
            progress: !common.quiet && !common.no_progress,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a JSON value on a line of standard output.
    pub fn json(&self, value: &serde_json::Value) {
        line(&value.to_string());
    }

    /// Prints a sentence for a person on standard error, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Prints a failure on standard error.
    pub fn failure(&self, failure: &Failure) {
        let _ = match self.format {
            Format::Text => writeln!(io::stderr(), "{failure}"),
            Format::Json => writeln!(io::stderr(), "{}", failure.to_json()),
        };
    }
}

/// Prints a line on standard output. A reader that went away (`| head`) is not an error.
pub fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints a text and a line feed on standard error with one write.
pub fn stderr(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Plain columns under upper-case headers: no lines drawn, so that awk can read them.
pub fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(headers);
    for row in rows {
        table.add_row(row);
    }
    let text = table.to_string();
    // The preset pads each cell on both sides.
    let trimmed = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    trimmed.collect::<Vec<_>>().join("\n")
}

/// Bytes with a binary unit: `512 B`, `1.5 KiB`, `76.3 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count with groups of three: `1 000 000`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2 records`.
pub fn plural(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// Base64 with the URL-safe alphabet and without padding: how Kafka writes ids.
pub fn base64_url(bytes: &[u8]) -> String {
    base64(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}

/// Base64 with the standard alphabet and padding, for bytes in JSON.
pub fn base64_standard(bytes: &[u8]) -> String {
    let mut text =
        base64(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for index in 0..=chunk.len() {
            let letter = alphabet[(bits >> (18 - 6 * index)) as usize & 63];
            text.push(char::from(letter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(bytes(76 << 30), "76.0 GiB");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1 000 000");
        assert_eq!(plural(1, "record"), "1 record");
        assert_eq!(plural(1000, "record"), "1 000 records");
    }

    #[test]
    fn base64_as_in_rfc_4648() {
        let check = |bytes: &[u8], url: &str, standard: &str| {
            assert_eq!(
                (base64_url(bytes).as_str(), base64_standard(bytes).as_str()),
                (url, standard)
            );
        };
        check(b"", "", "");
        check(b"f", "Zg", "Zg==");
        check(b"fo", "Zm8", "Zm8=");
        check(b"foo", "Zm9v", "Zm9v");
        check(&[0xfb, 0xff], "-_8", "+/8=");
    }

    #[test]
    fn columns_are_plain() {
        let rows = [["a".into(), "1".into()], ["long".into(), "22".into()]];
        assert_eq!(table(["TOPIC", "N"], &rows), "TOPIC  N\na      1\nlong   22");
    }
}
