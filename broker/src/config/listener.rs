//! Listeners: what to bind, and what to tell clients to connect to.

use std::collections::BTreeMap;
use std::fmt;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// A name or an address, without brackets; empty means all interfaces.
    pub host: String,
    /// The port; 0 means any free one.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`, `[v6]:port`, `:port` or, with a default port, `host`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or_else(|| format!("`{text}` has an opening bracket and no closing one"))?;
                (host, rest.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => {
                    return Err(format!("`{text}`: write an IPv6 address in brackets"));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match (port, default_port) {
            (Some(port), _) => port
                .parse()
                .map_err(|_| format!("`{port}` in `{text}` is not a port (0 to 65535)"))?,
            (None, Some(port)) => port,
            (None, None) => return Err(format!("`{text}` has no port: write host:port")),
        };
        let strange =
            |char: char| char.is_whitespace() || char.is_control() || "/,@".contains(char);
        if host.len() > 255 || host.contains(strange) {
            return Err(format!("`{host}` in `{text}` is not a host name or an address"));
        }
        Ok(Endpoint { host: host.to_owned(), port })
    }

    /// Whether this stands for all interfaces.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::" | "0:0:0:0:0:0:0:0")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// One listener of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, as in `listeners`.
    pub name: String,
    /// What to bind. An empty host means all interfaces.
    pub bind: Endpoint,
    /// What clients are told. Port 0 means the port that was bound.
    pub advertised: Endpoint,
}

/// Puts `listeners`, `advertised.listeners` and the names that are not ours together.
///
/// # Errors
/// Says what is wrong, and in which of the two properties.
pub(super) fn resolve(
    listeners: &[String],
    advertised: Option<&[String]>,
    controllers: &[String],
    protocols: &BTreeMap<String, String>,
    host_name: &str,
) -> Result<Vec<Listener>, (&'static str, String)> {
    const OURS: &str = "listeners";
    const THEIRS: &str = "advertised.listeners";
    let mut advertised_by_name = BTreeMap::new();
    for text in advertised.unwrap_or_default() {
        let (name, endpoint) = named(text).map_err(|why| (THEIRS, why))?;
        if endpoint.is_wildcard() {
            return Err((THEIRS, format!("clients cannot connect to `{text}`: name a host")));
        }
        if advertised_by_name.insert(name, endpoint).is_some() {
            return Err((THEIRS, format!("`{text}` names a listener a second time")));
        }
    }
    let mut resolved: Vec<Listener> = Vec::new();
    for text in listeners {
        let (name, bind) = named(text).map_err(|why| (OURS, why))?;
        if controllers.contains(&name) {
            continue;
        }
        let protocol = protocols.get(&name).map_or(name.as_str(), String::as_str);
        if protocol != "PLAINTEXT" {
            let why = match protocol {
                "SSL" | "SASL_SSL" | "SASL_PLAINTEXT" => {
                    format!("`{text}` needs {protocol}, and only PLAINTEXT can be served so far")
                }
                _ => format!(
                    "`{text}`: name it PLAINTEXT, or map {name} to PLAINTEXT in \
                     listener.security.protocol.map"
                ),
            };
            return Err((OURS, why));
        }
        if resolved.iter().any(|other| other.name == name) {
            return Err((OURS, format!("`{text}` uses the name {name} a second time")));
        }
        if bind.port != 0 && resolved.iter().any(|other| other.bind == bind) {
            return Err((OURS, format!("`{text}` binds an address a second time")));
        }
        let advertised = advertised_by_name.remove(&name).unwrap_or_else(|| Endpoint {
            host: if bind.is_wildcard() { host_name.to_owned() } else { bind.host.clone() },
            port: bind.port,
        });
        resolved.push(Listener { name, bind, advertised });
    }
    advertised_by_name.retain(|name, _| !controllers.contains(name));
    if let Some((name, _)) = advertised_by_name.into_iter().next() {
        return Err((THEIRS, format!("`{name}` is advertised and not in `listeners`")));
    }
    if resolved.is_empty() {
        return Err((OURS, "no listener is left for clients".into()));
    }
    Ok(resolved)
}

/// Reads `NAME://host:port`, or `host:port` under the name PLAINTEXT.
fn named(text: &str) -> Result<(String, Endpoint), String> {
    let (name, rest) = text.split_once("://").unwrap_or(("PLAINTEXT", text));
    if name.is_empty() {
        return Err(format!("`{text}` has no name before `://`"));
    }
    Ok((name.to_ascii_uppercase(), Endpoint::parse(rest, None)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listeners: &str, advertised: Option<&str>, expected: Result<&str, &str>) {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let protocols = BTreeMap::from([("INSIDE".to_owned(), "PLAINTEXT".to_owned())]);
        let advertised = advertised.map(list);
        let got = resolve(
            &list(listeners),
            advertised.as_deref(),
            &["CONTROLLER".to_owned()],
            &protocols,
            "loom",
        );
        let got = got
            .map(|all| {
                let all = all.iter().map(|l| format!("{} {} {}", l.name, l.bind, l.advertised));
                all.collect::<Vec<_>>().join(", ")
            })
            .map_err(|(property, why)| format!("{property}: {why}"));
        assert_eq!(got.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn clients_are_told_an_address_they_can_reach() {
        check("PLAINTEXT://127.0.0.1:9092", None, Ok("PLAINTEXT 127.0.0.1:9092 127.0.0.1:9092"));
        check("PLAINTEXT://:9092", None, Ok("PLAINTEXT :9092 loom:9092"));
        check("0.0.0.0:9092", None, Ok("PLAINTEXT 0.0.0.0:9092 loom:9092"));
        check("[::1]:9092", None, Ok("PLAINTEXT [::1]:9092 [::1]:9092"));
        check(
            "PLAINTEXT://:9092,CONTROLLER://:9093",
            Some("PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
            Ok("PLAINTEXT :9092 localhost:9092"),
        );
        check(
            "INSIDE://:1,PLAINTEXT://:2",
            Some("PLAINTEXT://out:3"),
            Ok("INSIDE :1 loom:1, PLAINTEXT :2 out:3"),
        );
    }

    #[test]
    fn what_cannot_be_served_says_why() {
        let ours = |text: &str, why: &str| check(text, None, Err(&format!("listeners: {why}")));
        ours("PLAINTEXT://localhost", "`localhost` has no port: write host:port");
        ours("PLAINTEXT://h:99999", "`99999` in `h:99999` is not a port (0 to 65535)");
        ours("://h:1", "`://h:1` has no name before `://`");
        ours("CONTROLLER://h:1", "no listener is left for clients");
        ours("::1:9092", "`::1:9092`: write an IPv6 address in brackets");
        ours("a b:1", "`a b` in `a b:1` is not a host name or an address");
        ours("h:1,INSIDE://h:1", "`INSIDE://h:1` binds an address a second time");
        ours("h:1,h:2", "`h:2` uses the name PLAINTEXT a second time");
        ours("SSL://h:1", "`SSL://h:1` needs SSL, and only PLAINTEXT can be served so far");
        ours(
            "OUTER://h:1",
            "`OUTER://h:1`: name it PLAINTEXT, or map OUTER to PLAINTEXT in \
             listener.security.protocol.map",
        );
        check(
            "h:1",
            Some("0.0.0.0:1"),
            Err("advertised.listeners: clients cannot connect to `0.0.0.0:1`: name a host"),
        );
        check(
            "h:1",
            Some("OTHER://h:1"),
            Err("advertised.listeners: `OTHER` is advertised and not in `listeners`"),
        );
    }
}
