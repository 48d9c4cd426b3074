//! The output format, as in kcat: `%t %p %o %k %s\n`.

use std::io::Write as _;

use serde_json::{Map, Value, json};
use storage::batch::Record;

use crate::cli::output::base64_standard;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    KeyLength,
    Value,
    ValueLength,
    Headers,
}

/// How a record is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Default for Template {
    /// The value and a line feed.
    fn default() -> Self {
        Template(vec![Part::Value, Part::Text(b"\n".to_vec())])
    }
}

impl Template {
    /// Reads a format.
    ///
    /// # Errors
    /// Names the `%` or `\` that means nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            let part = match char {
                '%' => match chars.next() {
                    Some('%') => {
                        plain.push(b'%');
                        continue;
                    }
                    Some('t') => Part::Topic,
                    Some('p') => Part::Partition,
                    Some('o') => Part::Offset,
                    Some('T') => Part::Timestamp,
                    Some('k') => Part::Key,
                    Some('K') => Part::KeyLength,
                    Some('s') => Part::Value,
                    Some('S') => Part::ValueLength,
                    Some('h') => Part::Headers,
                    other => {
                        let other = other.map_or(String::new(), String::from);
                        return Err(format!(
                            "%{other} is not one of %t %p %o %T %k %K %s %S %h %%"
                        ));
                    }
                },
                '\\' => {
                    plain.push(escape(&mut chars)?);
                    continue;
                }
                char => {
                    plain.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template(parts))
    }

    /// Prints a record. Null keys and values print as nothing; `%K` and `%S` tell them as -1.
    pub fn print(&self, out: &mut Vec<u8>, topic: &str, partition: i32, record: &Record<'_>) {
        let length = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
        for part in &self.0 {
            // Writing to memory cannot fail.
            let _ = match part {
                Part::Text(text) => out.write_all(text),
                Part::Topic => out.write_all(topic.as_bytes()),
                Part::Partition => write!(out, "{partition}"),
                Part::Offset => write!(out, "{}", record.offset.0),
                Part::Timestamp => write!(out, "{}", record.timestamp),
                Part::Key => out.write_all(record.key.unwrap_or_default()),
                Part::KeyLength => write!(out, "{}", length(record.key)),
                Part::Value => out.write_all(record.value.unwrap_or_default()),
                Part::ValueLength => write!(out, "{}", length(record.value)),
                Part::Headers => print_headers(out, record),
            };
        }
    }
}

fn print_headers(out: &mut Vec<u8>, record: &Record<'_>) -> std::io::Result<()> {
    for (index, (name, value)) in record.headers.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value.unwrap_or(b"NULL"));
    }
    Ok(())
}

fn escape(chars: &mut std::str::Chars<'_>) -> Result<u8, String> {
    Ok(match chars.next() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let digits: String = chars.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16)
                .map_err(|_| format!("\\x{digits} is not \\x and two hexadecimal digits"))?
        }
        other => {
            let other = other.map_or(String::new(), String::from);
            return Err(format!("\\{other} is not one of \\n \\r \\t \\0 \\xHH \\\\"));
        }
    })
}

/// Prints a record as one JSON object on one line. Bytes that are not UTF-8 come as base64 under a
/// name of their own (`key_base64`, `value_base64`).
pub fn print_json(out: &mut Vec<u8>, topic: &str, partition: i32, record: &Record<'_>) {
    let mut object = Map::new();
    object.insert("topic".into(), topic.into());
    object.insert("partition".into(), partition.into());
    object.insert("offset".into(), record.offset.0.into());
    object.insert("timestamp".into(), record.timestamp.into());
    put(&mut object, "key", record.key);
    put(&mut object, "value", record.value);
    let headers: Vec<Value> = record
        .headers
        .map(|(name, value)| {
            let mut header = Map::new();
            header.insert("name".into(), json!(String::from_utf8_lossy(name)));
            put(&mut header, "value", value);
            Value::Object(header)
        })
        .collect();
    object.insert("headers".into(), headers.into());
    let _ = writeln!(out, "{}", Value::Object(object));
}

fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.into(), Value::Null),
        Some(Ok(text)) => object.insert(name.into(), text.into()),
        Some(Err(_)) => {
            let bytes = bytes.unwrap_or_default();
            object.insert(format!("{name}_base64"), base64_standard(bytes).into())
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::batch::{BatchView, Builder, Codec, NewRecord, Records};

    fn printed(print: impl Fn(&mut Vec<u8>, &Record<'_>)) -> String {
        let mut builder = Builder::new(Codec::None);
        let record = NewRecord::of(b"v").key(b"k").at(77);
        builder.push(record.header(b"a", Some(b"1")).header(b"b", None));
        builder.push(NewRecord::null().at(78));
        builder.push(NewRecord::of(&[0xff]).at(79));
        let bytes = builder.build().expect("nothing is compressed");
        let view = BatchView::first(&bytes).expect("a whole batch");
        let mut out = Vec::new();
        for record in Records::of(&view).expect("nothing is compressed").iter() {
            print(&mut out, &record.expect("as built"));
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    fn check(format: &str, expected: &str) {
        let template = Template::parse(format).expect("a valid format");
        assert_eq!(printed(|out, record| template.print(out, "loom", 3, record)), expected);
    }

    #[test]
    fn formats_as_in_kcat() {
        check(
            "%t %p %o %T|%k|%s|%h\\n",
            "loom 3 0 77|k|v|a=1,b=NULL\nloom 3 1 78|||\nloom 3 2 79||\u{fffd}|\n",
        );
        check("%K,%S;", "1,1;-1,-1;-1,1;");
        check("100%%\\t\\x41", "100%\tA100%\tA100%\tA");
        check("é", "ééé");
        check("", "");
        assert_eq!(Template::parse("%s\\n"), Ok(Template::default()));
    }

    #[test]
    fn what_means_nothing_is_named() {
        let check = |format: &str, expected: &str| {
            assert_eq!(Template::parse(format), Err(expected.into()));
        };
        check("%q", "%q is not one of %t %p %o %T %k %K %s %S %h %%");
        check("a%", "% is not one of %t %p %o %T %k %K %s %S %h %%");
        check("\\q", "\\q is not one of \\n \\r \\t \\0 \\xHH \\\\");
        check("\\xg1", "\\xg1 is not \\x and two hexadecimal digits");
    }

    #[test]
    fn json_keeps_every_byte() {
        assert_eq!(
            printed(|out, record| print_json(out, "loom", 3, record)),
            concat!(
                r#"{"headers":[{"name":"a","value":"1"},{"name":"b","value":null}],"key":"k","#,
                r#""offset":0,"partition":3,"timestamp":77,"topic":"loom","value":"v"}"#,
                "\n",
                r#"{"headers":[],"key":null,"offset":1,"partition":3,"timestamp":78,"#,
                r#""topic":"loom","value":null}"#,
                "\n",
                r#"{"headers":[],"key":null,"offset":2,"partition":3,"timestamp":79,"#,
                r#""topic":"loom","value_base64":"/w=="}"#,
                "\n",
            )
        );
    }
}
