//! Connections: who is let in, what is read, and in which order answers leave.

pub mod acceptor;
pub mod connection;
pub mod connections;
pub mod either;
pub mod log_limit;
pub mod pinned;
pub mod placement;
pub mod reader;
pub mod reply_order;
