//! Random operations on a small tree, so that they meet each other often.

use kv_api::{
    ByteStrings, Condition, KvRequest, OperationKind, Owner, Payload, Relation, Repeated, Step,
    StepKind, Subject, TransactionRequest,
};
use wire::Writer;

/// One random operation.
pub(crate) struct Draw {
    pub(crate) kind: OperationKind,
    pub(crate) owner: Owner,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) expect: Vec<u8>,
    pub(crate) ttl_millis: i64,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) values: Vec<Vec<u8>>,
    pub(crate) parts: Option<Parts>,
}

/// A transaction that owns its bytes.
pub(crate) struct Parts {
    conditions: Vec<OwnedCondition>,
    then: Vec<OwnedStep>,
    otherwise: Vec<OwnedStep>,
}

type OwnedCondition = (Vec<u8>, Subject, Relation, u64, Vec<u8>);
type OwnedStep = (StepKind, Vec<u8>, Vec<u8>, i64);

impl Draw {
    /// `due` are the keys and ttl indexes of what has expired.
    pub(crate) fn new(random: &mut Random, due: &[(Vec<u8>, u64)]) -> Draw {
        // Sessions have a test of their own.
        let kinds = OperationKind::ALL.len() as u64 - 1;
        let kind = OperationKind::ALL[random.below(kinds) as usize];
        let owner = Owner { high: 1, low: 1 + random.below(3) };
        let mut draw = Draw {
            kind,
            owner,
            key: random.key(),
            value: random.value(),
            expect: random.value(),
            ttl_millis: random.below(60) as i64 - 1,
            keys: Vec::new(),
            values: Vec::new(),
            parts: (kind == OperationKind::Transaction).then(|| Parts::new(random)),
        };
        match kind {
            OperationKind::BatchPut | OperationKind::BatchRemove => {
                draw.keys = (0..random.below(5)).map(|_| random.key()).collect();
                if kind == OperationKind::BatchPut && random.below(10) > 0 {
                    draw.values = draw.keys.iter().map(|_| random.value()).collect();
                }
            }
            OperationKind::TryLock => {
                draw.value = random.lock_value();
                draw.ttl_millis = draw.ttl_millis.max(0) / 2;
            }
            OperationKind::Expire => draw.expire_something(random, due),
            _ => {}
        }
        // Operations inside of a lock would hardly ever be drawn.
        if random.below(12) == 0 {
            draw.key = [&draw.key[..], b".", &owner.name()].concat();
        }
        draw
    }

    fn expire_something(&mut self, random: &mut Random, due: &[(Vec<u8>, u64)]) {
        if due.is_empty() {
            return;
        }
        let (key, ttl_index) = &due[random.below(due.len() as u64) as usize];
        self.key = key.clone();
        self.ttl_millis = (*ttl_index + random.below(8) / 7) as i64;
    }

    /// The operation as a request, which is handed to `with`.
    pub(crate) fn with_request<R>(&self, with: impl FnOnce(&KvRequest<'_>) -> R) -> R {
        let keys: Vec<&[u8]> = self.keys.iter().map(Vec::as_slice).collect();
        let values: Vec<&[u8]> = self.values.iter().map(Vec::as_slice).collect();
        with(&KvRequest {
            key: &self.key,
            value: &self.value,
            expect_value: &self.expect,
            ttl_millis: self.ttl_millis,
            keys: ByteStrings::new(&keys),
            values: ByteStrings::new(&values),
            ..Default::default()
        })
    }
}

impl Parts {
    fn new(random: &mut Random) -> Parts {
        let conditions = (0..random.below(3)).map(|_| random.condition()).collect();
        let then = (0..random.below(5)).map(|_| random.step()).collect();
        let otherwise = (0..random.below(5)).map(|_| random.step()).collect();
        Parts { conditions, then, otherwise }
    }

    /// The transaction as a request, which is handed to `with`.
    pub(crate) fn with_request<R>(&self, with: impl FnOnce(&TransactionRequest<'_>) -> R) -> R {
        let conditions: Vec<_> = self.conditions.iter().map(borrow_condition).collect();
        let [then, otherwise] = [&self.then, &self.otherwise]
            .map(|list| list.iter().map(borrow_step).collect::<Vec<_>>());
        with(&TransactionRequest {
            group_id: 0,
            conditions: Repeated::new(&conditions),
            then: Repeated::new(&then),
            otherwise: Repeated::new(&otherwise),
            session: None,
        })
    }
}

fn borrow_condition((key, subject, relation, number, value): &OwnedCondition) -> Condition<'_> {
    Condition { key, subject: *subject, relation: *relation, number: *number, value }
}

fn borrow_step((kind, key, value, ttl_millis): &OwnedStep) -> Step<'_> {
    Step { kind: *kind, key, value, ttl_millis: *ttl_millis }
}

/// A small generator of numbers: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One to four names of three, seldom something that is no key.
    fn key(&mut self) -> Vec<u8> {
        match self.below(60) {
            0 => return Vec::new(),
            1 => return b".a".to_vec(),
            2 => return b"a.".to_vec(),
            3 => return vec![b'k'; 8193],
            4 => return b"a..b".to_vec(),
            _ => {}
        }
        // Half of the keys come from a part of the tree that is filled most of the time.
        let width = 1 + self.below(4).min(2);
        let names = (0..1 + self.below(4)).map(|_| ["a", "b", "c"][self.below(width) as usize]);
        names.collect::<Vec<_>>().join(".").into_bytes()
    }

    /// Seldom empty, seldom too long, and often the same as another.
    fn value(&mut self) -> Vec<u8> {
        match self.below(2_000) {
            0 => vec![7; (1 << 20) + 1],
            1..200 => Vec::new(),
            number => vec![b'v'; 1 + number as usize % 3],
        }
    }

    fn condition(&mut self) -> OwnedCondition {
        let subjects = [
            Subject::Existence,
            Subject::Value,
            Subject::UpdateIndex,
            Subject::CreateIndex,
            Subject::FencingToken,
        ];
        let relations = [Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater];
        let subject = subjects[self.below(5) as usize];
        let number = match subject {
            Subject::Existence => self.below(2),
            _ => self.below(20_000),
        };
        (self.key(), subject, relations[self.below(4) as usize], number, self.value())
    }

    fn step(&mut self) -> OwnedStep {
        let kinds = [
            StepKind::Put,
            StepKind::Put,
            StepKind::Remove,
            StepKind::Mkdir,
            StepKind::Get,
            StepKind::PutTemp,
            StepKind::MakeTempDir,
            StepKind::UpdateTtl,
        ];
        (kinds[self.below(8) as usize], self.key(), self.value(), 1 + self.below(60) as i64)
    }

    fn lock_value(&mut self) -> Vec<u8> {
        let mut value = (self.below(80) as i64 - 1).to_be_bytes().to_vec();
        value.extend_from_slice(&self.next().to_le_bytes());
        value.truncate(if self.below(20) == 0 { 7 } else { 16 });
        value
    }
}

pub(crate) fn payload(draw: &Draw) -> Vec<u8> {
    let mut body = Vec::new();
    match &draw.parts {
        Some(parts) => parts.with_request(|request| request.encode(&mut Writer::new(&mut body))),
        None => draw.with_request(|request| request.encode(&mut Writer::new(&mut body))),
    }
    let (head, length) = Payload::new(draw.kind, draw.owner, &body).head();
    [&head[..length], &body].concat()
}
