//! Properties that stop the start. Each asks for something whose silent absence would hurt: a
//! listener without the encryption it names, a cluster that is not there.

/// A property, or a family of them, that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The name; a trailing `*` stands for any ending.
    pub pattern: &'static str,
    /// Why it is refused.
    pub why: &'static str,
    /// What to do instead.
    pub fix: &'static str,
}

const fn refused(pattern: &'static str, why: &'static str, fix: &'static str) -> Refused {
    Refused { pattern, why, fix }
}

const NO_TLS: &str = "there is no TLS yet, and a broker that ignored this would serve in the clear";
const NO_SASL: &str = "there is no SASL yet, and a broker that ignored this would let anyone in";
const NO_ACL: &str =
    "there are no access rules yet, and a broker that ignored this would allow all";
const PRIVATE: &str = "remove the line and keep the listener on a private network";

/// The refused properties.
pub static REFUSED: &[Refused] = &[
    refused(
        "zookeeper.*",
        "Heddle keeps its own metadata and speaks to no ZooKeeper",
        "remove the line",
    ),
    refused("ssl.*", NO_TLS, PRIVATE),
    refused("listener.name.*", NO_TLS, PRIVATE),
    refused("security.providers", NO_TLS, PRIVATE),
    refused("sasl.*", NO_SASL, PRIVATE),
    refused("authorizer.class.name", NO_ACL, PRIVATE),
    refused("super.users", NO_ACL, PRIVATE),
    refused("allow.everyone.if.no.acl.found", NO_ACL, PRIVATE),
    refused("delegation.token.*", NO_SASL, PRIVATE),
    refused(
        "remote.log.*",
        "there is no tiered storage",
        "remove the line and size log.dirs for the whole retention",
    ),
    refused("password.encoder.*", "no passwords are stored", "remove the line"),
    refused(
        "inter.broker.protocol.version",
        "Kafka removed it in 4.0; a node here has one protocol version",
        "remove the line",
    ),
    refused(
        "log.message.format.version",
        "Kafka removed it in 4.0; records are stored in format 2 only",
        "remove the line",
    ),
    refused(
        "create.topic.policy.class.name",
        "a Java class cannot be loaded here",
        "remove the line",
    ),
    refused(
        "alter.config.policy.class.name",
        "a Java class cannot be loaded here",
        "remove the line",
    ),
];

/// The refusal of a name, if it has one.
pub fn refusal(name: &str) -> Option<&'static Refused> {
    REFUSED.iter().find(|refused| match refused.pattern.strip_suffix('*') {
        Some(family) => name.starts_with(family),
        None => name == refused.pattern,
    })
}
