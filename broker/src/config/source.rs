//! Where a value came from.

use std::fmt;
use std::path::PathBuf;

use super::property::Value;

/// The place a value was set at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of the configuration file; line and column count from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u32,
        /// The column the key or the value begins at.
        column: u32,
    },
    /// An environment variable.
    Environment {
        /// The variable's name.
        variable: String,
    },
    /// A flag, as it was typed.
    Flag {
        /// The flag with its value.
        text: String,
    },
    /// Set while the broker runs, for all brokers; kept in the cluster's metadata.
    Cluster,
    /// Set while the broker runs, for this one; kept in the cluster's metadata.
    Broker,
    /// A topic's own configuration, kept in the cluster's metadata.
    Topic,
}

impl Source {
    /// The source code DescribeConfigs answers with.
    pub fn code(&self) -> i8 {
        match self {
            Source::Topic => 1,
            Source::Broker => 2,
            Source::Cluster => 3,
            Source::File { .. } | Source::Environment { .. } | Source::Flag { .. } => 4,
            Source::Default => 5,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("built-in default"),
            Source::File { path, line, column } => {
                write!(f, "{}, line {line}, column {column}", path.display())
            }
            Source::Environment { variable } => write!(f, "environment variable {variable}"),
            Source::Flag { text } => write!(f, "flag {text}"),
            Source::Cluster => f.write_str("dynamic configuration of all brokers"),
            Source::Broker => f.write_str("dynamic configuration of this broker"),
            Source::Topic => f.write_str("topic configuration"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The value; `None` is unset (Kafka's null).
    pub value: Option<Value>,
    /// Where it was set.
    pub source: Source,
}
