//! Where to start reading.

use super::time;

/// A place in every partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest record there is.
    Oldest,
    /// Behind the youngest record there is.
    End,
    /// This offset.
    At(i64),
    /// This many records before the end.
    Last(i64),
    /// The first record at or after this time, in ms since 1970.
    Time(i64),
}

impl Start {
    /// Reads `start`, `end`, `N`, `-N` or `@time`.
    ///
    /// # Errors
    /// Says what can be written.
    pub fn parse(text: &str, now_ms: i64) -> Result<Self, String> {
        match text {
            "start" | "beginning" | "earliest" => return Ok(Start::Oldest),
            "end" | "latest" => return Ok(Start::End),
            _ => {}
        }
        if let Some(at) = text.strip_prefix('@') {
            return time::parse(at, now_ms).map(Start::Time);
        }
        match text.parse::<i64>() {
            Ok(offset) if text.starts_with('-') => Ok(Start::Last(offset.saturating_neg())),
            Ok(offset) => Ok(Start::At(offset)),
            Err(_) => Err(format!("`{text}` is no offset: write start, end, N, -N or @time")),
        }
    }

    /// The offset to read from in a partition that holds `oldest..end`. `at_time` is the offset a
    /// broker found for a time; -1 when no record is that young.
    pub fn resolve(self, oldest: i64, end: i64, at_time: i64) -> i64 {
        match self {
            Start::Oldest => oldest,
            Start::End => end,
            Start::At(offset) => offset,
            Start::Last(records) => (end - records).max(oldest),
            Start::Time(_) if at_time < 0 => end,
            Start::Time(_) => at_time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_people_write_them() {
        let check = |text: &str, expected: Option<Start>| {
            assert_eq!(Start::parse(text, 60_000).ok(), expected, "{text}");
        };
        check("start", Some(Start::Oldest));
        check("earliest", Some(Start::Oldest));
        check("end", Some(Start::End));
        check("42", Some(Start::At(42)));
        check("-10", Some(Start::Last(10)));
        check("-9223372036854775808", Some(Start::Last(i64::MAX)));
        check("@5", Some(Start::Time(5)));
        check("@-1m", Some(Start::Time(0)));
        check("@1970-01-02", Some(Start::Time(86_400_000)));
        for wrong in ["", "@", "first", "1.5", "@soon", "@--1m"] {
            check(wrong, None);
        }
    }

    #[test]
    fn places_stay_inside_the_partition() {
        assert_eq!(Start::Oldest.resolve(3, 10, -1), 3);
        assert_eq!(Start::End.resolve(3, 10, -1), 10);
        assert_eq!(Start::Last(4).resolve(3, 10, -1), 6);
        assert_eq!(Start::Last(100).resolve(3, 10, -1), 3);
        assert_eq!(Start::Time(1).resolve(3, 10, -1), 10);
        assert_eq!(Start::Time(1).resolve(3, 10, 5), 5);
        assert_eq!(Start::At(99).resolve(3, 10, -1), 99);
    }
}
