//! What the end of a process, and of the power, leaves of the disk.

use super::content::{Cut, Fate};
use super::image::pieces_of;
use super::names::NodeId;
use super::state::{DiskState, Kind, Node, ROOT};
use crate::sim::dice::Dice;

impl DiskState {
    /// The process is gone: its handles and locks with it. What it wrote is there.
    pub fn end_process(&mut self) {
        self.counters.kills += 1;
        self.locks.clear();
        let open: Vec<NodeId> =
            self.nodes.iter().filter(|(_, n)| n.opens > 0).map(|(id, _)| *id).collect();
        for id in open {
            self.node(id).opens = 0;
            self.free_if_unused(id);
        }
        assert_eq!(self.used, self.counted(), "space is counted once, for what has a name");
    }

    /// Blocks of all files that have a name or a handle.
    pub(super) fn counted(&self) -> u64 {
        let space = |node: &Node| match &node.kind {
            Kind::File(content) if node.linked || node.opens > 0 => content.space.count(),
            _ => 0,
        };
        self.nodes.values().map(space).sum()
    }

    /// A write that was in flight as its process ended: there in whole, in part or not at all.
    pub fn settle_write(
        &mut self,
        id: NodeId,
        position: u64,
        data: &[u8],
        dsync: bool,
        dice: &Dice,
    ) {
        let in_flight = Cut { dropped: 30, torn: 40 };
        let Ok(fits) = self.take_space(id, position, data.len() as u64) else { return };
        let pieces = pieces_of(position, &data[..fits as usize]);
        let (left, fate) = in_flight.survivors(pieces, dice);
        self.counters.torn_in_flight += u64::from(fate == Fate::Torn);
        if left.is_empty() {
            return;
        }
        let order = self.next_order();
        let durable = dsync && dice.one_in(2);
        if let Ok(content) = self.content(id) {
            if durable {
                content.write_durable(&left);
            } else {
                content.write(order, left);
            }
        }
    }

    /// The power goes. Call it after [`DiskState::end_process`].
    pub fn cut_power(&mut self, dice: &Dice) {
        self.counters.power_cuts += 1;
        let cut = Cut::roll(dice);
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in &ids {
            let Some(Node { kind: Kind::Dir(names), .. }) = self.nodes.get_mut(id) else {
                continue;
            };
            let orders: Vec<u64> = names.pending().collect();
            let count = match cut.dropped {
                0 => orders.len(),
                100 => 0,
                _ => dice.below(orders.len() as u64 + 1) as usize,
            };
            if let Some(last) = orders[..count].last() {
                names.sync(*last + 1);
            }
        }
        self.sync_other_ends();
        self.moves.clear();
        for id in &ids {
            match &mut self.nodes.get_mut(id).expect("nothing was removed").kind {
                Kind::Dir(names) => self.counters.names_lost += names.revert() as u64,
                Kind::File(content) => content.cut(cut, dice, &mut self.counters),
            }
        }
        self.name_anew();
    }

    /// Names nodes as the directories do, and forgets those that have no name any more.
    pub(super) fn name_anew(&mut self) {
        self.nodes.values_mut().for_each(|node| node.linked = false);
        let mut open = vec![ROOT];
        self.node(ROOT).linked = true;
        while let Some(id) = open.pop() {
            let Kind::Dir(names) = &self.node(id).kind else { continue };
            for (name, child) in names.live.clone() {
                let node = self.node(child);
                (node.parent, node.name, node.linked) = (id, name, true);
                open.push(child);
            }
        }
        self.nodes.retain(|_, node| node.linked);
        self.used = self.counted();
    }
}
