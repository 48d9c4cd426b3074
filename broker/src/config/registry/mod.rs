//! Every property there is, declared once.
//!
//! | file | holds |
//! |---|---|
//! | `broker` | Kafka's broker properties that Heddle honours |
//! | `own` | Heddle's own broker properties |
//! | `topic` | topic properties, each with the broker properties behind it |
//! | `accepted` | Kafka's broker properties that are accepted and do nothing here |
//! | `refused` | properties that stop the start, each with its reason |

mod accepted;
mod broker;
mod find;
mod own;
mod refused;
mod topic;

pub use accepted::{ACCEPTED, is_jvm_hook};
pub use broker::BROKER;
pub use find::{broker_properties, closest_broker, closest_topic, find_broker, find_topic};
pub use own::OWN;
pub use refused::{REFUSED, Refused, refusal};
pub use topic::TOPIC;
