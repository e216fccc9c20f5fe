//! Transactions as clients plan them.

use std::fmt;

use client::operations;
use kv_api::{Condition, Relation, Step, StepKind, Subject};

use super::request::label;

/// Conditions, what is done if all of them hold, and what if not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Transaction {
    /// What has to hold.
    pub conditions: Vec<Wanted>,
    /// What is done then.
    pub then: Vec<Act>,
    /// What is done otherwise.
    pub otherwise: Vec<Act>,
}

/// Something that has to hold of a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wanted {
    /// There is a node, or there is none.
    Exists(Vec<u8>, bool),
    /// It has this value.
    Value(Vec<u8>, Vec<u8>),
    /// It was written last by an entry before this one.
    UpdatedBefore(Vec<u8>, u64),
}

/// A step of a transaction.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Act {
    /// Read a node.
    Get(Vec<u8>),
    /// Set a value.
    Put(Vec<u8>, Vec<u8>),
    /// Remove a node.
    Remove(Vec<u8>),
    /// Make a directory.
    Mkdir(Vec<u8>),
}

impl Wanted {
    fn condition(&self) -> Condition<'_> {
        match self {
            Wanted::Exists(key, is_there) => Condition {
                key,
                subject: Subject::Existence,
                relation: Relation::Equal,
                number: u64::from(*is_there),
                ..Condition::default()
            },
            Wanted::Value(key, value) => Condition {
                key,
                subject: Subject::Value,
                relation: Relation::Equal,
                value,
                ..Condition::default()
            },
            Wanted::UpdatedBefore(key, index) => Condition {
                key,
                subject: Subject::UpdateIndex,
                relation: Relation::Less,
                number: *index,
                ..Condition::default()
            },
        }
    }
}

impl Act {
    /// The key that it is about.
    pub fn key(&self) -> &Vec<u8> {
        match self {
            Act::Get(key) | Act::Put(key, _) | Act::Remove(key) | Act::Mkdir(key) => key,
        }
    }

    fn step(&self) -> Step<'_> {
        let step = |kind, key, value| Step { kind, key, value, ..Step::default() };
        match self {
            Act::Get(key) => step(StepKind::Get, key, &[]),
            Act::Put(key, value) => step(StepKind::Put, key, value),
            Act::Remove(key) => step(StepKind::Remove, key, &[]),
            Act::Mkdir(key) => step(StepKind::Mkdir, key, &[]),
        }
    }
}

/// A transaction in the words of the client library.
pub struct Parts<'a> {
    conditions: Vec<Condition<'a>>,
    then: Vec<Step<'a>>,
    otherwise: Vec<Step<'a>>,
}

impl Transaction {
    /// What the operation that carries it out is made of.
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            conditions: self.conditions.iter().map(Wanted::condition).collect(),
            then: self.then.iter().map(Act::step).collect(),
            otherwise: self.otherwise.iter().map(Act::step).collect(),
        }
    }
}

impl Parts<'_> {
    /// The operation.
    pub fn operation(&self) -> operations::Transaction<'_> {
        let Parts { conditions, then, otherwise } = self;
        operations::Transaction { conditions, then, otherwise }
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
        let wanted = |wanted: &Wanted| match wanted {
            Wanted::Exists(key, true) => name(key),
            Wanted::Exists(key, false) => format!("no {}", name(key)),
            Wanted::Value(key, value) => format!("{}={}", name(key), label(value)),
            Wanted::UpdatedBefore(key, index) => format!("{}@<{index}", name(key)),
        };
        let act = |act: &Act| match act {
            Act::Get(key) => format!("get {}", name(key)),
            Act::Put(key, value) => format!("put {}={}", name(key), label(value)),
            Act::Remove(key) => format!("remove {}", name(key)),
            Act::Mkdir(key) => format!("mkdir {}", name(key)),
        };
        let acts = |list: &[Act]| list.iter().map(act).collect::<Vec<_>>().join(", ");
        let conditions: Vec<_> = self.conditions.iter().map(wanted).collect();
        write!(
            formatter,
            "if {} then {} else {}",
            conditions.join(" and "),
            acts(&self.then),
            acts(&self.otherwise)
        )
    }
}
