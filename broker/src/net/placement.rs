//! Which shard a new connection goes to, and whether it is let in at all.
//!
//! Lives on the accepting shard, which hears of every connection that opens and closes. Pure: it counts and decides;
//! accepting, handing over and closing are done by `net::acceptor`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::shard::ShardId;

/// Why a connection was not let in. The socket is closed at once; Kafka gives no answer either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// `max.connections` are open.
    Total {
        /// The limit in force.
        max: usize,
    },
    /// `max.connections.per.ip` are open from this address.
    Address {
        /// The limit in force.
        max: usize,
    },
}

/// Counts of open connections: per shard, per peer address, in all.
///
/// Invariant: the sum over shards equals the sum over addresses equals `total`.
pub struct Placement {
    per_shard: Vec<usize>,
    per_address: BTreeMap<IpAddr, usize>,
    total: usize,
    total_max: usize,
    per_address_max: usize,
}

impl Placement {
    /// No connection is open yet on any of `shards` shards.
    ///
    /// # Panics
    /// When `shards` is 0.
    pub fn new(shards: usize, total_max: usize, per_address_max: usize) -> Placement {
        assert!(shards > 0, "a broker has at least one shard");
        Placement {
            per_shard: vec![0; shards],
            per_address: BTreeMap::new(),
            total: 0,
            total_max,
            per_address_max,
        }
    }

    /// Lets a connection from `address` in and counts it on the shard with the fewest connections (the lowest number
    /// among equals).
    pub fn admit(&mut self, address: IpAddr) -> Result<ShardId, Refused> {
        let address = address.to_canonical();
        if self.total >= self.total_max {
            return Err(Refused::Total { max: self.total_max });
        }
        let from_address = self.per_address.get(&address).copied().unwrap_or(0);
        if from_address >= self.per_address_max {
            return Err(Refused::Address { max: self.per_address_max });
        }
        let shard = (0..self.per_shard.len())
            .min_by_key(|&shard| self.per_shard[shard])
            .expect("a broker has at least one shard");
        self.per_shard[shard] += 1;
        self.per_address.insert(address, from_address + 1);
        self.total += 1;
        Ok(ShardId(shard as u16))
    }

    /// A connection that was admitted has closed.
    ///
    /// # Panics
    /// When no such connection was admitted: a count went wrong.
    pub fn on_closed(&mut self, shard: ShardId, address: IpAddr) {
        let address = address.to_canonical();
        let on_shard = &mut self.per_shard[shard.0 as usize];
        *on_shard = on_shard.checked_sub(1).expect("a closed connection was open on its shard");
        self.total = self.total.checked_sub(1).expect("a closed connection was counted");
        let from_address = self
            .per_address
            .get_mut(&address)
            .expect("a closed connection had its address counted");
        *from_address -= 1;
        if *from_address == 0 {
            self.per_address.remove(&address);
        }
    }

    /// Open connections in all.
    pub fn total(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn connections_go_to_the_least_loaded_shard() {
        let mut placement = Placement::new(3, 100, 100);
        let shards: Vec<u16> =
            (0..6).map(|_| placement.admit(A).expect("there is room").0).collect();
        assert_eq!(shards, [0, 1, 2, 0, 1, 2]);
        placement.on_closed(ShardId(1), A);
        placement.on_closed(ShardId(1), A);
        assert_eq!(placement.admit(A), Ok(ShardId(1)));
        assert_eq!(placement.total(), 5);
    }

    #[test]
    fn the_limit_in_all_refuses_until_one_closes() {
        let mut placement = Placement::new(1, 2, 100);
        assert!(placement.admit(A).is_ok() && placement.admit(B).is_ok());
        assert_eq!(placement.admit(B), Err(Refused::Total { max: 2 }));
        placement.on_closed(ShardId(0), A);
        assert!(placement.admit(B).is_ok());
    }

    #[test]
    fn the_limit_per_address_counts_mapped_addresses_as_one() {
        let mut placement = Placement::new(1, 100, 1);
        assert!(placement.admit(A).is_ok());
        let mapped = IpAddr::V6(std::net::Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert_eq!(placement.admit(mapped), Err(Refused::Address { max: 1 }));
        assert!(placement.admit(B).is_ok());
    }
}
