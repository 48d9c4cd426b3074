//! What a run is asked to do, as plain data: from flags, a named workload or a file, to the generator and into every result.
//!
//! [`model`] holds the types.

pub mod model;

pub use model::{Acks, Arrivals, Beside, Codec, Keys, Partitioning, Payload, Plan, Rate, Sizes};
