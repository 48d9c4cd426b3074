//! Ports of the loopback interface for brokers that are stopped and started again on them.
//!
//! A port must stay free while its broker is down. The kernel hands the ports of its ephemeral range (32768 and up) to
//! outgoing connections, also to one that tries to reach that very port: it then connects to itself. So these
//! lie below, and a lock keeps each for one owner at a time, over all processes of a machine.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};

use crate::error::BenchError;

const FIRST: u16 = 20_000;
const LAST: u16 = 29_999;

/// A port nobody else has as long as this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free one.
    ///
    /// # Errors
    /// All are taken, or the directory for temporary files cannot be written.
    pub fn take() -> Result<Port, BenchError> {
        // The tests of the broker keep their locks in the same place.
        let locks = std::env::temp_dir().join("heddle-test-ports");
        let trouble = |error: std::io::Error| {
            BenchError::failed(format!("a lock for a port in {}: {error}", locks.display()))
        };
        std::fs::create_dir_all(&locks).map_err(trouble)?;
        let span = LAST - FIRST + 1;
        // Where the search begins only spreads the processes.
        let begin = (std::process::id() % u32::from(span)) as u16;
        for step in 0..span {
            let number = FIRST + (begin + step) % span;
            let lock = File::create(locks.join(number.to_string())).map_err(trouble)?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Port { number, _lock: lock });
            }
        }
        Err(BenchError::failed(format!("no port from {FIRST} to {LAST} is free")))
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_owners_have_two_ports() {
        let one = Port::take().expect("a port is free");
        let two = Port::take().expect("a port is free");
        assert_ne!(one.address(), two.address());
        TcpListener::bind(one.address()).expect("nobody else listens there");
    }
}
