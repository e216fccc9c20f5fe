//! All connections of a shard.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use wire::{PortKind, ProcessId};

use crate::budget::WorkBudget;
use crate::connection::{Connection, ConnectionId};
use crate::limits::Limits;

/// The connections of one shard, by id and by the process on the other side.
#[derive(Default)]
pub struct Connections {
    table: RefCell<Table>,
    pub(crate) budget: WorkBudget,
    counters: Counters,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    open: OpenByPort,
    /// Connections after their handshake, in the order of their handshakes.
    introduced: BTreeMap<(PortKind, ProcessId, u64), ConnectionId>,
    handshakes: u64,
}

/// Connections now. Each port has its own limit, so that clients cannot keep nodes out.
#[derive(Default)]
struct OpenByPort {
    service: usize,
    replicate: usize,
}

impl OpenByPort {
    fn of(&mut self, port: PortKind) -> &mut usize {
        match port {
            PortKind::Service => &mut self.service,
            PortKind::Replicate => &mut self.replicate,
        }
    }
}

#[derive(Default)]
struct Slot {
    generation: u32,
    occupant: Option<Occupant>,
}

struct Occupant {
    connection: Rc<Connection>,
    /// Its place in `introduced`.
    handshake: Option<u64>,
}

/// What happened to the connections of a shard since its start.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) accepted: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) broken: Cell<u64>,
    pub(crate) packets: Cell<u64>,
    pub(crate) expired: Cell<u64>,
    pub(crate) received_bytes: Cell<u64>,
    pub(crate) sent_bytes: Cell<u64>,
}

/// The counts of a shard's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectionCounts {
    /// Connections now.
    pub open: usize,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because there were too many.
    pub refused: u64,
    /// Connections closed because of what came over them.
    pub broken: u64,
    /// Packets received.
    pub packets: u64,
    /// Requests dropped because their time was over.
    pub expired: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
}

impl Connections {
    /// No connections.
    pub fn new() -> Rc<Connections> {
        Rc::new(Connections::default())
    }

    /// The connection with this id, unless it is gone.
    #[inline]
    pub fn get(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        let table = self.table.borrow();
        let slot = table.slots.get(id.slot as usize)?;
        let occupant = slot.occupant.as_ref().filter(|_| slot.generation == id.generation)?;
        Some(Rc::clone(&occupant.connection))
    }

    /// The connection that this process has made last to this port.
    pub fn of_process(&self, port: PortKind, process: ProcessId) -> Option<Rc<Connection>> {
        let range = (port, process, 0)..=(port, process, u64::MAX);
        let id = *self.table.borrow().introduced.range(range).next_back()?.1;
        self.get(id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let open = &self.table.borrow().open;
        open.service + open.replicate
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn counts(&self) -> ConnectionCounts {
        let counters = &self.counters;
        ConnectionCounts {
            open: self.len(),
            accepted: counters.accepted.get(),
            refused: counters.refused.get(),
            broken: counters.broken.get(),
            packets: counters.packets.get(),
            expired: counters.expired.get(),
            received_bytes: counters.received_bytes.get(),
            sent_bytes: counters.sent_bytes.get(),
        }
    }

    /// Calls [`Connection::close`] for all connections of a port.
    pub fn close_all(&self, port: PortKind) {
        let all: Vec<_> = {
            let table = self.table.borrow();
            let occupants = table.slots.iter().filter_map(|slot| slot.occupant.as_ref());
            occupants.map(|occupant| Rc::clone(&occupant.connection)).collect()
        };
        for connection in all.iter().filter(|connection| connection.port() == port) {
            connection.close();
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A new connection, or `None` when there are too many.
    pub(crate) fn open(
        &self,
        port: PortKind,
        peer: SocketAddr,
        limits: &Limits,
    ) -> Option<Rc<Connection>> {
        let mut table = self.table.borrow_mut();
        if *table.open.of(port) >= limits.connections_max {
            add(&self.counters.refused, 1);
            return None;
        }
        let slot = match table.free.pop() {
            Some(slot) => slot,
            None => {
                table.slots.push(Slot::default());
                u32::try_from(table.slots.len() - 1).ok()?
            }
        };
        let entry = table.slots.get_mut(slot as usize)?;
        let id = ConnectionId { slot, generation: entry.generation };
        let connection = Connection::new(id, port, peer, limits);
        entry.occupant = Some(Occupant { connection: Rc::clone(&connection), handshake: None });
        *table.open.of(port) += 1;
        add(&self.counters.accepted, 1);
        Some(connection)
    }

    /// Makes a connection known by the process on its other side.
    pub(crate) fn introduce(&self, connection: &Connection, process: ProcessId) {
        connection.introduce(process);
        let id = connection.id();
        let mut table = self.table.borrow_mut();
        table.handshakes += 1;
        let number = table.handshakes;
        table.introduced.insert((connection.port(), process, number), id);
        let slot = table.slots.get_mut(id.slot as usize);
        if let Some(occupant) = slot.and_then(|slot| slot.occupant.as_mut()) {
            occupant.handshake = Some(number);
        }
    }

    /// Forgets a connection. Its id does not come back before its slot was used 2^32 times.
    pub(crate) fn remove(&self, connection: &Connection) {
        let id = connection.id();
        let mut table = self.table.borrow_mut();
        let Some(slot) = table.slots.get_mut(id.slot as usize) else { return };
        if slot.generation != id.generation {
            return;
        }
        let Some(occupant) = slot.occupant.take() else { return };
        slot.generation = slot.generation.wrapping_add(1);
        table.free.push(id.slot);
        *table.open.of(connection.port()) -= 1;
        if let Some(number) = occupant.handshake {
            let key = (connection.port(), connection.process(), number);
            table.introduced.remove(&key);
        }
    }
}

pub(crate) fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get().wrapping_add(count));
}
