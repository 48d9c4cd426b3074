//! What is wrong with a configuration: the place, what, why, what to do.

use std::fmt;

use super::property::Property;
use super::source::Source;

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// A stable code, `HDL-CFG-nnn`.
    pub code: &'static str,
    /// What happened.
    pub what: String,
    /// Where the value stood.
    pub source: Source,
    /// Why it is wrong.
    pub why: String,
    /// What to do.
    pub fix: Option<String>,
}

impl ConfigError {
    /// A name that no property has.
    pub fn unknown(name: &str, closest: Option<&str>, source: Source) -> Self {
        ConfigError {
            code: "HDL-CFG-001",
            what: format!("unknown property `{name}`"),
            source,
            why: "no property of this name exists, and a misspelt one would silently do nothing"
                .into(),
            fix: Some(match closest {
                Some(closest) => format!("write `{closest}` if that was meant"),
                None => "remove it, or see docs/operate/configuration.md for all names".into(),
            }),
        }
    }

    /// A value that a property cannot have.
    pub fn bad_value(property: &Property, why: String, source: Source) -> Self {
        let allowed = property.kind.allowed();
        let default = property.default.map(|text| format!("default {text}"));
        let unit = property.unit.name();
        let fix = match (allowed.is_empty(), default) {
            (true, None) => None,
            (true, Some(default)) => Some(default),
            (false, default) => {
                let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
                let default = default.map(|text| format!(" ({text})")).unwrap_or_default();
                Some(format!("allowed: {allowed}{unit}{default}"))
            }
        };
        ConfigError {
            code: "HDL-CFG-002",
            what: format!("bad value for `{}`", property.name),
            source,
            why,
            fix,
        }
    }

    /// A property that is refused on purpose.
    pub fn refused(name: &str, why: &str, fix: &str, source: Source) -> Self {
        ConfigError {
            code: "HDL-CFG-003",
            what: format!("property `{name}` cannot be honoured"),
            source,
            why: why.into(),
            fix: Some(fix.into()),
        }
    }

    /// Values that are fine alone and wrong together, or whose meaning cannot be served.
    pub fn conflict(what: impl Into<String>, why: impl Into<String>, source: Source) -> Self {
        ConfigError { code: "HDL-CFG-004", what: what.into(), source, why: why.into(), fix: None }
    }

    /// A file that cannot be read or parsed.
    pub fn file(what: impl Into<String>, why: impl Into<String>, source: Source) -> Self {
        ConfigError { code: "HDL-CFG-005", what: what.into(), source, why: why.into(), fix: None }
    }

    /// The same error with advice.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// One line without the place: what a Kafka client gets as an error message.
    pub fn message(&self) -> String {
        match &self.fix {
            Some(fix) => format!("{}: {}; {fix}", self.what, self.why),
            None => format!("{}: {}", self.what, self.why),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.code, self.what)?;
        if self.source != Source::Default {
            writeln!(f, "  where: {}", self.source)?;
        }
        write!(f, "  why:   {}", self.why)?;
        if let Some(fix) = &self.fix {
            write!(f, "\n  fix:   {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
