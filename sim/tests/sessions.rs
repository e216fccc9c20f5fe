//! The rule of sessions, on small histories, right and wrong ones.

use std::num::NonZeroU64;

use client::{BizCode, GroupId, ProcessId};
use kv_api::{OpenSession, OperationKind, Owner, Payload, SessionLimits, SessionStamp};
use sim::check::{Applied, check_revisions};
use sim::coverage::{Coverage, Rare};
use sim::violation::Rule;
use sim::workload::{Answer, Call, History, Lane, Request};
use wire::Writer;

const CLIENT: ProcessId = ProcessId { high: 1, low: 7 };
const LIMITS: SessionLimits = SessionLimits { sessions_max: 1, results_max: 4, bytes_max: 1 << 20 };

#[derive(Default)]
struct Story {
    log: Vec<Applied>,
    history: History,
}

impl Story {
    fn append(&mut self, payload: Vec<u8>) {
        let index = self.log.len() as u64 + 1;
        self.log.push(Applied { index, time_ms: index, payload });
    }

    fn open(&mut self) {
        let mut body = Vec::new();
        OpenSession { group_id: 0, limits: LIMITS }.encode(&mut Writer::new(&mut body));
        let owner = Owner { high: CLIENT.high, low: CLIENT.low };
        let (head, length) = Payload::new(OperationKind::OpenSession, owner, &body).head();
        self.append([&head[..length], &body].concat());
    }

    fn put(&self, value: &str, answer: Answer) -> Vec<u8> {
        let lane = Lane { client: 0, strand: 0 };
        let request = Request::Put(b"k".to_vec(), value.as_bytes().to_vec());
        let payload = request.payload(GroupId(0), CLIENT).unwrap_or_default();
        let call = self.history.invoke(lane, GroupId(0), CLIENT, request);
        self.history.answer(call, answer);
        payload
    }

    /// An entry of this write in a session.
    fn send(&mut self, payload: &[u8], session: u64, sequence: u64) {
        let mut payload = payload.to_vec();
        if let Some(sequence) = NonZeroU64::new(sequence) {
            let check = SessionStamp::check_of(CLIENT.low);
            SessionStamp { session, sequence, span: 0, check }
                .encode(&mut Writer::new(&mut payload));
        }
        self.append(payload);
    }

    fn judge(&self) -> (Option<Rule>, Coverage) {
        let (calls, mut coverage): (Vec<Call>, _) = (self.history.snapshot(), Coverage::default());
        let verdict = check_revisions(&self.log, &calls, 0..0, &mut coverage);
        (verdict.err().map(|violation| violation.rule), coverage)
    }
}

fn written(index: u64) -> Answer {
    Answer::Written { index: Some(index), codes: vec![BizCode::Success] }
}

#[test]
fn a_write_that_comes_again_is_the_first_ones() {
    for (told, broken) in [(2, None), (3, Some(Rule::Answer))] {
        let mut story = Story::default();
        story.open();
        let payload = story.put("v", written(told));
        story.send(&payload, 1, 1);
        story.send(&payload, 1, 1);
        let (found, coverage) = story.judge();
        assert_eq!(found, broken, "told that it is entry {told}");
        assert_eq!(coverage.of(Rare::Repeated), 1);
    }
}

#[test]
fn without_a_session_nobody_may_send_twice() {
    let mut story = Story::default();
    let payload = story.put("v", written(1));
    story.append(payload.clone());
    story.append(payload);
    assert_eq!(story.judge().0, Some(Rule::Proposal));
}

#[test]
fn what_a_session_refuses_is_not_done() {
    let mut story = Story::default();
    story.open();
    story.open();
    let payload = story.put("v", written(4));
    // The first session has ended, the second takes it.
    story.send(&payload, 1, 1);
    story.send(&payload, 2, 1);
    let (found, coverage) = story.judge();
    assert_eq!(found, None);
    assert_eq!((coverage.of(Rare::SessionEnded), coverage.of(Rare::Repeated)), (1, 0));
    // What was given up comes too late.
    let late = story.put("w", Answer::Unknown("time is over".to_owned()));
    let next = story.put("x", Answer::Open);
    story.send(&next, 2, 3);
    story.send(&late, 2, 2);
    assert_eq!(story.judge().0, None);
}
