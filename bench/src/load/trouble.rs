//! What can go wrong between the generator and a broker, in plain words.

use protocol::ErrorCode;

use crate::error::BenchError;

/// Why a request has no useful answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No connection came about.
    #[error("cannot connect to {address}: {why}")]
    Unreachable {
        /// `HOST:PORT`.
        address: String,
        /// What the system says.
        why: String,
    },
    /// The connection broke.
    #[error("the connection to {address} broke: {why}")]
    Lost {
        /// `HOST:PORT`.
        address: String,
        /// What the system says.
        why: String,
    },
    /// No answer in time.
    #[error("{address} did not answer within {seconds} s")]
    TimedOut {
        /// `HOST:PORT`.
        address: String,
        /// The time allowed.
        seconds: u64,
    },
    /// The answer makes no sense.
    #[error("{address} does not speak Kafka's protocol as expected: {why}")]
    Protocol {
        /// `HOST:PORT`.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The broker says no.
    #[error("{what}: {code}{}", message.as_ref().map(|words| format!(", {words}")).unwrap_or_default())]
    Refused {
        /// What was not done.
        what: String,
        /// Kafka's code.
        code: ErrorCode,
        /// What the broker adds.
        message: Option<String>,
    },
}

impl Trouble {
    /// Trying again may help.
    pub fn is_retriable(&self) -> bool {
        match self {
            Trouble::Refused { code, .. } => code.retriable(),
            Trouble::Protocol { .. } => false,
            Trouble::Unreachable { .. } | Trouble::Lost { .. } | Trouble::TimedOut { .. } => true,
        }
    }

    /// A refusal, unless the code says that all is well.
    pub fn check(
        code: i16,
        message: Option<&str>,
        what: impl FnOnce() -> String,
    ) -> Result<(), Trouble> {
        ErrorCode::from_wire(code).check().map_err(|code| Trouble::Refused {
            what: what(),
            code,
            message: message.map(str::to_owned),
        })
    }
}

impl From<Trouble> for BenchError {
    fn from(trouble: Trouble) -> BenchError {
        let error = BenchError::failed(&trouble);
        match trouble {
            Trouble::Unreachable { .. } => error.fix("is the broker running there?"),
            Trouble::TimedOut { .. } | Trouble::Lost { .. } => {
                error.fix("look at the broker's log")
            }
            Trouble::Protocol { .. } => {
                error.fix("is it the address of a Kafka listener without TLS?")
            }
            Trouble::Refused { code: ErrorCode::InvalidReplicationFactor, .. } => error
                .fix("the broker's default replication factor needs more brokers than there are"),
            Trouble::Refused { .. } => error,
        }
    }
}
