//! Ports and directories that are taken or unfit.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::StartError;

/// Why a listener could not be had on `address`; names the process that holds the port if it can.
pub fn bind(address: SocketAddr, error: &io::Error) -> StartError {
    let what = format!("cannot listen on {address}");
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let why = match port_holder(address.port()) {
                Some((pid, name)) => {
                    format!("port {} is held by {name} (pid {pid})", address.port())
                }
                None => format!("port {} is in use", address.port()),
            };
            let fix = "stop that process, or choose another port with --listen HOST:PORT";
            StartError::new("HDL-NET-001", what, why, fix)
        }
        io::ErrorKind::AddrNotAvailable => {
            let why = format!("no interface of this host has the address {}", address.ip());
            let fix = "listen on an address of this host (`ip address` lists them), or on 0.0.0.0";
            StartError::new("HDL-NET-002", what, why, fix)
        }
        io::ErrorKind::PermissionDenied => {
            let why = format!("{error}: ports below 1024 are for CAP_NET_BIND_SERVICE");
            let fix = "choose a higher port, or grant the capability";
            StartError::new("HDL-NET-003", what, why, fix)
        }
        _ => StartError::new("HDL-NET-004", what, error.to_string(), "check the address"),
    }
}

/// The data directory is in use, as [`crate::file::lock_exclusive`] said.
pub fn directory_locked(directory: &Path, error: &io::Error) -> StartError {
    let what = format!("the data directory {} is in use", directory.display());
    let fix = "stop the other process, or give this one a directory of its own with --data DIR";
    StartError::new("HDL-IO-030", what, error.to_string(), fix)
}

/// The data directory's file system cannot do direct I/O.
pub fn no_direct_io(directory: &Path, file_system: &str) -> StartError {
    let what = format!("{} cannot be used for data", directory.display());
    let why = format!("its file system ({file_system}) does not support O_DIRECT");
    StartError::new("HDL-IO-031", what, why, "use a directory on ext4 or XFS")
}

/// The process that listens on TCP `port`: its id and name. Seeing other users' processes needs privileges.
fn port_holder(port: u16) -> Option<(u32, String)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|t| listening_inode(&fs::read_to_string(t).ok()?, port))?;
    let link = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let Ok(fds) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = fds.flatten().any(|fd| {
            fs::read_link(fd.path())
                .is_ok_and(|to| to.as_os_str().as_encoded_bytes() == link.as_bytes())
        });
        if holds {
            return Some((pid, process_name(pid)));
        }
    }
    None
}

/// The inode of the socket that listens on `port`, out of a table in the format of `/proc/net/tcp`.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let local_port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (*state == LISTEN && local_port == port).then(|| inode.parse().ok())?
    })
}

fn process_name(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "a process".to_owned() } else { name.to_owned() }
}

/// The process that holds a `flock` on the file at `path`: its id and name.
pub fn lock_holder(path: &Path) -> Option<(u32, String)> {
    let file = fs::metadata(path).ok()?;
    let (major, minor) = (libc::major(file.dev()), libc::minor(file.dev()));
    let wanted = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let flock = fields.get(1) == Some(&"FLOCK") && fields.get(5) == Some(&wanted.as_str());
        if flock { fields.get(4)?.parse::<u32>().ok() } else { None }
    })?;
    Some((pid, process_name(pid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_taken_port_names_its_holder() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("it has one");
        let error = TcpListener::bind(address).expect_err("the port is taken");
        let told = bind(address, &error);
        assert_eq!(told.code, "HDL-NET-001");
        let pid = format!("pid {}", std::process::id());
        assert!(told.why.contains(&pid), "{told} does not name {pid}");
    }

    #[test]
    fn a_foreign_address_is_named() {
        let address: SocketAddr = "203.0.113.7:9".parse().expect("an address");
        let error = TcpListener::bind(address).expect_err("not an address of this host");
        assert_eq!(bind(address, &error).code, "HDL-NET-002");
    }

    #[test]
    fn tables_are_read_by_state_and_port() {
        let table = "head\n 0: 0100007F:1F90 00000000:0000 01 0:0 0:0 0 0 0 11 1\n \
                     1: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 22 1\n";
        assert_eq!(listening_inode(table, 8080), Some(22));
        assert_eq!(listening_inode(table, 8081), None);
    }
}
