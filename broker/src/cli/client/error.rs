//! What can go wrong between the command line and a broker.

use std::io;

use protocol::ErrorCode;

/// A request's failure.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection could be made.
    #[error("cannot connect to {address}")]
    Connect {
        /// The broker's address.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The connection broke.
    #[error("lost the connection to {address}")]
    Lost {
        /// The broker's address.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The broker did not answer in time.
    #[error("no answer from {address} within {seconds} s")]
    TimedOut {
        /// The broker's address.
        address: String,
        /// The time allowed.
        seconds: u64,
    },
    /// The other side does not speak the Kafka protocol as expected.
    #[error("{address} does not answer like a Kafka broker")]
    Protocol {
        /// The broker's address.
        address: String,
        /// What was odd.
        why: String,
    },
    /// The broker serves no version of a request that this client speaks.
    #[error("{address} cannot do this")]
    Version {
        /// The broker's address.
        address: String,
        /// Which request in which versions was wanted.
        why: String,
    },
    /// The broker answered with an error code.
    #[error("{what}: {} ({})", code.name(), code.code())]
    Refused {
        /// What was asked for.
        what: String,
        /// The broker's code.
        code: ErrorCode,
        /// The broker's own words, or the code's meaning if it sent none.
        message: String,
    },
}

impl ClientError {
    /// A refusal by error code, or nothing for code 0.
    pub fn check(
        code: i16,
        message: Option<&str>,
        what: impl FnOnce() -> String,
    ) -> Result<(), Self> {
        let code = ErrorCode::from_wire(code);
        if code.is_none() {
            return Ok(());
        }
        let message = message.filter(|message| !message.is_empty()).unwrap_or(code.text());
        Err(ClientError::Refused { what: what(), code, message: message.to_owned() })
    }

    /// Whether the same request may succeed later, perhaps on a new connection.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Connect { .. }
            | ClientError::Lost { .. }
            | ClientError::TimedOut { .. } => true,
            ClientError::Protocol { .. } | ClientError::Version { .. } => false,
            ClientError::Refused { code, .. } => code.retriable(),
        }
    }

    /// The broker's error code, if it was the broker who refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
