//! Why a broker did not start, or did not stop cleanly.

use std::io;

use crate::config::Endpoint;
use crate::controller::ControllerError;

/// What happened, why, and what to do; with a stable code.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The host lacks something the engine needs.
    #[error(transparent)]
    Host(#[from] engine::check::StartError),
    /// The data directory could not be opened or recovered.
    #[error(transparent)]
    Node(#[from] storage::node::NodeError),
    /// The metadata could not be opened.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// A shard's store could not be started or stopped.
    #[error(transparent)]
    Store(#[from] storage::store::StoreError),
    /// A listener could not be bound.
    #[error("HDL-NET-010: cannot listen on {endpoint}: {error}. {}", bind_fix(.error))]
    Bind {
        /// What was to be bound.
        endpoint: Endpoint,
        /// Why not.
        error: io::Error,
    },
    /// The admin port could not be bound where it was set to be.
    #[error("HDL-NET-011: cannot listen on {endpoint} for the admin port: {error}. {}", admin_fix(.error))]
    BindAdmin {
        /// What was to be bound.
        endpoint: Endpoint,
        /// Why not.
        error: io::Error,
    },
    /// Another shard did not start.
    #[error("shard {shard} did not start: {words}")]
    Shard {
        /// Which.
        shard: u16,
        /// What it said.
        words: String,
    },
    /// The process is not told when to stop.
    #[error("HDL-SYS-001: signals cannot be received: {0}")]
    Signal(io::Error),
}

fn admin_fix(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "Another process has this port: stop it (`ss -ltnp` names it), choose another with \
             --admin HOST:PORT, or go without: `admin.listener=`."
        }
        _ => "Check `admin.listener`.",
    }
}

fn bind_fix(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "Another process has this port: stop it (`ss -ltnp` names it), or choose another port \
             with --listen."
        }
        io::ErrorKind::PermissionDenied => "Ports below 1024 need privileges: choose a higher one.",
        io::ErrorKind::AddrNotAvailable => {
            "This host has no such address: `ip addr` lists those it has."
        }
        _ => "Check the host name in `listeners`.",
    }
}
