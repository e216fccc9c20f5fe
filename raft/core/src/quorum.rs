//! Majorities, over numbers only. Joint decisions take the lesser answer of both halves.

use planted::{Bug, is_on};

use crate::membership::{Config, MEMBERS_MAX, Members};
use crate::types::NodeId;

/// The largest value that a majority of every half has reached. A half's answer is by its own voters
/// alone: a node that has no vote in it is not counted in it.
pub(crate) fn reached<T: Ord + Copy + Default>(
    config: &Config,
    value_of: impl Fn(NodeId) -> T,
) -> T {
    let of_half = |members: &Members| reached_by_half(members, &value_of);
    let current = of_half(&config.current);
    match &config.next {
        None => current,
        Some(_) if is_on(Bug::NextHalfIgnored) => current,
        Some(next) if is_on(Bug::CurrentHalfIgnored) => of_half(next),
        Some(next) if is_on(Bug::OneHalfEnough) => current.max(of_half(next)),
        Some(next) => current.min(of_half(next)),
    }
}

fn reached_by_half<T: Ord + Copy + Default>(
    members: &Members,
    value_of: impl Fn(NodeId) -> T,
) -> T {
    let voters = &members.voters[..];
    assert!(!voters.is_empty(), "a membership without voters decides nothing");
    assert!(voters.len() <= MEMBERS_MAX, "a membership is longer than its limit");
    let mut values = [T::default(); MEMBERS_MAX];
    let values = &mut values[..voters.len()];
    for (value, &voter) in values.iter_mut().zip(voters) {
        *value = value_of(voter);
    }
    if is_on(Bug::ObserversCounted) {
        for (value, &observer) in values.iter_mut().zip(&members.observers) {
            *value = value_of(observer).max(*value);
        }
    }
    values.sort_unstable_by(|left, right| right.cmp(left));
    values[voters.len() / 2]
}

/// How an election stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tally {
    /// A majority of every half has said yes.
    Won,
    /// Some half cannot reach a majority any more.
    Lost,
    /// Neither.
    Open,
}

/// Counts the answers given so far.
pub(crate) fn tally(config: &Config, answer_of: impl Fn(NodeId) -> Option<bool>) -> Tally {
    let mut result = Tally::Won;
    for members in config.halves() {
        let is_next = Some(members) == config.next.as_ref();
        let is_alone = config.next.is_none();
        if (is_next && is_on(Bug::VotesOfNextIgnored))
            || (!is_next && !is_alone && is_on(Bug::VotesOfCurrentIgnored))
        {
            continue;
        }
        let count = |wanted| members.voters.iter().filter(|&&v| answer_of(v) == wanted).count();
        let (yes, no, needed) =
            (count(Some(true)), count(Some(false)), members.voters.len() / 2 + 1);
        if members.voters.len() - no < needed {
            return Tally::Lost;
        }
        if yes < needed {
            result = Tally::Open;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::membership::Members;

    fn config(current: &[u32], next: Option<&[u32]>) -> Config {
        let members = |ids: &[u32]| Members::of(ids.iter().copied().map(NodeId), []);
        Config { current: members(current), next: next.map(members) }
    }

    /// Counts, for every candidate value, who has it. Slow and obvious.
    fn slow_reached(config: &Config, values: &[u64]) -> u64 {
        let reached_everywhere = |value: u64| {
            config.halves().all(|members| {
                let have = members.voters.iter().filter(|v| values[v.0 as usize] >= value).count();
                have * 2 > members.voters.len()
            })
        };
        (0..=values.iter().copied().max().unwrap_or(0))
            .rev()
            .find(|&v| reached_everywhere(v))
            .unwrap()
    }

    #[test]
    fn table() {
        // The current voters, the next ones if any, each node's value, and the answer.
        for (current, next, values, expected) in [
            (&[0][..], &[][..], &[7][..], 7),
            (&[0, 1], &[], &[7, 5], 5),
            (&[0, 1, 2], &[], &[7, 5, 3], 5),
            (&[0, 1, 2, 3], &[], &[9, 7, 5, 3], 5),
            (&[0, 1, 2, 3, 4], &[], &[9, 7, 5, 3, 1], 5),
            (&[0, 1, 2], &[2, 3, 4], &[9, 9, 1, 4, 3], 3),
            (&[0], &[1], &[9, 2], 2),
        ] {
            let config = config(current, (!next.is_empty()).then_some(next));
            let answer = reached(&config, |node| values[node.0 as usize]);
            assert_eq!(answer, expected, "{current:?} {next:?} {values:?}");
            assert_eq!(slow_reached(&config, values), expected, "the slow twin disagrees");
        }
    }

    /// Every assignment of small values to every pair of voter sets of up to five nodes.
    #[test]
    fn reached_agrees_with_its_slow_twin() {
        for sets in 1u32..32 * 32 {
            let pick = |mask: u32| (0..5).filter(|bit| mask >> bit & 1 == 1).collect::<Vec<u32>>();
            let (current, next) = (pick(sets % 32), pick(sets / 32));
            if current.is_empty() {
                continue;
            }
            let config = config(&current, if next.is_empty() { None } else { Some(&next) });
            for assignment in 0..3u64.pow(5) {
                let values: Vec<u64> = (0..5).map(|n| assignment / 3u64.pow(n) % 3).collect();
                let answer = reached(&config, |node| values[node.0 as usize]);
                assert_eq!(answer, slow_reached(&config, &values), "{config:?} {values:?}");
            }
        }
    }

    /// An election is won exactly when "yes" is reached by a majority of each half, and lost exactly
    /// when the open answers could not turn it.
    #[test]
    fn tally_agrees_with_what_could_still_come() {
        for (current, next) in [
            (&[0u32][..], None),
            (&[0, 1], None),
            (&[0, 1, 2], None),
            (&[0, 1, 2, 3], None),
            (&[0, 1, 2], Some(&[2u32, 3, 4][..])),
            (&[0, 1, 2, 3, 4], Some(&[0])),
        ] {
            let config = config(current, next);
            for assignment in 0..3usize.pow(5) {
                let answer = |n: NodeId| match assignment / 3usize.pow(n.0) % 3 {
                    0 => None,
                    1 => Some(false),
                    _ => Some(true),
                };
                let won = reached(&config, |node| answer(node) == Some(true));
                let could_win = reached(&config, |node| answer(node) != Some(false));
                let expected = match (won, could_win) {
                    (true, _) => Tally::Won,
                    (false, true) => Tally::Open,
                    (false, false) => Tally::Lost,
                };
                assert_eq!(tally(&config, answer), expected, "{config:?} {assignment}");
            }
        }
    }
}
