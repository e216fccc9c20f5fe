//! The checkers against each other and against a slow twin, on small random histories, right and
//! wrong ones.

use client::{GroupId, ProcessId};
use moment::Moment;
use sim::check::{
    Action, Applied, Decision, Model, RegisterCall, Value, check_keys, check_revisions, decide,
};
use sim::coverage::Coverage;
use sim::violation::Violation;
use sim::workload::{Answer, Call, Lane, Point, Request};

/// Without a calm.
fn revisions(log: &[Applied], calls: &[Call]) -> Result<(), Violation> {
    check_revisions(log, calls, 0..0, &mut Coverage::default()).map(drop)
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }
}

/// Tries every order.
fn brute_force(calls: &[RegisterCall], done: u32, state: Value) -> bool {
    let is_done = |number: usize| done >> number & 1 == 1;
    let open = |number: usize| !is_done(number) && calls[number].returned.is_some();
    if !(0..calls.len()).any(open) {
        return true;
    }
    (0..calls.len()).filter(|number| !is_done(*number)).any(|number| {
        let is_early = |other: usize| {
            open(other) && calls[other].returned.is_some_and(|end| end < calls[number].invoked)
        };
        !(0..calls.len()).any(is_early)
            && calls[number]
                .action
                .step(state)
                .is_some_and(|next| brute_force(calls, done | 1 << number, next))
    })
}

/// Calls that overlap, with answers that are mostly those of one possible order.
fn random_calls(dice: &mut Dice) -> Vec<RegisterCall> {
    let mut state = 0;
    let mut calls = Vec::new();
    for number in 0..2 + dice.below(6) {
        let at = number * 10 + 5;
        let invoked = at.saturating_sub(dice.below(30));
        let returned = (dice.below(5) > 0).then(|| at + 1 + dice.below(30));
        let told = |dice: &mut Dice, truth: bool| match dice.below(12) {
            0 => Some(!truth),
            1 => None,
            _ => Some(truth),
        };
        let value = 1 + dice.below(3) as Value;
        let action = match dice.below(5) {
            0 | 1 => {
                let lie = dice.below(10) == 0;
                Action::Read(if lie { dice.below(4) as Value } else { state })
            }
            2 => Action::Write(value, told(dice, state != 0)),
            3 => Action::Remove(told(dice, state != 0)),
            _ => {
                let expected = dice.below(4) as Value;
                Action::Swap(expected, value, told(dice, state == expected))
            }
        };
        if returned.is_some() || dice.below(2) == 0 {
            state = match action {
                Action::Read(_) => state,
                Action::Write(value, _) => value,
                Action::Remove(_) => 0,
                Action::Swap(expected, new, _) => {
                    if state == expected {
                        new
                    } else {
                        state
                    }
                }
            };
        }
        // Times are all different, as in a history.
        calls.push(RegisterCall { invoked: invoked * 100 + number, returned, action });
    }
    for (number, call) in (50..).zip(&mut calls) {
        call.returned = call.returned.map(|end| end * 100 + number);
    }
    calls
}

#[test]
fn search_agrees_with_trying_every_order() {
    let mut dice = Dice(1);
    let mut counts = [0, 0];
    for round in 0..60_000 {
        let calls = random_calls(&mut dice);
        let possible = brute_force(&calls, 0, 0);
        let expected = if possible { Decision::Linearizable } else { Decision::Impossible };
        assert_eq!(decide(&calls, usize::MAX), expected, "round {round}: {calls:#?}");
        counts[usize::from(possible)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 5_000), "{counts:?}");
}

const GROUP: GroupId = GroupId(0);
const CLIENT: ProcessId = ProcessId { high: 1, low: 1 };

/// A group's history: a log, and calls around the moments at which their entries were applied.
struct Scenario {
    log: Vec<Applied>,
    calls: Vec<Call>,
}

fn random_request(dice: &mut Dice, number: u64) -> Request {
    let key = |dice: &mut Dice| format!("k{}", dice.below(2)).into_bytes();
    let value = |number: u64| Some(format!("v{number}").into_bytes());
    let old = |dice: &mut Dice| {
        (dice.below(3) > 0).then(|| format!("v{}", dice.below(number.max(1))).into_bytes())
    };
    match dice.below(8) {
        0..3 => Request::Get(key(dice)),
        3 => Request::Remove(key(dice)),
        4 => Request::BatchGet(vec![b"k0".to_vec(), b"k1".to_vec()]),
        5 => Request::Cas(key(dice), old(dice), value(number)),
        _ => Request::Put(key(dice), value(number).unwrap_or_default()),
    }
}

fn random_scenario(dice: &mut Dice) -> Scenario {
    let mut model = Model::new();
    let (mut log, mut calls) = (Vec::new(), Vec::new());
    for number in 0..3 + dice.below(8) {
        let at = number * 100 + 50;
        let point = |order| Point { order, at: Moment::from_nanos(order) };
        let invoked = point(at.saturating_sub(dice.below(200) + 1) * 10 + number % 10);
        let returned = point((at + 1 + dice.below(200)) * 10 + number % 10);
        let request = random_request(dice, number);
        let payload = request.payload(GROUP, CLIENT);
        let index = log.last().map_or(0, |entry: &Applied| entry.index);
        let answer = match &payload {
            None => model.read(&request, index),
            Some(payload) => {
                let index = index + 1 + dice.below(2);
                let codes = model.apply(index, &request);
                log.push(Applied { index, time_ms: 0, payload: payload.clone() });
                Answer::Written { index: Some(index), codes }
            }
        };
        let is_open = dice.below(6) == 0;
        let answer = if is_open { Answer::Open } else { answer };
        let lane = Lane { client: 0, strand: number as u16 };
        let returned = (!is_open).then_some(returned);
        calls.push(Call { lane, group: GROUP, request, payload, invoked, returned, answer });
    }
    Scenario { log, calls }
}

/// Breaks something, which often, but not always, makes the history impossible.
fn damage(dice: &mut Dice, scenario: &mut Scenario) {
    let Scenario { log, calls } = scenario;
    let number = dice.below(calls.len() as u64) as usize;
    let other = dice.below(calls.len() as u64) as usize;
    match dice.below(5) {
        // An acknowledged write is lost, or one that was not carried out is.
        0 if !log.is_empty() => drop(log.remove(dice.below(log.len() as u64) as usize)),
        // Carried out twice.
        1 if !log.is_empty() => {
            let again = log[dice.below(log.len() as u64) as usize].payload.clone();
            let index = log.last().map_or(1, |entry| entry.index + 1);
            log.push(Applied { index, time_ms: 0, payload: again });
        }
        // An answer for somebody else.
        2 => {
            let answer = calls[other].answer.clone();
            if calls[number].returned.is_some() && calls[other].returned.is_some() {
                calls[number].answer = answer;
            }
        }
        // Said not to be done, and yet it is.
        3 => calls[number].answer = Answer::NotDone(String::new()),
        // Later than it was.
        _ => {
            let Some(end) = calls.iter().filter_map(|call| call.returned).max() else { return };
            let point = |order| Point { order, at: Moment::from_nanos(order) };
            calls[number].invoked = point(end.order + 5);
            calls[number].returned = calls[number].returned.map(|_| point(end.order + 7));
        }
    }
}

#[test]
fn whole_histories_that_happened_pass_both_checkers() {
    let mut dice = Dice(2);
    for round in 0..20_000 {
        let Scenario { log, calls } = random_scenario(&mut dice);
        assert_eq!(revisions(&log, &calls), Ok(()), "round {round}: {log:#?} {calls:#?}");
        assert!(check_keys(&calls).is_ok(), "round {round}: {calls:#?}");
    }
}

/// The check against the log knows more than the one of each key: whatever it accepts is possible,
/// and whatever is impossible it refuses.
#[test]
fn whole_histories_that_pass_the_log_check_are_linearizable() {
    let mut dice = Dice(3);
    let mut counts = [[0, 0], [0, 0]];
    for round in 0..60_000 {
        let mut scenario = random_scenario(&mut dice);
        damage(&mut dice, &mut scenario);
        let Scenario { log, calls } = scenario;
        let by_log = revisions(&log, &calls);
        let by_keys = check_keys(&calls);
        assert!(
            by_log.is_err() || by_keys.is_ok(),
            "round {round}: {by_keys:?} {log:#?} {calls:#?}"
        );
        counts[usize::from(by_log.is_ok())][usize::from(by_keys.is_ok())] += 1;
    }
    assert!(counts[0][0] > 1_000 && counts[0][1] > 1_000 && counts[1][1] > 1_000, "{counts:?}");
}

#[test]
fn search_gives_up_at_its_limit() {
    let open = |number| RegisterCall {
        invoked: number,
        returned: None,
        action: Action::Write(number as Value, None),
    };
    let mut calls: Vec<_> = (1..20).map(open).collect();
    calls.push(RegisterCall { invoked: 30, returned: Some(31), action: Action::Read(99) });
    assert_eq!(decide(&calls, 1_000), Decision::Undecided);
}

/// Two calls ask for the same and no answer names its entry: that of the earlier one, of which nobody
/// was told, is before what the later one's client has read.
#[test]
fn an_entry_belongs_to_a_call_that_had_begun() {
    let put = |value: &str| Request::Put(b"k0".to_vec(), value.as_bytes().to_vec());
    let requests = [put("1"), put("2"), Request::Get(b"k0".to_vec()), put("1")];
    let mut model = Model::new();
    let (mut log, mut calls) = (Vec::new(), Vec::new());
    for (number, request) in (0..).zip(requests) {
        let payload = request.payload(GROUP, CLIENT);
        let index = log.len() as u64;
        let mut answer = match &payload {
            None => model.read(&request, index),
            Some(payload) => {
                let codes = model.apply(index + 1, &request);
                log.push(Applied { index: index + 1, time_ms: 0, payload: payload.clone() });
                Answer::Written { index: None, codes }
            }
        };
        if number < 2 {
            answer = Answer::Unknown(String::new());
        }
        let point = |order| Point { order, at: Moment::from_nanos(order) };
        let lane = Lane { client: 0, strand: number as u16 };
        let (invoked, returned) = (point(10 * number + 1), Some(point(10 * number + 2)));
        calls.push(Call { lane, group: GROUP, request, payload, invoked, returned, answer });
    }
    // The first two end late, so that nothing but what was read says that they were before.
    calls[0].returned = None;
    calls[1].returned = None;
    assert_eq!(revisions(&log, &calls), Ok(()));
    // The second entry for it is missing: the one that is there was before the call that was answered.
    log.pop();
    assert!(revisions(&log, &calls).is_err());
}
