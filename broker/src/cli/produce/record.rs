//! From a line to a record: key delimiter, null values, headers.

/// What the options say about every line.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Text between key and value; a line without it has no key.
    pub key_delimiter: Option<Vec<u8>>,
    /// Whether an empty value is null (a tombstone).
    pub empty_is_null: bool,
}

impl Shape {
    /// The key and the value of a line whose end is cut off.
    pub fn split<'a>(&self, line: &'a [u8]) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let (key, value) = match self.key_delimiter.as_deref() {
            None => (None, line),
            Some(delimiter) => match find(line, delimiter) {
                Some(at) => (Some(&line[..at]), &line[at + delimiter.len()..]),
                None => (None, line),
            },
        };
        (key, (!(self.empty_is_null && value.is_empty())).then_some(value))
    }
}

fn find(line: &[u8], delimiter: &[u8]) -> Option<usize> {
    match delimiter {
        [] => None,
        [byte] => line.iter().position(|other| other == byte),
        _ => line.windows(delimiter.len()).position(|window| window == delimiter),
    }
}

/// Reads a header option, `name=value`, or `name` alone for a null value.
///
/// # Errors
/// The name is empty.
pub fn parse_header(text: &str) -> Result<(String, Option<String>), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("write it as NAME=VALUE".into());
    }
    Ok((name.to_owned(), value))
}

/// Reads a delimiter option: `\t`, `\n`, `\\` and `\xHH` stand for what they stand for in C.
///
/// # Errors
/// It is empty, or an escape is unknown.
pub fn parse_delimiter(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next() {
            Some('t') => bytes.push(b'\t'),
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('\\') => bytes.push(b'\\'),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16);
                bytes.push(byte.map_err(|_| format!("\\x{digits} is not \\x and two digits"))?);
            }
            other => {
                return Err(format!(
                    "\\{} is no escape",
                    other.map_or(String::new(), String::from)
                ));
            }
        }
    }
    match bytes.is_empty() {
        true => Err("it must not be empty".into()),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(delimiter: &str, line: &str, key: Option<&str>, value: Option<&str>) {
        let delimiter = (!delimiter.is_empty()).then(|| delimiter.as_bytes().to_vec());
        let shape = Shape { key_delimiter: delimiter, empty_is_null: true };
        let expected = (key.map(str::as_bytes), value.map(str::as_bytes));
        assert_eq!(shape.split(line.as_bytes()), expected, "{line}");
    }

    #[test]
    fn a_line_is_split_at_the_first_delimiter() {
        check("", "a:b", None, Some("a:b"));
        check(":", "a:b:c", Some("a"), Some("b:c"));
        check(":", "abc", None, Some("abc"));
        check(":", ":b", Some(""), Some("b"));
        check("::", "a:b::c", Some("a:b"), Some("c"));
        check(":", "a:", Some("a"), None);
        check("", "", None, None);
    }

    #[test]
    fn an_empty_line_is_an_empty_value_unless_it_means_null() {
        assert_eq!(Shape::default().split(b""), (None, Some(&b""[..])));
    }

    #[test]
    fn options() {
        assert_eq!(parse_header("a=b=c"), Ok(("a".into(), Some("b=c".into()))));
        assert_eq!(parse_header("a"), Ok(("a".into(), None)));
        assert!(parse_header("=b").is_err());
        assert_eq!(parse_delimiter("\\t"), Ok(b"\t".to_vec()));
        assert_eq!(parse_delimiter("\\x00\\\\é"), Ok(b"\0\\\xc3\xa9".to_vec()));
        assert!(parse_delimiter("").is_err());
        assert_eq!(parse_delimiter("\\q"), Err("\\q is no escape".into()));
    }
}
