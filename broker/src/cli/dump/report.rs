//! Printing facts: `word name=value name=value`, or the same as one JSON object per line.

use std::io::{self, BufWriter, Write};

use serde_json::{Map, Value};

use crate::cli::output::Output;

/// Prints facts, and counts what was found damaged.
pub struct Report {
    json: bool,
    out: BufWriter<io::Stdout>,
    damaged: u64,
}

/// One line to be.
pub struct Fact {
    word: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Fact {
    /// A line that begins with a word: `batch`, `frame`.
    pub fn new(word: &'static str) -> Self {
        Fact { word, fields: Vec::new() }
    }

    /// With a field.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

impl Report {
    /// Prints to standard output.
    pub fn new(output: &Output) -> Self {
        Report { json: output.is_json(), out: BufWriter::new(io::stdout()), damaged: 0 }
    }

    /// Prints a fact, `depth` steps to the right. A reader that has gone is not told more.
    pub fn print(&mut self, depth: usize, fact: Fact) {
        let _ = if self.json {
            let mut object = Map::new();
            object.insert("kind".into(), fact.word.into());
            object.extend(fact.fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
            writeln!(self.out, "{}", Value::Object(object))
        } else {
            let mut line = format!("{:indent$}{}", "", fact.word, indent = 2 * depth);
            for (name, value) in fact.fields {
                match value {
                    Value::Null => {}
                    Value::String(text) => line.push_str(&format!(" {name}={text}")),
                    value => line.push_str(&format!(" {name}={value}")),
                }
            }
            writeln!(self.out, "{line}")
        };
    }

    /// Prints a fact about damage.
    pub fn damage(&mut self, depth: usize, fact: Fact) {
        self.damaged += 1;
        self.print(depth, fact);
    }

    /// Damage found so far.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        let _ = self.out.flush();
    }
}

/// Bytes as text: printable ASCII as it is, everything else escaped.
pub fn escaped(bytes: Option<&[u8]>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()).into(),
    }
}
