//! Connections: who is let in, what is read, and in which order answers leave.

pub mod reply_order;
