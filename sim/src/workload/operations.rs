//! The operations that a client means to carry out, decided before it starts, so that each of them
//! is one choice on the tape and can be tamed by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::sim::World;

use super::history::Lane;
use super::request::Request;
use super::transaction::{Act, Transaction, Wanted};

/// How a workload looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Plain keys; with few, everybody writes the same ones.
    pub keys: u64,
    /// Directories, of which some are below others.
    pub directories: u64,
    /// Keys in each directory.
    pub children: u64,
    /// Longest value.
    pub value_bytes: u64,
    /// Longest pause between two operations.
    pub pause: Duration,
    /// Of 16 operations so many are reads.
    pub reads: u64,
    /// Nodes to read from.
    pub nodes: u16,
    /// Of 16 operations so many are about what expires and about locks.
    pub leases: u64,
    /// Of 16 operations so many are about directories and what is in them.
    pub tree: u64,
}

impl Shape {
    /// Draws a shape; the tame one is small.
    pub fn draw(world: &World, nodes: u16) -> Shape {
        let choose = |site, n| world.choose(site, n);
        Shape {
            keys: 1 + choose("shape.keys", 12),
            directories: 1 + choose("shape.directories", 4),
            children: 1 + choose("shape.children", 4),
            value_bytes: 16 << choose("shape.value", 9),
            pause: Duration::from_micros(100 << choose("shape.pause", 9)),
            nodes,
            reads: 4 + choose("shape.reads", 8),
            tree: choose("shape.tree", 8),
            leases: choose("shape.leases", 12).saturating_sub(4),
        }
    }

    /// Keys for somebody to watch: plain ones, directories, locks, and what expires.
    pub fn watched_keys(&self, world: &World) -> Vec<Vec<u8>> {
        let plain = (0..self.keys).map(|number| format!("k{number}").into_bytes());
        let directories = (0..self.directories).map(directory);
        let leased = ["t0", "u1", "l0", "u0.x"].map(|key| key.as_bytes().to_vec());
        let all = plain.chain(directories).chain(leased);
        all.filter(|_| world.choose("plan.watched", 2) == 1).collect()
    }
}

/// An operation as it is planned: kind, keys and sizes are numbers on the tape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlannedOperation {
    bits: u64,
    /// Pause before it.
    pub pause: Duration,
}

const OPERATION_BITS: u32 = 48;

/// All operations of a strand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operations {
    shape: Shape,
    planned: Vec<PlannedOperation>,
    /// Instead of planned ones.
    fixed: Vec<Request>,
}

impl Operations {
    /// Draws so many operations.
    pub fn draw(world: &World, shape: Shape, count: u64) -> Operations {
        let pause = u64::try_from(shape.pause.as_nanos()).unwrap_or(1);
        let planned = (0..count).map(|_| PlannedOperation {
            bits: world.choose("workload.operation", 1 << OPERATION_BITS),
            pause: Duration::from_nanos(world.choose("workload.pause", pause)),
        });
        Operations { shape, planned: planned.collect(), fixed: Vec::new() }
    }

    /// Reads of everything that a workload of this shape may have written.
    pub fn read_all(shape: Shape) -> Operations {
        let mut requests = vec![Request::List(Vec::new())];
        requests.extend((0..shape.keys).map(|key| Request::Get(format!("k{key}").into_bytes())));
        requests.extend((0..shape.directories).map(|number| Request::List(directory(number))));
        let pause = Duration::ZERO;
        let planned = requests.iter().map(|_| PlannedOperation { bits: 0, pause }).collect();
        Operations { shape, planned, fixed: requests }
    }

    /// The operation with this number.
    pub fn get(&self, number: usize) -> Option<PlannedOperation> {
        self.planned.get(number).copied()
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.planned.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.planned.is_empty()
    }

    /// What an operation asks for. `known` has the values that the client saw last; each value that is
    /// written has the name of its strand and number, so that all differ.
    pub fn request(
        &self,
        planned: PlannedOperation,
        name: (Lane, usize),
        known: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Request {
        if let Some(request) = self.fixed.get(name.1) {
            return request.clone();
        }
        let mut dice = Dice(planned.bits);
        let is_read = 15 - dice.below(16) >= 16 - self.shape.reads;
        let is_tree = 15 - dice.below(16) < self.shape.tree;
        let is_lease = 15 - dice.below(16) < self.shape.leases;
        let mut draw = Draw { shape: &self.shape, dice, name, known };
        if is_lease {
            return draw.lease();
        }
        match (is_read, is_tree) {
            (true, false) => draw.read(),
            (true, true) => draw.tree_read(),
            (false, false) => draw.write(),
            (false, true) => draw.tree_write(),
        }
    }
}

/// Takes numbers out of the bits of a choice.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        let value = self.0 % n;
        self.0 /= n;
        value
    }
}

/// The key of a directory; from the third on they are in another one.
fn directory(number: u64) -> Vec<u8> {
    match number {
        0..2 => format!("d{number}").into_bytes(),
        _ => format!("d{}.d{number}", number % 2).into_bytes(),
    }
}

struct Draw<'a> {
    shape: &'a Shape,
    dice: Dice,
    name: (Lane, usize),
    known: &'a BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Draw<'_> {
    fn read(&mut self) -> Request {
        match self.dice.below(8) {
            6..8 => Request::BatchGet(self.several_keys()),
            4..6 => {
                let node = 1 + self.dice.below(u64::from(self.shape.nodes)) as u16;
                Request::GetFrom(node, self.key())
            }
            _ => Request::Get(self.key()),
        }
    }

    fn tree_read(&mut self) -> Request {
        match self.dice.below(4) {
            0 => Request::Get(self.child()),
            1 => Request::List(Vec::new()),
            _ => Request::List(self.directory()),
        }
    }

    fn write(&mut self) -> Request {
        match self.dice.below(10) {
            0..=2 => Request::Put(self.key(), self.value(0)),
            8.. => Request::Transaction(self.transaction()),
            3 => Request::Remove(self.key()),
            4 => {
                let keys = self.several_keys();
                let pairs = (0..).zip(keys).map(|(position, key)| (key, self.value(position)));
                Request::BatchPut(pairs.collect())
            }
            5 => Request::BatchRemove(self.several_keys()),
            _ => self.compare_and_set(),
        }
    }

    fn compare_and_set(&mut self) -> Request {
        let key = self.key();
        let expected = self.known.get(&key).cloned().flatten();
        let new = self.value(0);
        match self.dice.below(8) {
            // Removes what it knows of.
            7 if expected.is_some() => Request::Cas(key, expected, None),
            // Believes that there is nothing.
            6 => Request::Cas(key, None, Some(new)),
            _ => Request::Cas(key, expected, Some(new)),
        }
    }

    /// Something that depends on one key and changes up to three.
    fn transaction(&mut self) -> Transaction {
        let key = self.key();
        let condition = match (self.dice.below(4), self.known.get(&key).cloned().flatten()) {
            (0, _) => Wanted::Exists(key, false),
            (1, _) => Wanted::UpdatedBefore(key, 8 << self.dice.below(5)),
            (2.., Some(value)) => Wanted::Value(key, value),
            _ => Wanted::Exists(key, true),
        };
        let count = 1 + self.dice.below(3) as u32;
        let then = (0..count).map(|position| self.act(position)).collect();
        let otherwise = vec![Act::Get(self.key())];
        Transaction { conditions: vec![condition], then, otherwise }
    }

    fn act(&mut self, position: u32) -> Act {
        match self.dice.below(8) {
            0..4 => Act::Put(self.key(), self.value(position)),
            4 => Act::Remove(self.key()),
            5 => Act::Mkdir(self.directory()),
            6 => Act::Put(self.child(), self.value(position)),
            _ => Act::Get(self.key()),
        }
    }

    fn tree_write(&mut self) -> Request {
        match self.dice.below(8) {
            0..=1 => Request::Mkdir(self.directory()),
            2..=4 => Request::Put(self.child(), self.value(0)),
            5 => Request::Remove(self.directory()),
            6 => {
                let pairs = [self.child(), self.child()];
                let mut keys = pairs.to_vec();
                keys.dedup();
                let pairs = (0..).zip(keys).map(|(position, key)| (key, self.value(position)));
                Request::BatchPut(pairs.collect())
            }
            _ => Request::Remove(self.child()),
        }
    }

    /// Something that expires, or a lock.
    fn lease(&mut self) -> Request {
        let kind = self.dice.below(10);
        let number = self.dice.below(2);
        let named = |letter: char| format!("{letter}{number}").into_bytes();
        let millis = 20 << self.dice.below(6);
        match kind {
            0..2 => Request::PutTemporary(named('t'), self.value(0), millis),
            2 => Request::UpdateTtl(named(['t', 'u'][self.dice.below(2) as usize]), millis),
            3 => Request::Remove(named('t')),
            4 => Request::MakeTemporary(named('u'), millis),
            5 => Request::Put([&named('u')[..], b".x"].concat(), self.value(0)),
            6..8 => Request::TryLock(named('l'), millis, [0, millis][self.dice.below(2) as usize]),
            8 => Request::Unlock(named('l')),
            _ => Request::UpdateLease(named('l'), millis),
        }
    }

    fn key(&mut self) -> Vec<u8> {
        format!("k{}", self.dice.below(self.shape.keys)).into_bytes()
    }

    fn several_keys(&mut self) -> Vec<Vec<u8>> {
        let first = self.dice.below(self.shape.keys);
        let count = 1 + self.dice.below(self.shape.keys.min(3));
        let keys = (first..first + count).map(|key| key % self.shape.keys);
        keys.map(|key| format!("k{key}").into_bytes()).collect()
    }

    fn directory(&mut self) -> Vec<u8> {
        directory(self.dice.below(self.shape.directories))
    }

    fn child(&mut self) -> Vec<u8> {
        let mut key = self.directory();
        key.extend_from_slice(format!(".x{}", self.dice.below(self.shape.children)).as_bytes());
        key
    }

    /// A value that nobody else writes, padded to a length of its own.
    fn value(&mut self, position: u32) -> Vec<u8> {
        let (Lane { client, strand }, number) = self.name;
        let mut value = format!("{client}.{strand}.{number}.{position}-").into_bytes();
        let length = self.dice.below(self.shape.value_bytes) as usize;
        value.resize(value.len().max(length), b'=');
        value
    }
}
