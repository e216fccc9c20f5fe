//! The whole history of a group against the log that its members applied.
//!
//! Writes are ordered by their index, so that one pass is enough: the log is replayed on the
//! [`Model`], every entry must be somebody's call and every answered write must be an entry that does
//! what the answer says. Reads are put at the earliest index at which they could have had their
//! answer; if that respects real time, the history is strictly serializable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use client::BizCode;
use kv_api::{KvRequest, OperationKind, Payload};

use super::leases::Punctuality;
use super::model::{Life, Model, Stamp};
use super::sessions::{Sessions, Verdict, split};
use crate::coverage::{Coverage, Rare};
use crate::violation::{Rule, Violation};
use crate::workload::{Answer, Call, Request, Transacted};

/// An entry that was applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Its place in the log.
    pub index: u64,
    /// The leader's time in it.
    pub time_ms: u64,
    /// What was proposed.
    pub payload: Vec<u8>,
}

/// Checks the calls of one group against its log, which ascends by index. During `calm` things expire
/// in time. Returns all states that there were.
///
/// # Errors
/// The first rule that is broken.
pub fn check(
    log: &[Applied],
    calls: &[Call],
    calm: Range<u64>,
    coverage: &mut Coverage,
) -> Result<Model, Violation> {
    let (mut model, mut sessions) = (Model::new(), Sessions::default());
    let mut done = Vec::with_capacity(log.len());
    let mut waiting = Waiting::new(calls);
    let mut punctuality = None;
    let mut last_index = 0;
    for entry in log {
        // What is left out is a leader's first entry, or one about members: until then nobody, or
        // another leader, looked after what expires.
        let is_next = entry.index == last_index + 1;
        last_index = entry.index;
        if !calm.contains(&entry.index) {
            punctuality = None;
        } else if punctuality.is_none() || !is_next {
            punctuality = Some(Punctuality { from_ms: entry.time_ms });
        }
        let entry_done = carry_out(&mut model, &mut sessions, entry, &waiting)?;
        check_punctual(&model, entry, &entry_done, punctuality)?;
        done.push(entry_done);
    }
    let transacted = done.iter().filter(|done| done.transacted.is_some());
    coverage.add_many(Rare::Transacted, transacted.count() as u64);
    coverage.add_many(Rare::SessionEnded, sessions.ended);
    coverage.add_many(Rare::Repeated, done.iter().filter(|done| done.is_again).count() as u64);
    coverage.add_many(Rare::Expired, done.iter().filter(|done| done.is_own).count() as u64);
    coverage
        .add_many(Rare::Granted, done.iter().filter(|done| done.token.is_some()).count() as u64);
    let mut places = vec![None; calls.len()];
    waiting.match_known(log, &done, calls, &mut places)?;
    waiting.match_rest(&model, log, &done, calls, &mut places)?;
    check_order(&model, log, calls, &places)?;
    Ok(model)
}

fn check_punctual(
    model: &Model,
    entry: &Applied,
    done: &Done,
    punctuality: Option<Punctuality>,
) -> Result<(), Violation> {
    let Some(punctuality) = punctuality else { return Ok(()) };
    let late = done.expired.filter(|life| punctuality.is_late(*life, entry.time_ms));
    let late = late.map(|life| {
        let (index, time_ms, deadline_ms) = (entry.index, entry.time_ms, life.deadline_ms());
        format!("entry {index} of {time_ms} ms removes what was to live until {deadline_ms} ms")
    });
    match late.or_else(|| model.overdue(punctuality, entry.time_ms)) {
        Some(what) => Err(Violation::new(Rule::Expiry, what)),
        None => Ok(()),
    }
}

/// What an entry did, by the model.
#[derive(Default)]
struct Done {
    codes: Vec<BizCode>,
    /// What a transaction does.
    transacted: Option<Transacted>,
    /// What the holder of the lock has to show from then on.
    token: Option<u64>,
    /// The leader proposed it by itself.
    is_own: bool,
    /// It opens a session, or its session has nothing done: it is nobody's write.
    is_idle: bool,
    /// Its session has nothing done because an earlier entry did it.
    is_again: bool,
    /// A countdown that it ended.
    expired: Option<Life>,
}

impl Done {
    /// Whether a client may be told this. Clients are not told why they hold a lock, and why not.
    fn agrees(&self, answer: &Answer) -> bool {
        let holds = |code: &BizCode| matches!(code, BizCode::Success | BizCode::LockBySelf);
        match answer {
            Answer::Granted { token, .. } => {
                self.codes.iter().all(holds) && self.token == Some(*token)
            }
            Answer::Written { codes, .. } if codes == &[BizCode::LockByOther] => {
                matches!(self.codes[..], [BizCode::LockByOther | BizCode::NotFound])
            }
            Answer::Written { codes, .. } => *codes == self.codes,
            Answer::Transacted { transacted, .. } => self.transacted.as_ref() == Some(transacted),
            _ => true,
        }
    }
}

/// Carries an entry out on the model.
fn carry_out(
    model: &mut Model,
    sessions: &mut Sessions,
    entry: &Applied,
    waiting: &Waiting<'_>,
) -> Result<Done, Violation> {
    let stamp = Stamp { index: entry.index, time_ms: entry.time_ms };
    let payload = Payload::decode(&entry.payload).ok();
    let owner = payload.and_then(|payload| payload.owner).unwrap_or_default();
    if let Some(payload) = payload.filter(|payload| payload.kind == OperationKind::Expire)
        && let Ok(request) = KvRequest::decode(payload.body)
    {
        let expired = model.expire(stamp, request.key, request.ttl_millis as u64);
        let expired = expired.map_err(|what| Violation::new(Rule::Expiry, what))?;
        return Ok(Done { is_own: true, expired, ..Done::default() });
    }
    if sessions.open(entry.index, &entry.payload) {
        return Ok(Done { is_idle: true, ..Done::default() });
    }
    let (plain, session) = split(&entry.payload);
    let Some(request) = waiting.request(plain) else {
        let what = format!("entry {} was proposed by nobody", entry.index);
        return Err(Violation::new(Rule::Proposal, what));
    };
    match session.map(|session| sessions.judge(entry.index, &session)) {
        None | Some(Verdict::First) => {}
        Some(verdict) => {
            let is_again = verdict == Verdict::Again;
            return Ok(Done { is_idle: true, is_again, ..Done::default() });
        }
    }
    if let Request::Transaction(transaction) = request {
        let transacted = Some(model.transact(stamp, owner, transaction));
        return Ok(Done { transacted, ..Done::default() });
    }
    let codes = model.apply_at(stamp, owner, request);
    let token = match request {
        Request::TryLock(key, ..) => model.fencing_token(key),
        _ => None,
    };
    Ok(Done { codes, token, ..Done::default() })
}

/// Writes that have no entry yet, by payload.
struct Waiting<'a>(BTreeMap<&'a [u8], Bucket<'a>>);

struct Bucket<'a> {
    request: &'a Request,
    calls: Vec<usize>,
}

impl<'a> Waiting<'a> {
    fn new(calls: &'a [Call]) -> Waiting<'a> {
        let mut buckets: BTreeMap<&[u8], Bucket<'_>> = BTreeMap::new();
        for (number, call) in calls.iter().enumerate() {
            let Some(payload) = &call.payload else { continue };
            let new = || Bucket { request: &call.request, calls: Vec::new() };
            let bucket = buckets.entry(payload).or_insert_with(new);
            if !matches!(call.answer, Answer::NotDone(_)) {
                bucket.calls.push(number);
            }
        }
        Waiting(buckets)
    }

    fn request(&self, payload: &[u8]) -> Option<&'a Request> {
        self.0.get(payload).map(|bucket| bucket.request)
    }

    /// Matches the calls that know their index.
    fn match_known(
        &mut self,
        log: &[Applied],
        done: &[Done],
        calls: &[Call],
        places: &mut [Option<usize>],
    ) -> Result<(), Violation> {
        let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
        for (number, call) in calls.iter().enumerate() {
            let Some(index) = call.answer.index() else { continue };
            let broken = |what: &str| Err(Violation::new(Rule::Answer, format!("{call}: {what}")));
            let Ok(place) = log.binary_search_by_key(&index, |entry| entry.index) else {
                return broken("the log has no such entry");
            };
            if call.payload.as_deref() != Some(split(&log[place].payload).0) {
                return broken("the entry there is another one");
            }
            if done[place].is_idle {
                return broken("its session has nothing done there");
            }
            if !done[place].agrees(&call.answer) {
                let Done { codes, token, transacted, .. } = &done[place];
                return broken(&format!("the entry does {codes:?}, {token:?}, {transacted:?}"));
            }
            if let Some(other) = taken.insert(place, number) {
                return broken(&format!("the entry belongs to {}", calls[other]));
            }
            places[number] = Some(place);
            if let Some(bucket) = self.0.get_mut(split(&log[place].payload).0) {
                bucket.calls.retain(|other| *other != number);
            }
        }
        Ok(())
    }

    /// Gives the other entries to calls that were refused or never answered: of those that had begun,
    /// to the one that ended first. A call has not begun for an entry while one that ended before it
    /// has none.
    fn match_rest(
        &mut self,
        model: &Model,
        log: &[Applied],
        done: &[Done],
        calls: &[Call],
        places: &mut [Option<usize>],
    ) -> Result<(), Violation> {
        let mut taken = vec![false; log.len()];
        places.iter().flatten().for_each(|place| taken[*place] = true);
        let floor = floors(model, log, calls);
        let mut ends_without_place: BTreeSet<u64> = (calls.iter().zip(places.iter()))
            .filter(|(call, place)| place.is_none() && call.answer.needs_entry())
            .filter_map(|(call, _)| Some(call.returned?.order))
            .collect();
        let is_nobodys = |done: &Done| done.is_own || done.is_idle;
        let is_open = |place: &usize| !taken[*place] && !is_nobodys(&done[*place]);
        for (place, entry) in log.iter().enumerate().filter(|(place, _)| is_open(place)) {
            let bucket = self.0.get_mut(split(&entry.payload).0);
            let first_end = ends_without_place.first().copied().unwrap_or(u64::MAX);
            let fits = |number: &usize| {
                floor[*number] < entry.index
                    && calls[*number].invoked.order < first_end
                    && done[place].agrees(&calls[*number].answer)
            };
            let end = |number: &usize| match calls[*number].is_unknown() {
                true => u64::MAX,
                false => calls[*number].returned.map_or(u64::MAX, |point| point.order),
            };
            let best = bucket.and_then(|bucket| {
                let number = bucket.calls.iter().copied().filter(fits).min_by_key(end)?;
                bucket.calls.retain(|other| *other != number);
                Some(number)
            });
            let Some(number) = best else {
                return Err(Violation::new(Rule::Proposal, unclaimed(entry, calls)));
            };
            places[number] = Some(place);
            if let Some(returned) = calls[number].returned {
                ends_without_place.remove(&returned.order);
            }
        }
        // Who was answered has an entry.
        for (number, call) in calls.iter().enumerate() {
            if places[number].is_none() && call.answer.needs_entry() {
                let what = format!("{call}: the log has no entry for it");
                return Err(Violation::new(Rule::Answer, what));
            }
        }
        Ok(())
    }
}

fn unclaimed(entry: &Applied, calls: &[Call]) -> String {
    let same = calls.iter().filter(|call| call.payload.as_deref() == Some(split(&entry.payload).0));
    let same: Vec<_> = same.map(ToString::to_string).collect();
    format!(
        "entry {} is carried out twice, or was said not to be: all that asked for it are {same:?}",
        entry.index
    )
}

/// For each call the highest index that was known to somebody when it began, by the answers that tell
/// one and by what was read.
fn floors(model: &Model, log: &[Applied], calls: &[Call]) -> Vec<u64> {
    let last = log.last().map_or(0, |entry| entry.index);
    let mut floors = vec![0; calls.len()];
    let mut highest = 0;
    for event in in_order(calls) {
        match event {
            Event::Begin(number) => floors[number] = highest,
            Event::End(number) => {
                let Call { request, answer, .. } = &calls[number];
                let known = match request.is_read() && calls[number].is_done() {
                    true => model.first_match(request, answer, floors[number], last),
                    false => answer.index(),
                };
                highest = highest.max(known.unwrap_or(0).min(last));
            }
        }
    }
    floors
}

enum Event {
    Begin(usize),
    End(usize),
}

/// All beginnings and ends in the order of time.
fn in_order(calls: &[Call]) -> Vec<Event> {
    let mut events: Vec<(u64, Event)> = Vec::with_capacity(calls.len() * 2);
    for (number, call) in calls.iter().enumerate() {
        events.push((call.invoked.order, Event::Begin(number)));
        if let Some(returned) = call.returned {
            events.push((returned.order, Event::End(number)));
        }
    }
    events.sort_by_key(|(order, _)| *order);
    events.into_iter().map(|(_, event)| event).collect()
}

/// One pass over time: what ended before a call began is before it in the log.
fn check_order(
    model: &Model,
    log: &[Applied],
    calls: &[Call],
    places: &[Option<usize>],
) -> Result<(), Violation> {
    let last = log.last().map_or(0, |entry| entry.index);
    let mut floor = vec![0; calls.len()];
    let mut highest = 0;
    for event in in_order(calls) {
        let number = match event {
            Event::Begin(number) => {
                floor[number] = highest;
                if let Some(place) = places[number]
                    && log[place].index <= highest
                {
                    let what = format!(
                        "{}: it is entry {}, but {highest} was known before it began",
                        calls[number], log[place].index
                    );
                    return Err(Violation::new(Rule::RealTime, what));
                }
                continue;
            }
            Event::End(number) => number,
        };
        let call = &calls[number];
        if call.request.is_read() && call.is_done() {
            let found = model.first_match(&call.request, &call.answer, floor[number], last);
            let Some(index) = found else {
                return Err(Violation::new(
                    Rule::Read,
                    stale_read(model, call, floor[number], last),
                ));
            };
            highest = highest.max(index);
        } else if call.is_done()
            && let Some(place) = places[number]
        {
            highest = highest.max(log[place].index);
        }
    }
    Ok(())
}

fn stale_read(model: &Model, call: &Call, floor: u64, last: u64) -> String {
    let at = |index| model.read(&call.request, index);
    let earlier = model.first_match(&call.request, &call.answer, 0, last);
    let earlier = earlier.map_or("no entry".to_owned(), |index| format!("entry {index}"));
    format!(
        "{call}: that was so after {earlier}, but {floor} was known before it began, after which it \
         is {}, and in the end {}",
        at(floor),
        at(last)
    )
}
