//! The log as consensus sees it: which entry is of which term, what is durable, who are the members.

use alloc::vec::Vec;

use planted::{Bug, is_on};

use crate::membership::{Config, ConfigEntry};
use crate::message::{CONFIGS_MAX, Entries, HINTS_MAX, RUNS_MAX, TermSpan};
use crate::options::{OlderLog, RestoreError, Restored};
use crate::output::Accepted;
use crate::types::{Index, NodeId, Position, Run, Term};

/// Spans without a gap at the head of a mismatch.
const NEAR_HINTS: usize = 16;

/// Terms are kept as runs, so that appending is O(1) and a lookup O(log of elections).
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The entry before the first one. Committed, so it is every leader's.
    boundary: Position,
    /// Rising in index and term; the first one begins right after the boundary.
    runs: Vec<Run>,
    /// `boundary.index <= durable <= last`.
    last: Index,
    durable: Index,
    /// The membership at the boundary.
    base: ConfigEntry,
    /// The memberships after the boundary, rising; the last one is in force.
    configs: Vec<ConfigEntry>,
}

/// Where a leader should look next for the place from which a follower's log differs from its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Search {
    /// Ask about the entry at this index.
    Probe(Index),
    /// The place is in the part of the log that was dropped: this entry or one before it.
    Dropped(Index),
}

impl Log {
    pub(crate) fn restore(restored: &Restored) -> Result<Log, RestoreError> {
        let log = Log {
            boundary: restored.boundary,
            runs: restored.runs.clone(),
            last: restored.last,
            durable: restored.last,
            base: restored.config.clone(),
            configs: restored.configs.clone(),
        };
        log.check()?;
        Ok(log)
    }

    fn check(&self) -> Result<(), RestoreError> {
        let first = self.runs.first().map(|run| run.first);
        let begins_right = match first {
            Some(first) => first == self.boundary.index.next(),
            None => self.last == self.boundary.index,
        };
        let rises = self.runs.is_sorted_by(|a, b| a.first < b.first && a.term < b.term);
        let ends_right = self.runs.last().is_none_or(|run| run.first <= self.last);
        let after_boundary = self.runs.first().is_none_or(|run| run.term >= self.boundary.term);
        if !(begins_right && rises && ends_right && after_boundary) {
            return Err(RestoreError::Runs);
        }
        let unsound = |entry: &ConfigEntry, low: Index, high: Index| {
            let members = entry.config.halves().all(|members| members.check().is_ok());
            !members || entry.index < low || entry.index > high
        };
        if unsound(&self.base, Index::ZERO, self.boundary.index) {
            return Err(RestoreError::Config { index: self.base.index });
        }
        let mut least = self.boundary.index.next();
        for entry in &self.configs {
            if unsound(entry, least, self.last) {
                return Err(RestoreError::Config { index: entry.index });
            }
            least = entry.index.next();
        }
        Ok(())
    }

    pub(crate) fn boundary(&self) -> Position {
        self.boundary
    }

    pub(crate) fn last_index(&self) -> Index {
        self.last
    }

    pub(crate) fn last(&self) -> Position {
        Position { index: self.last, term: self.last_term() }
    }

    pub(crate) fn durable(&self) -> Index {
        self.durable
    }

    pub(crate) fn last_term(&self) -> Term {
        self.runs.last().map_or(self.boundary.term, |run| run.term)
    }

    /// The membership in force.
    pub(crate) fn config(&self) -> &ConfigEntry {
        self.configs.last().unwrap_or(&self.base)
    }

    /// Whether the node votes in the membership in force, or in one that may still turn out to be:
    /// the newest committed one and every later one.
    pub(crate) fn may_turn_to(&self, node: NodeId, commit: Index) -> bool {
        let settled = self.configs.partition_point(|entry| entry.index <= commit);
        let newest = self.committed_config(commit);
        let later = &self.configs[settled..];
        newest.config.votes(node) || later.iter().any(|entry| entry.config.votes(node))
    }

    /// The newest membership that is committed.
    pub(crate) fn committed_config(&self, commit: Index) -> &ConfigEntry {
        let settled = self.configs.partition_point(|entry| entry.index <= commit);
        if settled == 0 { &self.base } else { &self.configs[settled - 1] }
    }

    /// The term of an entry, or of the boundary; `None` outside the log.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        if index == self.boundary.index {
            return Some(self.boundary.term);
        }
        self.span_at(index).map(|span| span.term)
    }

    /// Whether the log has exactly this entry.
    pub(crate) fn holds(&self, position: Position) -> bool {
        self.term(position.index) == Some(position.term)
    }

    /// The run around an entry, with both ends.
    fn span_at(&self, index: Index) -> Option<TermSpan> {
        if index <= self.boundary.index || index > self.last {
            return None;
        }
        Some(self.span(self.run_of(index)))
    }

    /// The place in `runs` of the run that an entry belongs to.
    fn run_of(&self, index: Index) -> usize {
        match self.runs.last() {
            // Nearly every question is about the newest term.
            Some(run) if run.first <= index => self.runs.len() - 1,
            _ => self.runs.partition_point(|run| run.first <= index) - 1,
        }
    }

    fn span(&self, place: usize) -> TermSpan {
        let run = self.runs[place];
        let last = self.runs.get(place + 1).map_or(self.last, |next| next.first.previous());
        TermSpan { term: run.term, first: run.first, last }
    }

    /// Appends a leader's entries. The hot path.
    #[inline]
    pub(crate) fn append(&mut self, count: u64, term: Term) -> Index {
        let first = self.last.next();
        let newest = self.last_term();
        if newest != term || self.runs.is_empty() {
            assert!(term >= newest, "a term in the log never goes back");
            self.runs.push(Run { first, term });
        }
        self.last = self.last.plus(count);
        first
    }

    /// Appends a leader's membership entry; it is in force from now on.
    pub(crate) fn append_config(&mut self, config: Config, term: Term) -> Index {
        let index = self.append(1, term);
        self.configs.push(ConfigEntry { index, config });
        index
    }

    /// The first entry after `previous` that the log does not have as the message has it; the index
    /// after the message's last entry when it has them all. Entries at or below the boundary are
    /// committed and therefore the same.
    pub(crate) fn first_difference(&self, previous: Index, entries: &Entries) -> Index {
        for segment in entries.segments(previous) {
            if segment.last <= self.boundary.index {
                continue;
            }
            let from = segment.first.max(self.boundary.index.next());
            match self.span_at(from) {
                Some(span) if span.term == segment.term || is_on(Bug::ConflictKept) => {
                    if span.last < segment.last {
                        return span.last.next();
                    }
                }
                _ => return from,
            }
        }
        previous.plus(entries.count).next()
    }

    /// Takes a message's entries from `first` on, in place of what the log has from there on.
    pub(crate) fn accept(&mut self, first: Index, previous: Index, entries: &Entries) -> Accepted {
        let last = previous.plus(entries.count);
        assert!(first > previous && first <= last, "only entries of the message are accepted");
        assert!(first <= self.last.next(), "the log has no gap");
        let truncate_from = (first <= self.last).then_some(first);
        if let Some(from) = truncate_from {
            self.truncate(from);
        }
        for segment in entries.segments(previous).filter(|segment| segment.last >= first) {
            self.append(segment.last.since(segment.first.max(first)) + 1, segment.term);
        }
        if is_on(Bug::MembersNotFollowed) {
            return Accepted { truncate_from, first, last };
        }
        self.configs.extend(entries.configs.iter().filter(|entry| entry.index >= first).cloned());
        assert!(self.last == last, "the log ends where the message ends");
        Accepted { truncate_from, first, last }
    }

    fn truncate(&mut self, from: Index) {
        assert!(from > self.boundary.index, "what was dropped was committed and is not cut off");
        self.last = from.previous();
        self.durable = self.durable.min(self.last);
        self.runs.retain(|run| run.first < from);
        if !is_on(Bug::MembersNotUndone) {
            self.configs.retain(|entry| entry.index < from);
        }
    }

    /// Notes what the disk has. Says whether that is more than before.
    pub(crate) fn persisted(&mut self, last: Index, term: Term) -> bool {
        let newer = last > self.durable && self.term(last) == Some(term);
        if newer {
            self.durable = last;
        }
        assert!(self.durable <= self.last, "nothing is durable that is not in the log");
        newer
    }

    /// Drops the entries up to `index`, which becomes the boundary.
    pub(crate) fn compact(&mut self, index: Index) {
        let Some(term) = self.term(index).filter(|_| index > self.boundary.index) else { return };
        assert!(index <= self.durable, "only what is durable is dropped");
        let kept = self.run_of(index.next()).min(self.runs.len() - 1);
        self.runs.drain(..kept);
        match self.last > index {
            true => self.runs[0].first = self.runs[0].first.max(index.next()),
            false => self.runs.clear(),
        }
        self.boundary = Position { index, term };
        self.drop_old_configs();
    }

    /// Takes entries in front of the log back, the last of which is the boundary. Says whether they
    /// fit.
    pub(crate) fn extend_back(&mut self, older: OlderLog) -> bool {
        let OlderLog { boundary, mut runs, founding, mut configs } = older;
        let is_known = self.base.index <= boundary.index;
        let base = if is_known { self.base.clone() } else { founding };
        let has_base = is_known || configs.iter().any(|entry| entry.index == self.base.index);
        let ends_here = runs.last().is_some_and(|run| run.term == self.boundary.term)
            && runs.last().is_some_and(|run| run.first <= self.boundary.index)
            && configs.last().is_none_or(|newest| newest.index <= self.boundary.index);
        if !ends_here || !has_base {
            return false;
        }
        let goes_on = self.runs.first().is_some_and(|run| run.term == self.boundary.term);
        runs.extend(self.runs.iter().skip(usize::from(goes_on)));
        configs.extend(self.configs.iter().cloned());
        let whole = Log { boundary, runs, base, configs, last: self.last, durable: self.durable };
        let fits = whole.check().is_ok();
        if fits {
            *self = whole;
        }
        fits
    }

    fn drop_old_configs(&mut self) {
        let below = self.configs.partition_point(|entry| entry.index <= self.boundary.index);
        if let Some(newest) = self.configs.drain(..below).next_back() {
            self.base = newest;
        }
    }

    /// Puts a snapshot's boundary in place of the log up to it, or of the whole log when that does
    /// not agree with it.
    pub(crate) fn install(&mut self, boundary: Position, config: ConfigEntry) {
        assert!(boundary.index >= self.boundary.index, "a snapshot never takes the log back");
        if self.holds(boundary) {
            self.durable = self.durable.max(boundary.index);
            self.compact(boundary.index);
            self.base = config;
            return;
        }
        self.boundary = boundary;
        self.runs.clear();
        self.last = boundary.index;
        self.durable = boundary.index;
        self.base = config;
        self.configs.clear();
    }

    /// The last entry up to `last` that can go into one message beginning at `first`.
    pub(crate) fn cut_for_message(&self, first: Index, last: Index) -> Index {
        let after_runs = self.runs.get(self.run_of(first) + 1 + RUNS_MAX).map(|run| run.first);
        let first_config = self.configs.partition_point(|entry| entry.index < first);
        let after_configs = self.configs.get(first_config + CONFIGS_MAX).map(|entry| entry.index);
        [after_runs, after_configs]
            .into_iter()
            .flatten()
            .fold(last, |cut, index| cut.min(index.previous()))
    }

    /// What a message says about the entries `first ..= last`.
    pub(crate) fn entries(&self, first: Index, last: Index) -> Entries {
        assert!(first > self.boundary.index && first <= last && last <= self.last, "in the log");
        let place = self.run_of(first);
        let within = |index: Index| first < index && index <= last;
        let later = self.runs[place + 1..].iter().take_while(|run| within(run.first));
        let from = self.configs.partition_point(|entry| entry.index < first);
        let configs = self.configs[from..].iter().take_while(|entry| entry.index <= last);
        Entries {
            count: last.since(first) + 1,
            first_term: self.runs[place].term,
            later_runs: later.copied().collect(),
            configs: configs.cloned().collect(),
        }
    }

    /// A follower's help for a leader whose entry at `previous` is not in this log.
    pub(crate) fn hints(&self, previous: Index, commit: Index) -> Vec<TermSpan> {
        let mut hints = Vec::new();
        let at = previous.min(self.last);
        if at <= self.boundary.index {
            return hints;
        }
        let clipped = |place: usize| {
            let span = self.span(place);
            TermSpan { last: span.last.min(at), ..span }
        };
        let (mut place, mut stride) = (self.run_of(at), 1);
        // A leader has everything committed, so its log agrees with this one there at the latest.
        let floor = self.run_of(commit.max(self.boundary.index.next()).min(at));
        hints.push(clipped(place));
        while place > floor && hints.len() < HINTS_MAX {
            if hints.len() >= NEAR_HINTS {
                stride *= 2;
            }
            let is_last = hints.len() == HINTS_MAX - 1;
            place = if is_last { floor } else { place.saturating_sub(stride).max(floor) };
            hints.push(clipped(place));
        }
        hints
    }

    /// Where a leader looks next, given a follower's hints about the entries up to `last`.
    ///
    /// Both logs have the entry where a span's term is in both and the shorter one ends; everything
    /// before it is the same. The newest such span decides, unless the follower left out spans
    /// between it and the one before: then the search goes on there.
    pub(crate) fn search(&self, hints: &[TermSpan], follower_last: Index) -> Search {
        let mut above: Option<TermSpan> = None;
        for &hint in hints {
            if let Some(common) = self.common(hint) {
                let unknown_to = above.map_or(common, |span| span.first.previous());
                let probe = if common == hint.last { unknown_to.min(self.last) } else { common };
                return Search::Probe(probe.max(common));
            }
            above = Some(hint);
        }
        let below = above.map_or(follower_last.min(self.last), |span| span.first.previous());
        if below < self.boundary.index { Search::Dropped(below) } else { Search::Probe(below) }
    }

    /// The last entry that both this log and a span of another one have.
    fn common(&self, hint: TermSpan) -> Option<Index> {
        if hint.term == self.boundary.term && hint.first <= self.boundary.index {
            let own_last = self.runs.first().filter(|run| run.term == hint.term);
            let own_last = own_last.map_or(self.boundary.index, |_| self.span(0).last);
            let common = hint.last.min(own_last);
            return (common >= self.boundary.index).then_some(common);
        }
        let place = self.runs.binary_search_by_key(&hint.term, |run| run.term).ok()?;
        let own = self.span(place);
        let common = hint.last.min(own.last);
        (common >= hint.first && common >= own.first).then_some(common)
    }
}

#[cfg(test)]
mod tests;
