//! What a person sees when a command fails: what happened, why, what to do, and a stable code.

use std::fmt;

use serde_json::json;
use storage::node::NodeError;

use crate::cli::client::ClientError;
use crate::config::ConfigError;

/// Exit code: the command failed.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: the command line or the configuration is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Exit code: the host forbids something that the broker cannot do without.
pub const EXIT_HOST: u8 = 5;
/// Exit code: a load lost, repeated, disordered or altered records.
pub const EXIT_AUDIT: u8 = 6;
/// Exit code: the time allowed ran out.
pub const EXIT_TIMED_OUT: u8 = 124;
/// Exit code: interrupted from the keyboard.
pub const EXIT_INTERRUPTED: u8 = 130;

/// A command's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stable code, `HDL-…-nnn`.
    pub code: String,
    /// What happened.
    pub what: String,
    /// Why it happened, as far as is known.
    pub why: Option<String>,
    /// What to do.
    pub fix: Option<String>,
    /// The process's exit code.
    pub exit: u8,
    /// Configuration errors that carry their own codes; when there are any, they are what is shown.
    pub errors: Box<[ConfigError]>,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(code: impl Into<String>, what: impl Into<String>) -> Self {
        Failure {
            code: code.into(),
            what: what.into(),
            why: None,
            fix: None,
            exit: EXIT_FAILED,
            errors: Box::default(),
        }
    }

    /// From an error that says all in one text, `HDL-ST-030: what happened. What to do.`
    pub fn from_text(text: &str) -> Self {
        let coded = text.split_once(": ").filter(|(code, _)| code.starts_with("HDL-"));
        let (code, text) = coded.unwrap_or(("HDL-SYS-000", text));
        match text.split_once(". ") {
            Some((what, fix)) => Failure::new(code, what).fix(fix.trim_end_matches('.')),
            None => Failure::new(code, text.trim_end_matches('.')),
        }
    }

    /// A mistake on the command line.
    pub fn usage(what: impl Into<String>) -> Self {
        Failure { exit: EXIT_USAGE, ..Failure::new("HDL-CLI-001", what) }
    }

    /// With the reason.
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// With advice.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// With another exit code than 1.
    pub fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// The failure as one JSON object on one line.
    pub fn to_json(&self) -> serde_json::Value {
        let errors: Vec<_> = match self.errors.is_empty() {
            true => vec![json!({
                "code": self.code,
                "what": self.what,
                "why": self.why,
                "fix": self.fix,
            })],
            false => self
                .errors
                .iter()
                .map(|error| {
                    json!({
                        "code": error.code,
                        "what": error.what,
                        "where": error.source.to_string(),
                        "why": error.why,
                        "fix": error.fix,
                    })
                })
                .collect(),
        };
        json!({ "errors": errors, "exit": self.exit })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        if !self.errors.is_empty() {
            return Ok(());
        }
        write!(f, "error[{}]: {}", self.code, self.what)?;
        for (label, text) in [("why", &self.why), ("fix", &self.fix)] {
            if let Some(text) = text {
                write!(f, "\n  {label}:  {text}")?;
            }
        }
        Ok(())
    }
}

impl From<Vec<ConfigError>> for Failure {
    fn from(errors: Vec<ConfigError>) -> Self {
        let what = format!("{} error(s) in the configuration", errors.len());
        Failure { errors: errors.into(), ..Failure::new("HDL-CFG-000", what).exit(EXIT_USAGE) }
    }
}

impl From<engine::check::StartError> for Failure {
    fn from(error: engine::check::StartError) -> Self {
        Failure::new(error.code, error.what).why(error.why).fix(error.fix).exit(EXIT_HOST)
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let failure = Failure::from_text(&error.to_string());
        match error {
            NodeError::Locked { .. } => {
                failure.fix("stop that process first, or name another directory with --data")
            }
            NodeError::Foreign { .. } => failure
                .fix("name the directory of this node with --data, or correct the configuration"),
            _ => failure,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let what = error.to_string();
        match error {
            ClientError::Connect { source, .. } => {
                let failure = Failure::new("HDL-NET-001", what).why(source.to_string());
                match source.kind() {
                    std::io::ErrorKind::ConnectionRefused => failure.fix(
                        "start a broker with `heddle serve`, or name another with -b HOST:PORT",
                    ),
                    _ => failure.fix("check the address given with -b HOST:PORT"),
                }
            }
            ClientError::Lost { source, .. } => {
                Failure::new("HDL-NET-002", what).why(source.to_string())
            }
            ClientError::TimedOut { .. } => Failure::new("HDL-NET-003", what)
                .fix("see whether the broker is overloaded, or allow more time with --timeout")
                .exit(EXIT_TIMED_OUT),
            ClientError::Protocol { why, .. } => Failure::new("HDL-NET-004", what)
                .why(why)
                .fix("make sure that -b names a Kafka listener without TLS"),
            ClientError::Version { why, .. } => Failure::new("HDL-NET-005", what).why(why),
            ClientError::Refused { message, .. } => Failure::new("HDL-API-001", what).why(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_code_is_taken_apart() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Failure::from_text(text).to_string(), expected);
        };
        check(
            "HDL-ST-030: ./data is in use: pid 7. Stop it first.",
            "error[HDL-ST-030]: ./data is in use: pid 7\n  fix:  Stop it first",
        );
        check("HDL-X-1: it broke", "error[HDL-X-1]: it broke");
        check("it broke: badly", "error[HDL-SYS-000]: it broke: badly");
    }

    #[test]
    fn says_what_why_and_fix() {
        let failure = Failure::new("HDL-X-001", "it broke").why("it fell").fix("glue it");
        assert_eq!(
            failure.to_string(),
            "error[HDL-X-001]: it broke\n  why:  it fell\n  fix:  glue it"
        );
        assert_eq!(
            failure.to_json().to_string(),
            r#"{"errors":[{"code":"HDL-X-001","fix":"glue it","what":"it broke","why":"it fell"}],"exit":1}"#
        );
    }
}
