//! What else happens while the plan's own clients are measured.

mod catch_up;
mod connections;
mod side;

pub use side::{Kind, Side, finish, prefill_bytes, prepare, start};
