//! A port of the loopback interface for a server that is stopped and started again on it.
//!
//! It must stay free while the server is down. The kernel hands the ports of its ephemeral range to any outgoing
//! connection, also to one that tries to reach that very port: it then connects to itself. So the ports
//! here lie below that range, and a lock keeps each for one owner at a time, over all test processes of a machine.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};

/// Below Linux's ephemeral range (32768 and up), above what usual services listen on.
const FIRST: u16 = 20_000;
const LAST: u16 = 29_999;

/// A port nobody else has as long as this lives.
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free one.
    ///
    /// # Panics
    /// When all are taken.
    pub fn take() -> Self {
        let locks = std::env::temp_dir().join("heddle-test-ports");
        std::fs::create_dir_all(&locks).expect("the directory for temporary files is writable");
        // Where the search begins only spreads the processes.
        let span = LAST - FIRST + 1;
        let begin = (std::process::id() % u32::from(span)) as u16;
        for step in 0..span {
            let number = FIRST + (begin + step) % span;
            let lock = File::create(locks.join(number.to_string())).expect("a lock can be made");
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no port from {FIRST} to {LAST} is free");
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
        let (one, two) = (Port::take(), Port::take());
        assert_ne!(one.address(), two.address());
        let listener = TcpListener::bind(one.address()).expect("nobody else listens there");
        assert_eq!(listener.local_addr().expect("bound"), one.address());
    }
}
