//! Which of the six directions between three servers are up.

use std::fmt;

use runtime::sim::{NodeKey, World};

/// A set of directions; one bit each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LinkSet(u8);

/// The directions, in the order of their bits.
const LINKS: [(u16, u16); 6] = [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)];

impl LinkSet {
    /// All directions are up.
    pub const WHOLE: LinkSet = LinkSet(63);

    /// The set of this number.
    pub const fn of(number: u8) -> Option<LinkSet> {
        if number < 64 { Some(LinkSet(number)) } else { None }
    }

    /// All sets.
    pub fn all() -> impl Iterator<Item = LinkSet> + Clone {
        (0..64).map(LinkSet)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether a direction is up.
    pub fn is_up(self, from: u16, to: u16) -> bool {
        let place = LINKS.iter().position(|link| *link == (from, to));
        place.is_some_and(|place| self.0 & (1 << place) != 0)
    }

    /// Whether a majority can talk to each other: of three servers, any two. A connection needs both
    /// directions.
    pub fn can_serve(self) -> bool {
        LINKS.iter().any(|(from, to)| self.is_up(*from, *to) && self.is_up(*to, *from))
    }

    /// Whether a server can talk to another one, and so is part of a majority.
    pub fn can_lead(self, server: u16) -> bool {
        (1..=3).any(|other| self.is_up(server, other) && self.is_up(other, server))
    }

    /// Cuts the directions that are down, and heals the others.
    pub fn apply(self, world: &World) {
        let network = world.network();
        for (from, to) in LINKS {
            match self.is_up(from, to) {
                true => network.heal(NodeKey(from), NodeKey(to)),
                false => network.cut(NodeKey(from), NodeKey(to)),
            }
        }
    }
}

impl fmt::Display for LinkSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (", self.0)?;
        let up = LINKS.iter().filter(|(from, to)| self.is_up(*from, *to));
        let up: Vec<_> = up.map(|(from, to)| format!("{from}→{to}")).collect();
        write!(formatter, "{})", if up.is_empty() { "none up".to_owned() } else { up.join(" ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_needs_both_directions_of_a_link() {
        assert!(LinkSet::WHOLE.can_serve());
        assert!(!LinkSet(0).can_serve());
        assert!(LinkSet(0b11).can_serve());
        assert_eq!([1, 2, 3].map(|server| LinkSet(0b11).can_lead(server)), [true, true, false]);
        // 1 → 2 → 3 → 1.
        assert!(!LinkSet(0b01_1001).can_serve());
        // Of the 64 sets those in which no pair is whole: three choices a pair.
        assert_eq!(LinkSet::all().filter(|set| !set.can_serve()).count(), 27);
    }
}
