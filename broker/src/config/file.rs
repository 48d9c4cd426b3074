//! The syntax of `server.properties`: Java's, with line and column kept.

/// One `key=value` of a file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped, without trailing blanks.
    pub value: String,
    /// The line the key stands on.
    pub line: u32,
    /// The column the key begins at.
    pub key_column: u32,
    /// The line the value begins on.
    pub value_line: u32,
    /// The column the value begins at.
    pub value_column: u32,
}

/// A syntax error: line, column, what is wrong.
pub type SyntaxError = (u32, u32, String);

/// Reads a properties file. Comments begin with `#` or `!`; a key ends at `=`, `:` or a blank; a
/// line that ends in a backslash goes on with the next line's first visible character.
///
/// # Errors
/// An unfinished or non-hexadecimal `\uXXXX`. Everything else has a meaning, as in Java.
pub fn parse_properties(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let mut entries = Vec::new();
    let mut reader = Reader { chars: text.chars().collect(), at: 0, line: 1, column: 1 };
    loop {
        reader.skip_blanks_and_lines();
        match reader.peek() {
            None => return Ok(entries),
            Some('#' | '!') => reader.skip_line(),
            Some(_) => entries.push(reader.entry()?),
        }
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: u32,
    column: u32,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += 1;
        if char == '\n' || (char == '\r' && self.peek() != Some('\n')) {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(char)
    }

    fn skip_blanks_and_lines(&mut self) {
        while self
            .peek()
            .is_some_and(|c| matches!(c, ' ' | '\t' | '\x0c' | '\n' | '\r' | '\u{feff}'))
        {
            self.next();
        }
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|char| matches!(char, ' ' | '\t' | '\x0c')) {
            self.next();
        }
        if self.at_continuation() {
            self.skip_continuation();
            self.skip_blanks();
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|char| !matches!(char, '\n' | '\r')) {
            self.next();
        }
    }

    fn at_continuation(&self) -> bool {
        self.peek() == Some('\\') && matches!(self.chars.get(self.at + 1), Some('\n' | '\r'))
    }

    fn skip_continuation(&mut self) {
        self.next();
        if self.next() == Some('\r') && self.peek() == Some('\n') {
            self.next();
        }
    }

    fn entry(&mut self) -> Result<Entry, SyntaxError> {
        let (line, key_column) = (self.line, self.column);
        let key = self.token(|char| matches!(char, '=' | ':' | ' ' | '\t' | '\x0c'))?;
        self.skip_blanks();
        if matches!(self.peek(), Some('=' | ':')) {
            self.next();
            self.skip_blanks();
        }
        let (value_line, value_column) = (self.line, self.column);
        let value = self.token(|_| false)?.trim_end().to_owned();
        Ok(Entry { key, value, line, key_column, value_line, value_column })
    }

    /// Reads up to the end of the line or to an unescaped character that `ends` it.
    fn token(&mut self, ends: fn(char) -> bool) -> Result<String, SyntaxError> {
        let mut token = String::new();
        while let Some(char) = self.peek() {
            if matches!(char, '\n' | '\r') || ends(char) {
                break;
            }
            if self.at_continuation() {
                self.skip_continuation();
                while self.peek().is_some_and(|char| matches!(char, ' ' | '\t' | '\x0c')) {
                    self.next();
                }
                continue;
            }
            let (line, column) = (self.line, self.column);
            self.next();
            if char != '\\' {
                token.push(char);
                continue;
            }
            match self.next() {
                Some('t') => token.push('\t'),
                Some('n') => token.push('\n'),
                Some('r') => token.push('\r'),
                Some('f') => token.push('\x0c'),
                Some('u') => token.push(self.unicode().ok_or_else(|| {
                    (line, column, "\\u is not followed by four hexadecimal digits".to_owned())
                })?),
                Some(char) => token.push(char),
                None => {}
            }
        }
        Ok(token)
    }

    fn unicode(&mut self) -> Option<char> {
        let mut code = 0;
        for _ in 0..4 {
            code = code * 16 + self.next()?.to_digit(16)?;
        }
        Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, &str, u32, u32)]) {
        let entries = parse_properties(text).expect("the text is a properties file");
        let got: Vec<_> = entries
            .iter()
            .map(|e| (e.key.as_str(), e.value.as_str(), e.line, e.value_column))
            .collect();
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn separators_comments_and_blank_lines() {
        check(
            "a=1\n# no\n! no\n\n  b = 2 \nc: 3\nd 4\n",
            &[("a", "1", 1, 3), ("b", "2", 5, 7), ("c", "3", 6, 4), ("d", "4", 7, 3)],
        );
        check("a=1\r\nb=2\r\n", &[("a", "1", 1, 3), ("b", "2", 2, 3)]);
        check("a", &[("a", "", 1, 2)]);
        check("a=b=c", &[("a", "b=c", 1, 3)]);
        check("", &[]);
    }

    #[test]
    fn continuations_and_escapes() {
        check("list=a,\\\n     b\nnext=1", &[("list", "a,b", 1, 6), ("next", "1", 3, 6)]);
        check("a\\=b=c\\td\\u0041", &[("a=b", "c\tdA", 1, 6)]);
        check("a=c\\", &[("a", "c", 1, 3)]);
    }

    #[test]
    fn broken_unicode_escapes_have_a_place() {
        let why = "\\u is not followed by four hexadecimal digits".to_owned();
        assert_eq!(parse_properties("a=1\nb=x\\u12"), Err((2, 4, why)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,40}[\\\\\n\r=: u0]{0,20}") {
            let _ = parse_properties(&text);
        }
    }
}
