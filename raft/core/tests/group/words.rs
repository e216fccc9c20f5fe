//! The words of a script's commands, and what they stand for.

use raft_core::message::Entries;
use raft_core::{Index, NodeId, Position, Run, Term};

use crate::disk::{Content, Entry};

pub(crate) fn node(id: &str) -> NodeId {
    NodeId(id.parse().unwrap())
}

pub(crate) fn nodes(list: &str) -> Vec<NodeId> {
    list.split(',').map(node).collect()
}

pub(crate) fn numbers(list: &str) -> Vec<u32> {
    list.split(',').map(|number| number.parse().unwrap()).collect()
}

pub(crate) fn value_of<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    let place = words.iter().position(|word| *word == name)?;
    words.get(place + 1).copied()
}

pub(crate) fn number(words: &[&str], name: &str) -> Option<u64> {
    value_of(words, name).map(|value| value.parse().unwrap())
}

pub(crate) fn position(text: &str) -> Position {
    let (index, term) = text.split_once('@').unwrap();
    Position { index: Index(index.parse().unwrap()), term: Term(term.parse().unwrap()) }
}

pub(crate) fn on_link(link: &str) -> impl Fn(NodeId, NodeId) -> bool {
    let (from, to) = link.split_once('>').unwrap();
    let matches = |pattern: &str| {
        let wanted = if pattern == "*" { None } else { Some(node(pattern)) };
        move |id: NodeId| wanted.is_none_or(|wanted| wanted == id)
    };
    let (from, to) = (matches(from), matches(to));
    move |sender, receiver| from(sender) && to(receiver)
}

/// Entries of these terms after `previous`; the same place and term always has the same content.
pub(crate) fn entries(previous: Index, terms: &[u32]) -> Vec<Entry> {
    terms
        .iter()
        .zip(1..)
        .map(|(&term, offset)| {
            let index = previous.plus(offset);
            Entry {
                index,
                term: Term(term),
                content: Content::Command(index.0 << 32 | u64::from(term)),
            }
        })
        .collect()
}

pub(crate) fn described(records: &[Entry]) -> Entries {
    let mut described = Entries::default();
    for record in records {
        if described.count == 0 {
            described.first_term = record.term;
        } else if described.later_runs.last().map_or(described.first_term, |run| run.term)
            != record.term
        {
            described.later_runs.push(Run { first: record.index, term: record.term });
        }
        described.count += 1;
    }
    described
}
