//! Binds the configured listeners.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use engine::net::Listener;
use engine::time;

use super::error::ServerError;
use super::run::BoundListener;
use crate::config::{self, BrokerConfig, Endpoint};

/// Binds each listener, in the order of the configuration.
pub(super) async fn bind(
    listeners: &[config::Listener],
) -> Result<Vec<(Listener, BoundListener)>, ServerError> {
    let mut bound = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let failed = |error| ServerError::Bind { endpoint: listener.bind.clone(), error };
        let socket = bind_patiently(&listener.bind, PORT_WAIT).await.map_err(failed)?;
        let address = socket.local_addr();
        let mut advertised = listener.advertised.clone();
        if advertised.port == 0 {
            advertised.port = address.port();
        }
        let name = listener.name.clone();
        bound.push((socket, BoundListener { name, address, advertised }));
    }
    Ok(bound)
}

/// Binds the admin port. The default may be taken, by another broker of this host: then there is none, and the warning says
/// why. A port that was set has to be had.
pub(super) async fn bind_admin(
    config: &BrokerConfig,
) -> Result<Result<Option<Listener>, String>, ServerError> {
    let Some(endpoint) = &config.admin_listener else { return Ok(Ok(None)) };
    if config.admin_is_set {
        let failed = |error| ServerError::BindAdmin { endpoint: endpoint.clone(), error };
        return bind_patiently(endpoint, ADMIN_WAIT).await.map(Some).map(Ok).map_err(failed);
    }
    match bind_one(endpoint).await {
        Ok(listener) => Ok(Ok(Some(listener))),
        Err(error) => {
            let cause = match error.kind() {
                io::ErrorKind::AddrInUse => "another process has it".to_owned(),
                _ => error.to_string(),
            };
            let why = format!("{endpoint} cannot be had ({cause}); set another with --admin");
            tracing::warn!("HDL-NET-012: no admin port: {why}");
            Ok(Err(why))
        }
    }
}

/// How long a port that is in use is waited for. After a kill the kernel takes a moment to let go of
/// the process's rings, and with the accept in them of the port: 50 to 300 ms were seen, and more than two seconds
/// where seven processes wait for each core.
const PORT_WAIT: Duration = Duration::from_secs(10);
/// After this long it is worth a line in the log.
const PORT_WAIT_SILENT: Duration = Duration::from_secs(1);
/// The admin port of a predecessor goes away together with the others, which were waited for before.
const ADMIN_WAIT: Duration = Duration::from_secs(2);
const PORT_PAUSE: Duration = Duration::from_millis(20);

/// Binds, waiting for a predecessor that is still going away.
async fn bind_patiently(endpoint: &Endpoint, patience: Duration) -> io::Result<Listener> {
    let (began, mut told) = (time::now(), false);
    loop {
        match bind_one(endpoint).await {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < patience =>
            {
                if !told && began.elapsed() > PORT_WAIT_SILENT {
                    told = true;
                    tracing::warn!(%endpoint, "the port is in use; waiting {patience:?} for it in all");
                }
                time::sleep(PORT_PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn bind_one(endpoint: &Endpoint) -> io::Result<Listener> {
    let port = endpoint.port;
    if endpoint.host.is_empty() {
        // All interfaces of both families; a host without IPv6 has the other one only.
        let both = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        let one = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        return match Listener::bind(both) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => Listener::bind(one),
            bound => bound,
        };
    }
    let host = endpoint.host.clone();
    // A name may take seconds to resolve.
    let resolve = move || (host.as_str(), port).to_socket_addrs().map(|found| found.collect());
    let addresses: Vec<SocketAddr> = engine::blocking::run(resolve).await?;
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match Listener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
