//! Configuration: what can be set, where it was set, and the typed result.
//!
//! Values come, in rising order, from built-in defaults, a `server.properties` file, the
//! environment and flags. Everything wrong is found before anything starts, and reported with the
//! place it stood, the reason, and the closest name that exists.
//!
//! This module is pure but for [`load`], which reads the file and asks for the host's name.

mod broker;
mod dynamic;
mod environment;
mod error;
mod file;
mod listener;
mod load;
pub mod property;
mod reference;
pub mod registry;
mod source;
mod topic;

pub use broker::{BrokerConfig, Described};
pub use environment::variable_name;
pub use error::ConfigError;
pub use file::{Entry, parse_properties};
pub use listener::{Endpoint, Listener};
pub use load::{Flag, Loaded, Note, Sources, load};
pub use reference::reference_page;
pub use source::{Setting, Source};
pub use topic::{Cleanup, TimestampType, TopicConfig, Validation};
