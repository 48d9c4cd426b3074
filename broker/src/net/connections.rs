//! The connections of one shard: registry, sweep for idle and stalled ones, and on the accepting
//! shard the books of who is connected where.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use engine::shard::ShardId;
use engine::sync::Notify;
use engine::task;
use engine::time::{self, Instant};

use super::connection::Connection;
use super::log_limit::LogLimit;
use super::pinned::Pinned;
use super::placement::{Placement, Refused};
use crate::limits::{SWEEP_INTERVAL, SWEEP_STEP};

/// The connections of one shard.
pub struct Connections {
    open: RefCell<BTreeMap<u64, Rc<Connection>>>,
    next: Cell<u64>,
    opened: Notify,
    all_closed: Notify,
    stopping: Cell<bool>,
    idle_max: Duration,
    /// Used on the accepting shard alone.
    placement: RefCell<Placement>,
    /// Record bytes pinned by responses of all connections here.
    pub pinned: Rc<Pinned>,
    /// Log lines about peers that misbehave.
    pub complaints: LogLimit,
}

impl Connections {
    /// None is open. `idle_max` is `connections.max.idle.ms`.
    pub fn new(placement: Placement, idle_max: Duration) -> Connections {
        Connections {
            open: RefCell::default(),
            next: Cell::new(0),
            opened: Notify::default(),
            all_closed: Notify::default(),
            stopping: Cell::new(false),
            idle_max,
            placement: RefCell::new(placement),
            pinned: Rc::default(),
            complaints: LogLimit::new(Duration::from_secs(1)),
        }
    }

    /// Enters a connection; `None` when the shard is stopping and takes no more.
    pub fn open(&self, connection: Rc<Connection>) -> Option<u64> {
        if self.stopping.get() {
            return None;
        }
        let id = self.next.get();
        self.next.set(id + 1);
        self.open.borrow_mut().insert(id, connection);
        self.opened.notify_all();
        Some(id)
    }

    /// Accounts for all responses that the kernel has taken by now.
    pub fn settle(&self) {
        self.open.borrow().values().for_each(|connection| connection.settle());
    }

    /// Takes a connection out.
    pub fn closed(&self, id: u64) {
        let mut open = self.open.borrow_mut();
        open.remove(&id).expect("a connection closes once");
        if open.is_empty() {
            self.all_closed.notify_all();
        }
    }

    /// Open connections on this shard.
    pub fn len(&self) -> usize {
        self.open.borrow().len()
    }

    /// True when none is open.
    pub fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// On the accepting shard: lets a peer in and says where to, see [`Placement::admit`].
    pub fn admit(&self, address: IpAddr) -> Result<ShardId, Refused> {
        self.placement.borrow_mut().admit(address)
    }

    /// On the accepting shard: a connection placed on `shard` has closed.
    pub fn on_closed(&self, shard: ShardId, address: IpAddr) {
        self.placement.borrow_mut().on_closed(shard, address);
    }

    /// Closes idle connections and stalled ones, for ever. Costs nothing while none is open.
    pub async fn sweep(&self) {
        loop {
            while self.is_empty() {
                self.opened.notified().await;
            }
            time::sleep(SWEEP_INTERVAL).await;
            let now = time::now();
            let mut from = 0;
            while let Some(last) = self.sweep_some(now, from) {
                from = last + 1;
                // Requests have a turn in between.
                task::yield_now().await;
            }
        }
    }

    /// Sweeps the next connections from an id on; the last one's id, if there was any.
    fn sweep_some(&self, now: Instant, from: u64) -> Option<u64> {
        let open = self.open.borrow();
        let some = open.range(from..).take(SWEEP_STEP);
        some.map(|(id, connection)| {
            connection.sweep(now, self.idle_max);
            *id
        })
        .last()
    }

    /// Takes no more connections, lets those that are open answer what is in flight for at most
    /// `grace`, and closes them.
    pub async fn stop(&self, grace: Duration) {
        self.stopping.set(true);
        for connection in self.open.borrow().values() {
            connection.finish();
        }
        let closed = async {
            while !self.is_empty() {
                self.all_closed.notified().await;
            }
        };
        if time::timeout(grace, closed).await.is_ok() {
            return;
        }
        for connection in self.open.borrow().values() {
            connection.shutdown();
        }
        while !self.is_empty() {
            self.all_closed.notified().await;
        }
    }
}
