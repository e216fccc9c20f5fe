//! Messages under way: a queue for each direction.

use std::rc::Rc;

use raft_core::{Message, NodeId};

use super::fingerprint::{fold, fold_bytes};
use super::host::Entry;

/// A message under way, and the records behind it.
#[derive(Debug)]
pub struct Packet {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// What it says.
    pub message: Message,
    /// The entries that it brings.
    pub records: Vec<Rc<Entry>>,
    hash: u64,
}

impl Packet {
    /// A packet.
    pub fn new(from: NodeId, to: NodeId, message: Message, records: Vec<Rc<Entry>>) -> Packet {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let hash = fold(fold(u64::from(from.0), u64::from(to.0)), 7);
        let hash = records.iter().fold(fold_bytes(hash, &bytes), |hash, entry| entry.fold(hash));
        Packet { from, to, message, records, hash }
    }

    /// The same for packets that are the same.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// All messages under way.
#[derive(Clone, Default)]
pub struct Network {
    packets: Vec<Rc<Packet>>,
}

impl Network {
    /// Adds a packet behind those of its direction.
    pub fn send(&mut self, packet: Packet) {
        self.packets.push(Rc::new(packet));
    }

    /// Forgets packets that will never do anything.
    pub fn forget(&mut self, is_idle: impl Fn(&Packet) -> bool) {
        self.packets.retain(|packet| !is_idle(packet));
    }

    /// The packets, the oldest first.
    pub fn packets(&self) -> &[Rc<Packet>] {
        &self.packets
    }

    /// The place of each packet, and whether it is the next one of its direction.
    pub fn places(&self) -> impl Iterator<Item = (usize, bool)> {
        self.packets.iter().enumerate().map(|(place, packet)| {
            let mut before = self.packets.iter().take(place);
            (place, !before.any(|other| other.from == packet.from && other.to == packet.to))
        })
    }

    /// Takes a packet out, or a copy of it.
    pub fn take(&mut self, place: usize, is_copied: bool) -> Option<Rc<Packet>> {
        match is_copied {
            true => self.packets.get(place).cloned(),
            false => (place < self.packets.len()).then(|| self.packets.remove(place)),
        }
    }

    /// The same for the same packets in the same order of each direction.
    pub fn hash(&self) -> u64 {
        let of_way = |(place, first): (usize, &Rc<Packet>)| {
            let later = self.packets.iter().skip(place);
            let same = later.filter(|other| other.from == first.from && other.to == first.to);
            same.fold(3, |hash, packet| fold(hash, packet.hash))
        };
        // The order between directions does not matter.
        let firsts = self.places().filter(|(_, is_next)| *is_next).map(|(place, _)| place);
        let firsts = firsts.filter_map(|place| Some((place, self.packets.get(place)?)));
        firsts.map(of_way).fold(0, u64::wrapping_add)
    }
}
