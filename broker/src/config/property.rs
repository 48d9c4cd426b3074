//! What one configuration property is, and how a text becomes its value.
//!
//! A property is declared once, in [`super::registry`]. The parser of `server.properties`, the
//! answer to DescribeConfigs, the check in CreateTopics and the reference page read the same line.

use std::fmt;

/// The type of a property's value, with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A 16-bit number within `min..=max`.
    Short(i64, i64),
    /// A 32-bit number within `min..=max`.
    Int(i64, i64),
    /// A 64-bit number within `min..=max`.
    Long(i64, i64),
    /// A number with a fraction within `min..=max`.
    Double(f64, f64),
    /// Any text.
    Text,
    /// Texts separated by commas.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words, separated by commas; none at all is allowed.
    Choices(&'static [&'static str]),
}

impl Kind {
    /// The type code that DescribeConfigs v3 and later answers with.
    pub fn code(&self) -> i8 {
        match self {
            Kind::Bool => 1,
            Kind::Text | Kind::Choice(_) => 2,
            Kind::Int(..) => 3,
            Kind::Short(..) => 4,
            Kind::Long(..) => 5,
            Kind::Double(..) => 6,
            Kind::List | Kind::Choices(_) => 7,
        }
    }

    /// The name of the type on the reference page.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Bool => "boolean",
            Kind::Text | Kind::Choice(_) => "string",
            Kind::Int(..) => "int",
            Kind::Short(..) => "short",
            Kind::Long(..) => "long",
            Kind::Double(..) => "double",
            Kind::List | Kind::Choices(_) => "list",
        }
    }

    /// What values are allowed, in words; empty for free text.
    pub fn allowed(&self) -> String {
        match self {
            Kind::Bool => "true, false".into(),
            Kind::Short(min, max) | Kind::Int(min, max) | Kind::Long(min, max) => {
                match (*min, *max) {
                    (min, i64::MAX) => format!("{min} or more"),
                    (min, max) => format!("{min} to {max}"),
                }
            }
            Kind::Double(min, max) => format!("{min} to {max}"),
            Kind::Text | Kind::List => String::new(),
            Kind::Choice(words) => words.join(", "),
            Kind::Choices(words) => format!("any of {}, or nothing", words.join(", ")),
        }
    }
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A plain count, or not a number at all.
    None,
    /// Bytes; `KiB`, `MiB` and `GiB` may follow the number.
    Bytes,
    /// Milliseconds; `s`, `m`, `h` and `d` may follow the number.
    Milliseconds,
    /// Microseconds; `us` and `ms` may follow the number.
    Microseconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

impl Unit {
    /// The unit's name on the reference page; empty for a plain count.
    pub fn name(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Bytes => "bytes",
            Unit::Milliseconds => "ms",
            Unit::Microseconds => "us",
            Unit::Minutes => "minutes",
            Unit::Hours => "hours",
        }
    }

    /// What one of `suffix` is in this unit.
    fn factor(self, suffix: &str) -> Option<i64> {
        Some(match (self, suffix) {
            (_, "") | (Unit::Bytes, "B") | (Unit::Milliseconds, "ms") => 1,
            (Unit::Microseconds, "us") => 1,
            (Unit::Microseconds, "ms") => 1_000,
            (Unit::Bytes, "KiB") => 1 << 10,
            (Unit::Bytes, "MiB") => 1 << 20,
            (Unit::Bytes, "GiB") => 1 << 30,
            (Unit::Bytes, "TiB") => 1 << 40,
            (Unit::Milliseconds, "s") => 1_000,
            (Unit::Milliseconds, "m") => 60_000,
            (Unit::Milliseconds, "h") => 3_600_000,
            (Unit::Milliseconds, "d") => 86_400_000,
            _ => return None,
        })
    }
}

/// How much a property does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does what its sentence says.
    Honoured,
    /// It is accepted because Kafka's files carry it; shards do its work. The text says how.
    Mapped(&'static str),
    /// It is accepted and does nothing. The text says why.
    NoEffect(&'static str),
}

/// A broker property from which a topic property takes its value when the topic sets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    /// The broker property's name.
    pub name: &'static str,
    /// What its number is multiplied by (hours to milliseconds); 1 for everything else.
    pub factor: i64,
}

/// One property of the broker or of a topic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Property {
    /// The name in files and in the Kafka protocol.
    pub name: &'static str,
    /// The type and its bounds.
    pub kind: Kind,
    /// The value when nobody sets one; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// What the number counts.
    pub unit: Unit,
    /// One sentence for the reference page and DescribeConfigs.
    pub doc: &'static str,
    /// Whether it does anything.
    pub effect: Effect,
    /// Whether it can be changed while the broker runs.
    pub dynamic: bool,
    /// Whether it is Heddle's own, so that the environment spells it `HEDDLE_`.
    pub own: bool,
    /// For a topic property: the broker properties behind it, the first one set wins.
    pub synonyms: &'static [Synonym],
    /// Other names under which Kafka knows the same property.
    pub aliases: &'static [&'static str],
}

impl Property {
    /// A property with Kafka's name that does what it says.
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Property {
            name,
            kind,
            default: Some(default),
            unit: Unit::None,
            doc,
            effect: Effect::Honoured,
            dynamic: false,
            own: false,
            synonyms: &[],
            aliases: &[],
        }
    }

    pub(super) const fn unset(mut self) -> Self {
        self.default = None;
        self
    }

    pub(super) const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    pub(super) const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    pub(super) const fn dynamic(mut self) -> Self {
        self.dynamic = true;
        self
    }

    pub(super) const fn synonyms(mut self, synonyms: &'static [Synonym]) -> Self {
        self.synonyms = synonyms;
        self
    }

    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn mapped(mut self, how: &'static str) -> Self {
        self.effect = Effect::Mapped(how);
        self
    }

    pub(super) const fn no_effect(mut self, why: &'static str) -> Self {
        self.effect = Effect::NoEffect(why);
        self
    }

    /// Reads a text as this property's value.
    ///
    /// # Errors
    /// Says in words what is wrong with the text; the caller adds where it stood.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match &self.kind {
            Kind::Bool => match text {
                _ if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
                _ if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
                _ => Err(format!("`{text}` is neither true nor false")),
            },
            Kind::Short(min, max) | Kind::Int(min, max) | Kind::Long(min, max) => {
                let number = self.parse_number(text)?;
                if number < *min {
                    return Err(format!("{number} is below the least allowed value {min}"));
                }
                if number > *max {
                    return Err(format!("{number} is above the greatest allowed value {max}"));
                }
                Ok(Value::Number(number))
            }
            Kind::Double(min, max) => {
                let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
                if !(*min..=*max).contains(&number) {
                    return Err(format!("{number} is not within {min} to {max}"));
                }
                Ok(Value::Fraction(number))
            }
            Kind::Text => Ok(Value::Text(text.into())),
            Kind::List => Ok(Value::List(split_list(text))),
            Kind::Choice(words) => {
                match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                    Some(word) => Ok(Value::Text((*word).into())),
                    None => Err(format!("`{text}` is not one of {}", words.join(", "))),
                }
            }
            Kind::Choices(words) => {
                let list = split_list(text);
                match list.iter().find(|item| !words.contains(&item.as_str())) {
                    None => Ok(Value::List(list)),
                    Some(item) => Err(format!("`{item}` is not one of {}", words.join(", "))),
                }
            }
        }
    }

    fn parse_number(&self, text: &str) -> Result<i64, String> {
        let digits = text.bytes().enumerate().take_while(|&(i, byte)| {
            byte.is_ascii_digit() || (i == 0 && (byte == b'-' || byte == b'+'))
        });
        let (number, suffix) = text.split_at(digits.count());
        let number: i64 = match number.parse() {
            Ok(number) => number,
            Err(_) if number.len() > 18 => return Err(format!("`{text}` does not fit 64 bits")),
            Err(_) => return Err(format!("`{text}` is not a whole number")),
        };
        let Some(factor) = self.unit.factor(suffix.trim()) else {
            return Err(format!("`{text}` is not a whole number{}", self.suffixes()));
        };
        number.checked_mul(factor).ok_or_else(|| format!("`{text}` does not fit 64 bits"))
    }

    fn suffixes(&self) -> &'static str {
        match self.unit {
            Unit::Bytes => " of bytes (KiB, MiB and GiB may follow it)",
            Unit::Milliseconds => " of milliseconds (s, m, h and d may follow it)",
            Unit::Microseconds => " of microseconds (us and ms may follow it)",
            Unit::None | Unit::Minutes | Unit::Hours => "",
        }
    }

    /// The default as a value; `None` when the property is unset by default.
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| self.parse(text).expect("a test parses every declared default"))
    }
}

fn split_list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// A property's value. Its `Display` is the canonical text that DescribeConfigs shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A whole number in the property's unit.
    Number(i64),
    /// A number with a fraction.
    Fraction(f64),
    /// A text, or one word of a choice.
    Text(String),
    /// A list.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Fraction(value) => write!(f, "{value:?}"),
            Value::Text(value) => f.write_str(value),
            Value::List(value) => f.write_str(&value.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, unit: Unit, text: &str, expected: Result<&str, &str>) {
        let property = Property::new("x", kind, "", "").unit(unit);
        let got = property.parse(text).map(|value| value.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn numbers_take_the_suffixes_of_their_unit() {
        let long = Kind::Long(-1, i64::MAX);
        check(long, Unit::Bytes, "64MiB", Ok("67108864"));
        check(long, Unit::Bytes, "64 KiB", Ok("65536"));
        check(long, Unit::Milliseconds, "7d", Ok("604800000"));
        check(long, Unit::Microseconds, "2ms", Ok("2000"));
        check(long, Unit::None, "-1", Ok("-1"));
        check(long, Unit::None, "5s", Err("`5s` is not a whole number"));
        check(
            long,
            Unit::Bytes,
            "5s",
            Err("`5s` is not a whole number of bytes (KiB, MiB and GiB may follow it)"),
        );
        check(long, Unit::None, "ten", Err("`ten` is not a whole number"));
        check(long, Unit::None, "", Err("`` is not a whole number"));
        check(
            long,
            Unit::None,
            "99999999999999999999",
            Err("`99999999999999999999` does not fit 64 bits"),
        );
        check(long, Unit::Bytes, "9999999999GiB", Err("`9999999999GiB` does not fit 64 bits"));
    }

    #[test]
    fn numbers_outside_their_bounds_say_which_bound() {
        let int = Kind::Int(1, 10);
        check(int, Unit::None, "0", Err("0 is below the least allowed value 1"));
        check(int, Unit::None, "11", Err("11 is above the greatest allowed value 10"));
    }

    #[test]
    fn words_and_lists() {
        let choice = Kind::Choice(&["CreateTime", "LogAppendTime"]);
        check(choice, Unit::None, "createtime", Ok("CreateTime"));
        check(choice, Unit::None, "now", Err("`now` is not one of CreateTime, LogAppendTime"));
        let choices = Kind::Choices(&["delete", "compact"]);
        check(choices, Unit::None, "compact, delete", Ok("compact,delete"));
        check(choices, Unit::None, "", Ok(""));
        check(choices, Unit::None, "keep", Err("`keep` is not one of delete, compact"));
        check(Kind::Bool, Unit::None, "True", Ok("true"));
        check(Kind::Bool, Unit::None, "yes", Err("`yes` is neither true nor false"));
        check(Kind::Double(0.0, 1.0), Unit::None, "0.5", Ok("0.5"));
        check(Kind::Double(0.0, 1.0), Unit::None, "2", Err("2 is not within 0 to 1"));
    }
}
