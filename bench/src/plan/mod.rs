//! What a run is asked to do, as plain data: from flags, a named workload or a file, to the generator and into every result.
//!
//! | file | holds |
//! |---|---|
//! | [`model`] | the types |
//! | [`defaults`] | the plan of a run when nothing is asked for |
//! | [`workloads`] | named plans, each with the question it answers |
//! | [`grammar`], [`flags`] | plans in options |
//! | [`check`] | which plans can be run |

pub mod check;
pub mod defaults;
pub mod flags;
pub mod grammar;
pub mod model;
pub mod workloads;

pub use flags::PlanArgs;
pub use model::{Acks, Arrivals, Beside, Codec, Keys, Partitioning, Payload, Plan, Rate, Sizes};
