//! What a run measured, as plain data, and the forms in which it is kept and shown.
//!
//! [`model`] holds the types, which are also the JSON format.

pub mod model;
