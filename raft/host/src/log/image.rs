//! What is in the log and where: terms, memberships and the place of every frame.

use std::collections::VecDeque;

use raft_core::{Index, Position, Run, Term};

use super::frame::FrameHeader;

/// A frame's place and the entries in it that are still valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameRef {
    /// Number of the segment.
    pub segment: u64,
    /// Offset of the frame's header in the file.
    pub offset: u64,
    /// Bytes of records behind the header, void ones included.
    pub length: u32,
    /// Index of the first record.
    pub first: Index,
    /// Valid records; those behind them were cut off by a later frame.
    pub count: u32,
}

impl FrameRef {
    /// Index of the last valid record.
    pub fn last(&self) -> Index {
        Index(self.first.0 + u64::from(self.count)).previous()
    }
}

/// A segment whose frames have not been read: all of its entries are in a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnreadSegment {
    /// Number of the segment.
    pub number: u64,
    /// Index of its first entry.
    pub first: Index,
    /// Sequence and predecessor that the first frame of the next segment has, with which the last
    /// frame of this one must agree.
    pub next: (u64, u32),
}

/// The log's table of contents.
#[derive(Clone, Debug, Default)]
pub struct LogImage {
    /// In front of the frames, in order and without gaps.
    unread: VecDeque<UnreadSegment>,
    /// Whether one of them turned out to be of no use, and with it those before it.
    is_unreadable: bool,
    /// In order of index, without gaps; never empty ones.
    frames: VecDeque<FrameRef>,
    /// In order of index; terms rise.
    runs: Vec<Run>,
    /// In order of index.
    configs: Vec<(Index, Vec<u8>)>,
    last: Position,
}

impl LogImage {
    /// An empty log that goes on behind `boundary`.
    pub fn behind(boundary: Position) -> LogImage {
        LogImage { last: boundary, ..LogImage::default() }
    }

    /// The last entry, or where the log begins when it has none.
    pub fn last(&self) -> Position {
        self.last
    }

    /// Notes the segments in front of the first frame that were not read.
    pub fn note_unread(&mut self, unread: VecDeque<UnreadSegment>) {
        self.unread = unread;
    }

    /// The newest segment that was not read, if reading back gets as far as an entry before `index`.
    pub fn unread_before(&self, index: Index) -> Option<UnreadSegment> {
        let oldest = self.unread.front()?.first;
        // Of the very first entry of the log nothing is needed to go on behind it but its term.
        let reaches = oldest < index || oldest == Index::ZERO.next() && index == oldest;
        self.unread.back().filter(|_| reaches && !self.is_unreadable).copied()
    }

    /// None of the segments that were not read is of use for more than their names.
    pub fn give_up_unread(&mut self) {
        self.is_unreadable = true;
    }

    /// Puts what was read of the newest unread segment in front. Returns whether it fits there.
    pub fn prepend(&mut self, segment: u64, older: LogImage) -> bool {
        let fits = self.unread.back().is_some_and(|unread| unread.number == segment)
            && self.first() == Some(older.last.index.next())
            && older.first().is_some()
            && older.runs.last().map(|run| run.term) <= self.runs.first().map(|run| run.term);
        if !fits {
            return false;
        }
        self.unread.pop_back();
        let LogImage { mut frames, mut runs, mut configs, .. } = older;
        frames.append(&mut self.frames);
        let goes_on = runs.last().map(|run| run.term) == self.runs.first().map(|run| run.term);
        runs.extend(self.runs.drain(..).skip(usize::from(goes_on)));
        configs.append(&mut self.configs);
        (self.frames, self.runs, self.configs) = (frames, runs, configs);
        true
    }

    /// Index of the first entry that is here; `None` when there is none.
    pub fn first(&self) -> Option<Index> {
        self.frames.front().map(|frame| frame.first)
    }

    /// Terms of the entries.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Terms of the entries behind `boundary`.
    pub fn runs_behind(&self, boundary: Index) -> Vec<Run> {
        if self.last.index <= boundary {
            return Vec::new();
        }
        let next = boundary.next();
        let behind = self.runs.partition_point(|run| run.first <= next);
        let mut runs = self.runs.get(behind.saturating_sub(1)..).unwrap_or_default().to_vec();
        if let Some(first) = runs.first_mut() {
            first.first = first.first.max(next);
        }
        runs
    }

    /// Membership entries and their payloads.
    pub fn configs(&self) -> &[(Index, Vec<u8>)] {
        &self.configs
    }

    /// Number of frames with valid entries.
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// The term of the entry at `index`.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index > self.last.index {
            return None;
        }
        let behind = self.runs.partition_point(|run| run.first <= index);
        self.runs.get(behind.checked_sub(1)?).map(|run| run.term)
    }

    /// The frame that holds `index`.
    pub fn frame_of(&self, index: Index) -> Option<FrameRef> {
        let behind = self.frames.partition_point(|frame| frame.first <= index);
        let frame = self.frames.get(behind.checked_sub(1)?)?;
        (index <= frame.last()).then_some(*frame)
    }

    /// Notes a term that begins at `first`, the index behind the last one.
    pub fn note_term(&mut self, first: Index, term: Term) {
        if self.runs.last().is_none_or(|run| run.term != term) {
            assert!(self.runs.last().is_none_or(|run| run.term < term), "terms of a log rise");
            self.runs.push(Run { first, term });
        }
    }

    /// Notes a membership entry behind those known.
    pub fn note_config(&mut self, index: Index, payload: &[u8]) {
        self.configs.push((index, payload.to_vec()));
    }

    /// Notes a frame that was written or found, whose terms are noted already.
    pub fn note_frame(&mut self, segment: u64, header: &FrameHeader) {
        if header.count == 0 {
            return;
        }
        assert!(
            self.frames.is_empty() || header.first == self.last.index.next(),
            "frames of a log follow each other"
        );
        self.frames.push_back(FrameRef {
            segment,
            offset: header.offset,
            length: header.length,
            first: header.first,
            count: header.count,
        });
        self.last = Position { index: header.last(), term: header.last_term };
    }

    /// Forgets the entries from `first` on.
    pub fn truncate(&mut self, first: Index) {
        while self.frames.pop_back_if(|frame| frame.first >= first).is_some() {}
        if let Some(frame) = self.frames.back_mut()
            && frame.last() >= first
        {
            frame.count = first.since(frame.first) as u32;
        }
        while self.runs.pop_if(|run| run.first >= first).is_some() {}
        while self.configs.pop_if(|(index, _)| *index >= first).is_some() {}
        if self.last.index >= first {
            let term = self.runs.last().map_or(Term(0), |run| run.term);
            self.last = Position { index: first.previous(), term };
        }
    }

    /// Forgets the frames that hold no entry behind `boundary`, and returns the number of the
    /// oldest segment that is still needed.
    pub fn drop_head(&mut self, boundary: Index) -> Option<u64> {
        while let Some(oldest) = self.unread.front() {
            let behind = self.unread.get(1).map(|next| next.first).or(self.first())?;
            if behind > boundary.next() {
                // Further ones before it are there only if something is wrong with them.
                return (oldest.first <= boundary.next()).then_some(oldest.number);
            }
            self.unread.pop_front();
        }
        while self.frames.len() > 1 && self.frames.pop_front_if(|f| f.last() <= boundary).is_some()
        {
        }
        let first = self.first()?;
        let behind = self.runs.partition_point(|run| run.first <= first);
        self.runs.drain(..behind.saturating_sub(1));
        self.frames.front().map(|frame| frame.segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::frame::Digest;

    fn header(first: u64, count: u32, term: u32) -> FrameHeader {
        FrameHeader {
            truncates: false,
            length: count * 40,
            generation: 1,
            offset: first * 4096,
            sequence: first,
            durable_sequence: 0,
            first: Index(first),
            count,
            first_term: Term(term),
            last_term: Term(term),
            previous: 0,
            commit: Index(0),
            digest: Digest::EMPTY,
        }
    }

    fn image(frames: &[(u64, u32, u32)]) -> LogImage {
        let mut image = LogImage::default();
        for (first, count, term) in frames {
            image.note_term(Index(*first), Term(*term));
            image.note_frame(1, &header(*first, *count, *term));
        }
        image
    }

    #[test]
    fn an_index_is_found_in_its_frame_with_its_term() {
        let image = image(&[(1, 3, 1), (4, 1, 2), (5, 10, 2)]);
        let found: Vec<_> = (0..=15)
            .map(|index| {
                let index = Index(index);
                (image.frame_of(index).map(|f| f.first.0), image.term_at(index).map(|t| t.0))
            })
            .collect();
        assert_eq!(found[0], (None, None));
        assert_eq!(found[1..4], [(Some(1), Some(1)); 3]);
        assert_eq!(found[4], (Some(4), Some(2)));
        assert_eq!(found[5..15], [(Some(5), Some(2)); 10]);
        assert_eq!(found[15], (None, None));
    }

    #[test]
    fn truncation_cuts_frames_terms_and_configs() {
        let mut image = image(&[(1, 3, 1), (4, 1, 2), (5, 10, 3)]);
        image.note_config(Index(2), b"a");
        image.note_config(Index(7), b"b");
        image.truncate(Index(9));
        assert_eq!(image.last(), Position { index: Index(8), term: Term(3) });
        assert_eq!(image.frame_of(Index(8)).map(|f| f.count), Some(4));
        image.truncate(Index(3));
        assert_eq!(image.last(), Position { index: Index(2), term: Term(1) });
        assert_eq!(image.configs().len(), 1);
        assert_eq!(image.frame_count(), 1);
        image.truncate(Index(1));
        assert_eq!(image.last(), Position::default());
        assert_eq!((image.frame_count(), image.first()), (0, None));
    }

    #[test]
    fn the_head_goes_frame_by_frame_and_never_the_last_frame() {
        let mut image = image(&[(1, 3, 1), (4, 1, 2), (5, 10, 3)]);
        image.drop_head(Index(3));
        assert_eq!((image.first(), image.term_at(Index(4))), (Some(Index(4)), Some(Term(2))));
        assert_eq!(image.term_at(Index(3)), None);
        image.drop_head(Index(100));
        assert_eq!(image.first(), Some(Index(5)));
    }

    /// Entries 7 to 15 in two frames; segments with 1 to 3 and 4 to 6 in front of them.
    fn behind_unread() -> LogImage {
        let mut image = LogImage::default();
        for (first, count) in [(7, 2), (9, 7)] {
            image.note_term(Index(first), Term(2));
            image.note_frame(3, &header(first, count, 2));
        }
        let unread = [(1, 1), (2, 4)];
        let unread = unread.map(|(number, first)| UnreadSegment {
            number,
            first: Index(first),
            next: (0, 0),
        });
        image.note_unread(unread.into());
        image
    }

    #[test]
    fn unread_segments_are_read_back_from_the_newest_on() {
        let mut image = behind_unread();
        assert_eq!(image.unread_before(Index(9)).map(|unread| unread.number), Some(2));
        assert!(!image.prepend(1, self::image(&[(1, 3, 1)])), "not the newest");
        assert!(!image.prepend(2, self::image(&[(4, 2, 1)])), "a gap");
        assert!(!image.prepend(2, self::image(&[(4, 3, 3)])), "a later term");
        assert!(image.prepend(2, self::image(&[(4, 1, 1), (5, 2, 2)])));
        assert_eq!(
            image.runs(),
            [(4, 1), (5, 2)].map(|(first, term)| Run { first: Index(first), term: Term(term) })
        );
        assert!(image.prepend(1, self::image(&[(1, 3, 1)])));
        assert_eq!((image.first(), image.term_at(Index(4))), (Some(Index(1)), Some(Term(1))));
        assert_eq!(image.frame_of(Index(6)).map(|frame| frame.first), Some(Index(5)));
        assert_eq!(image.unread_before(Index(9)), None);
    }

    #[test]
    fn reading_back_is_for_those_whom_it_helps() {
        let mut image = behind_unread();
        image.note_unread([UnreadSegment { number: 2, first: Index(4), next: (0, 0) }].into());
        assert_eq!(image.unread_before(Index(4)), None, "the entry before it has no known term");
        assert!(image.unread_before(Index(5)).is_some());
        image.give_up_unread();
        assert_eq!(image.unread_before(Index(5)), None);
        assert!(behind_unread().unread_before(Index(1)).is_some(), "all of the log is there");
    }

    #[test]
    fn unread_segments_are_dropped_when_all_their_entries_may_be() {
        let needed = |boundary| behind_unread().drop_head(Index(boundary));
        assert_eq!([2, 3, 5, 6, 8].map(needed), [1, 2, 2, 3, 3].map(Some));
        // What is in front of a segment of no use is kept until that goes.
        let mut image = behind_unread();
        image.note_unread([UnreadSegment { number: 2, first: Index(4), next: (0, 0) }].into());
        assert_eq!(
            [2, 3, 6].map(|boundary| image.drop_head(Index(boundary))),
            [None, Some(2), Some(3)]
        );
    }
}
