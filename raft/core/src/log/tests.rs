//! The log against a slow twin: a plain list of terms.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::options::OlderLog;
use crate::random::Random;

/// A log with entries of these terms after the boundary, all durable.
fn log(boundary: Position, terms: &[u32]) -> Log {
    let mut log = Log {
        boundary,
        runs: Vec::new(),
        last: boundary.index,
        durable: boundary.index,
        base: ConfigEntry { index: Index(0), config: config(1) },
        configs: Vec::new(),
    };
    for &term in terms {
        log.append(1, Term(term));
    }
    log.durable = log.last;
    log
}

fn config(node: u32) -> Config {
    Config::of([NodeId(node)], [])
}

fn at(index: u64, term: u32) -> Position {
    Position { index: Index(index), term: Term(term) }
}

/// What a message with entries of these terms after `previous` says.
fn described(previous: u64, terms: &[u32]) -> Entries {
    let sender = log(at(previous, 0), terms);
    match terms.is_empty() {
        true => Entries::default(),
        false => sender.entries(Index(previous + 1), sender.last),
    }
}

fn terms(log: &Log) -> Vec<u32> {
    (log.boundary.index.0 + 1..=log.last.0).map(|i| log.term(Index(i)).unwrap().0).collect()
}

#[test]
fn terms_are_found_at_every_index() {
    let list = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let log = log(at(0, 0), &list);
    assert_eq!(terms(&log), list);
    assert_eq!(log.term(Index(0)), Some(Term(0)));
    assert_eq!(log.term(Index(11)), None);
}

#[test]
fn the_first_difference_agrees_with_a_slow_search() {
    let lists: [&[u32]; 6] =
        [&[], &[1, 1], &[1, 1, 2], &[1, 1, 3, 3], &[1, 2, 2, 3], &[1, 1, 1, 1, 2]];
    for own in lists {
        for sent in lists {
            for previous in 0..=sent.len().min(own.len()) {
                if own[..previous] != sent[..previous] {
                    continue;
                }
                let log = log(at(0, 0), own);
                let entries = described(previous as u64, &sent[previous..]);
                let slow = (previous..sent.len()).find(|&i| own.get(i) != Some(&sent[i]));
                let slow = slow.unwrap_or(sent.len()) as u64 + 1;
                let found = log.first_difference(Index(previous as u64), &entries);
                assert_eq!(found, Index(slow), "{own:?} {sent:?} after {previous}");
            }
        }
    }
}

#[test]
fn what_was_dropped_counts_as_the_same() {
    let log = log(at(5, 2), &[2, 3]);
    let entries = described(3, &[1, 1, 2]);
    assert_eq!(log.first_difference(Index(3), &entries), Index(7));
}

#[test]
fn accepted_entries_take_the_place_of_a_conflict() {
    let mut log = log(at(0, 0), &[1, 1, 2, 2]);
    let entries = described(1, &[1, 3, 3, 3]);
    let accepted = log.accept(Index(3), Index(1), &entries);
    let expected = Accepted { truncate_from: Some(Index(3)), first: Index(3), last: Index(5) };
    assert_eq!(accepted, expected);
    assert_eq!(terms(&log), [1, 1, 3, 3, 3]);
    assert_eq!(log.durable(), Index(2));
}

#[test]
fn a_report_about_cut_off_entries_is_ignored() {
    let mut log = log(at(0, 0), &[1, 1, 1]);
    log.accept(Index(2), Index(1), &described(1, &[2, 2, 2]));
    assert!(!log.persisted(Index(3), Term(1)), "that entry is gone");
    assert_eq!(log.durable(), Index(1));
    assert!(log.persisted(Index(3), Term(2)));
    assert!(!log.persisted(Index(2), Term(2)), "old news");
    assert_eq!(log.durable(), Index(3));
}

#[test]
fn a_membership_goes_with_its_entry() {
    let mut log = log(at(0, 0), &[1]);
    assert_eq!(log.append_config(config(2), Term(1)), Index(2));
    assert_eq!(log.config().config, config(2));
    log.accept(Index(2), Index(1), &described(1, &[2]));
    assert_eq!(log.config().config, config(1));
}

#[test]
fn dropping_the_head_keeps_the_membership_in_force() {
    let mut log = log(at(0, 0), &[1, 1]);
    log.append_config(config(2), Term(1));
    log.append(2, Term(2));
    log.durable = log.last;
    for (index, expected) in [(1, &[1, 1, 2, 2][..]), (3, &[2, 2]), (4, &[2]), (5, &[])] {
        log.compact(Index(index));
        assert_eq!(terms(&log), expected, "after dropping up to {index}");
        assert_eq!(log.config(), &ConfigEntry { index: Index(3), config: config(2) });
        assert_eq!(log.last(), at(5, 2));
    }
    log.compact(Index(2));
    assert_eq!(log.boundary(), at(5, 2), "a boundary never goes back");
    assert_eq!(log.append(1, Term(2)), Index(6));
}

#[test]
fn an_install_keeps_a_tail_that_agrees_and_drops_one_that_does_not() {
    let base = ConfigEntry { index: Index(0), config: config(9) };
    let mut agrees = log(at(0, 0), &[1, 1, 2, 2]);
    agrees.install(at(3, 2), base.clone());
    assert_eq!((terms(&agrees), agrees.last()), (vec![2], at(4, 2)));
    let mut differs = log(at(0, 0), &[1, 1, 2, 2]);
    differs.install(at(3, 3), base.clone());
    assert_eq!((terms(&differs), differs.last()), (vec![], at(3, 3)));
    assert_eq!(differs.durable(), Index(3));
    let mut shorter = log(at(0, 0), &[1]);
    shorter.install(at(3, 3), base.clone());
    assert_eq!((shorter.last(), shorter.config()), (at(3, 3), &base));
}

#[test]
fn an_append_is_cut_where_a_list_in_it_would_be_too_long() {
    let many: Vec<u32> = (1..=3 * RUNS_MAX as u32).collect();
    let log_of_runs = log(at(0, 0), &many);
    let last = log_of_runs.cut_for_message(Index(1), log_of_runs.last_index());
    assert_eq!(log_of_runs.entries(Index(1), last).later_runs.len(), RUNS_MAX);
    let mut log_of_configs = log(at(0, 0), &[1]);
    for node in 0..40 {
        log_of_configs.append_config(config(node), Term(1));
    }
    let last = log_of_configs.cut_for_message(Index(1), log_of_configs.last_index());
    assert_eq!(log_of_configs.entries(Index(1), last).configs.len(), CONFIGS_MAX);
}

/// Two logs of one group: a common part, then terms that only one of them has.
fn diverging(random: &mut Random, elections: u64) -> (Vec<u32>, Vec<u32>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let common = random.next() % 40;
    for term in 1..=elections as u32 {
        let count = 1 + random.next() % 4;
        let entries = (0..count).map(|_| term);
        match (u64::from(term) < common, random.next() % 3) {
            (true, _) => {
                left.extend(entries.clone());
                right.extend(entries);
            }
            // A follower may have a part of a term's entries only while nothing newer follows; the
            // divergence begins inside a term here.
            (false, _) if left == right && random.next().is_multiple_of(2) => {
                let part = (random.next() % count) as usize;
                left.extend(entries.clone());
                right.extend(entries.take(part));
                return diverge_from(random, left, right, term + 1, elections as u32);
            }
            (false, _) => {
                return diverge_from(random, left, right, term, elections as u32);
            }
        }
    }
    (left, right)
}

fn diverge_from(
    random: &mut Random,
    mut left: Vec<u32>,
    mut right: Vec<u32>,
    from: u32,
    elections: u32,
) -> (Vec<u32>, Vec<u32>) {
    for term in from..=elections {
        let side = if random.next().is_multiple_of(2) { &mut left } else { &mut right };
        side.extend((0..1 + random.next() % 4).map(|_| term));
    }
    (left, right)
}

/// Counts the questions until the leader knows where the logs part, as `leader.rs` asks them.
fn questions(leader: &Log, follower: &Log, commit: Index) -> u32 {
    let mut previous = leader.last_index();
    let mut count = 0;
    loop {
        count += 1;
        let position = Position { index: previous, term: leader.term(previous).unwrap() };
        if previous <= commit || follower.holds(position) {
            return count;
        }
        let hints = follower.hints(previous, commit);
        assert!(hints.len() <= HINTS_MAX);
        match leader.search(&hints, follower.last_index()) {
            Search::Probe(index) => {
                assert!(index < previous, "every answer narrows the search");
                previous = index;
            }
            Search::Dropped(_) => panic!("nothing was dropped"),
        }
    }
}

#[test]
fn the_place_of_agreement_is_found_in_a_few_questions() {
    let mut random = Random::new(1);
    for elections in [3, 10, 50, 400, 3000] {
        let mut most = 0;
        for _ in 0..200 {
            let (left, right) = diverging(&mut random, elections);
            let (leader, follower) = (log(at(0, 0), &left), log(at(0, 0), &right));
            most = most.max(questions(&leader, &follower, Index::ZERO));
        }
        let limit = 2 + elections.ilog2();
        assert!(most <= limit, "{most} questions for {elections} elections");
    }
}

#[test]
fn an_agreement_in_the_dropped_part_asks_for_a_snapshot() {
    let leader = log(at(10, 5), &[5, 6]);
    let behind = log(at(0, 0), &[1, 1, 2]);
    assert_eq!(
        leader.search(&behind.hints(Index(12), Index(3)), Index(3)),
        Search::Dropped(Index(2))
    );
    let empty = log(at(0, 0), &[]);
    assert_eq!(
        leader.search(&empty.hints(Index(12), Index(0)), Index(0)),
        Search::Dropped(Index(0))
    );
    let terms: Vec<u32> = [vec![1; 5], vec![5; 6]].concat();
    let at_boundary = log(at(0, 0), &terms);
    let hints = at_boundary.hints(Index(12), Index(5));
    assert_eq!(leader.search(&hints, Index(11)), Search::Probe(Index(11)));
}

#[test]
fn a_log_takes_its_head_back_and_nothing_that_does_not_fit() {
    let terms = [1, 1, 2, 2, 2, 3, 3, 4];
    let entry = |index| ConfigEntry { index: Index(index), config: config(1) };
    for (cut, back) in [(2, 0), (4, 0), (4, 3), (6, 1), (7, 5), (8, 2)] {
        let whole = || {
            let mut log = log(at(0, 0), &terms);
            log.configs = [2, 4, 7].map(entry).to_vec();
            log
        };
        let mut short = whole();
        short.compact(Index(cut));
        let before = (short.runs.clone(), short.boundary, short.base.index);
        let mut expected = whole();
        expected.compact(Index(back));
        let runs = expected.runs.iter().filter(|run| run.first.0 <= cut).copied().collect();
        let configs: Vec<_> =
            expected.configs.iter().filter(|entry| entry.index.0 <= cut).cloned().collect();
        let older = OlderLog { boundary: expected.boundary, runs, founding: entry(0), configs };
        let wrong = [
            OlderLog { runs: older.runs[..0].to_vec(), ..older.clone() },
            OlderLog { boundary: at(back + 1, 1), ..older.clone() },
            OlderLog { configs: vec![entry(cut + 1)], ..older.clone() },
        ];
        for wrong in wrong {
            assert!(!short.extend_back(wrong), "{cut} {back}");
        }
        assert_eq!((short.runs.clone(), short.boundary, short.base.index), before);
        assert!(short.extend_back(older));
        assert_eq!((&short.runs, short.boundary), (&expected.runs, expected.boundary));
        assert_eq!(short.configs, expected.configs);
        assert!(short.base.index <= short.boundary.index);
    }
}
