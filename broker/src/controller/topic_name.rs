//! Which names a topic may have: Kafka's rules, word for word.

use super::Refusal;
use crate::limits::TOPIC_NAME_BYTES_MAX;

/// Checks a name: 1 to 249 characters of `[a-zA-Z0-9._-]`, but not `.` or `..`.
pub fn check(name: &str) -> Result<(), Refusal> {
    let refuse = |what: String| Err(Refusal::InvalidTopic { what });
    if name.is_empty() {
        return refuse("Topic name is invalid: the empty string is not allowed".into());
    }
    if name == "." || name == ".." {
        return refuse(format!("Topic name is invalid: '{name}' is not allowed"));
    }
    if name.len() > TOPIC_NAME_BYTES_MAX {
        return refuse(format!(
            "Topic name is invalid: it is {} characters long, more than the {TOPIC_NAME_BYTES_MAX} allowed",
            name.len(),
        ));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.chars().all(legal) {
        return refuse(format!(
            "Topic name is invalid: '{}' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'",
            name.escape_debug(),
        ));
    }
    Ok(())
}

/// The name as a metric carries it: Kafka's metric names take `.` for `_`, so two topics that
/// differ only there cannot both exist.
pub fn metric_name(name: &str) -> String {
    name.replace('.', "_")
}

/// Topics that belong to the broker itself; clients see them marked as internal.
pub fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_exactly_as_in_kafka() {
        for good in ["a", "orders", "A.b_c-9", "...", "__consumer_offsets", &"x".repeat(249)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "a:b", "ä", "a\0", &"x".repeat(250)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_escaped() {
        let refusal = check("a\n\u{7}").expect_err("control characters are not allowed");
        assert!(refusal.to_string().contains("'a\\n\\u{7}'"), "{refusal}");
    }
}
