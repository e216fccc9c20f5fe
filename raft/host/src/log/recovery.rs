//! What the bytes of a log say after a restart, without any I/O.
//!
//! The caller feeds every segment in order: [`Recovery::begin_segment`], then the bytes behind the
//! header in pieces of any size. The frames form a chain: each names its sequence number and the
//! checksum of the one before. Where the chain stops, two things are told apart:
//!
//! * **Torn tail.** Nobody says that the missing frame was durable: it was never acknowledged. The
//!   log ends there; what is left of it is reported.
//! * **Damage.** A later frame or the hard state says that it was durable. Recovery fails; nothing
//!   is cut and nothing behind is used.
//!
//! A frame is made while at most the frames behind its durable sequence are unfinished, so every
//! intact frame is a witness for those up to its durable sequence. A frame begins where the one before
//! ends, and at most two are under way, so the first witness is no further away than two of the longest
//! frames: that far recovery looks behind the stop and into each later segment.

use std::collections::VecDeque;

use planted::{Bug, is_on};
use raft_core::entry::{Record, RecordFault, RecordSeed};
use raft_core::{EntryKind, Index, Position};

use super::frame::{
    BadRecord, BadRecordFault, FRAME_HEADER, FrameFault, FrameHeader, Place, Verified,
    verify_records,
};
use super::image::LogImage;
use super::segment::{BLOCK, Identity, SegmentFault, SegmentHeader};
use super::writer::WRITES_MAX;

/// A recovery in progress.
pub struct Recovery {
    identity: Identity,
    seed: RecordSeed,
    /// Frames up to this one were acknowledged, says the hard state.
    durable_mark: u64,
    /// Bytes of the longest frames that can be under way together.
    witness_bytes_max: u64,
    image: LogImage,
    next_sequence: u64,
    previous: u32,
    commit: Index,
    time_ms: u64,
    segment: Option<SegmentHeader>,
    /// Where the bytes that are fed next lie in the segment.
    offset: u64,
    /// Where the look for witnesses began in this segment.
    looks_from: u64,
    /// Where the chain stopped, as long as no later segment has gone on with it.
    stop: Option<Stop>,
    /// Segment and offset behind the last frame of the chain.
    end: (u64, u64),
    /// Sequence, segment and offset of the last frames, of which no later one says that they were
    /// durable.
    unproven: VecDeque<(u64, u64, u64)>,
}

/// Where the chain of frames stopped.
#[derive(Clone, Copy, Debug)]
struct Stop {
    segment: u64,
    offset: u64,
    fault: StopFault,
    /// Last index of the frame there, as far as its header is intact.
    last: Option<Index>,
}

#[derive(Clone, Copy, Debug)]
enum StopFault {
    /// Nothing that looks like the next frame.
    Nothing,
    /// A header that was meant to be the next one.
    Header,
    /// An intact header with a damaged record.
    Record(BadRecord),
    /// The segment is full.
    Full,
}

/// What became of the bytes that were fed.
#[derive(Debug)]
pub enum Fed<'a> {
    /// The next frame, of `size` bytes, which are consumed.
    Frame {
        /// Its header.
        header: FrameHeader,
        /// Its verified records.
        records: &'a [u8],
        /// Bytes to go on behind.
        size: usize,
    },
    /// This many bytes are consumed and hold no frame.
    Nothing(usize),
    /// At least this many bytes are needed from here on.
    More(usize),
    /// The rest of the segment cannot matter.
    Rest,
}

/// The log of a group after recovery.
#[derive(Debug)]
pub struct Recovered {
    /// What is in it.
    pub image: LogImage,
    /// Number of the segment in which the next frame may begin, and where.
    pub end: (u64, u64),
    /// Offset in that segment from which on nothing says that the frames are durable: they can be
    /// read, and a power failure may still take them away.
    pub unproven_from: u64,
    /// Sequence number of the next frame.
    pub next_sequence: u64,
    /// Checksum of the last frame's header.
    pub previous: u32,
    /// Entries up to this one are committed, at least.
    pub commit: Index,
    /// Time of the newest entry.
    pub time_ms: u64,
    /// A frame that was cut because it was not completely written.
    pub torn: Option<Torn>,
}

/// A frame that was under way when the node died and that nobody was told about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    /// Number of the segment.
    pub segment: u64,
    /// Offset of the frame in it.
    pub offset: u64,
    /// Index that its first entry would have had.
    pub first: Index,
    /// Index of its last entry, if its header is intact.
    pub last: Option<Index>,
}

/// Why a log cannot be used. Nothing has been changed on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Number of the segment.
    pub segment: u64,
    /// Offset in its file.
    pub offset: u64,
    /// First entry that is lost with it, where that can be said.
    pub index: Option<Index>,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DamageKind {
    /// The first block of a segment.
    Segment(SegmentFault),
    /// The header is intact but says another number or size than the file has.
    Misplaced,
    /// The file of this number is missing.
    Missing,
    /// A frame that was durable is damaged or missing.
    Frame,
    /// A record of a frame that was durable is damaged.
    Record(BadRecordFault),
    /// An intact frame that contradicts the ones before it.
    Contradiction,
    /// Intact, but written by a newer version of the program.
    Newer,
}

impl std::fmt::Display for DamageKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DamageKind::Segment(fault) => fault.fmt(formatter),
            DamageKind::Misplaced => formatter.write_str("segment is not the one its name says"),
            DamageKind::Missing => formatter.write_str("segment file is missing"),
            DamageKind::Frame => formatter.write_str("acknowledged frame is damaged or missing"),
            DamageKind::Record(fault) => write!(formatter, "acknowledged {fault}"),
            DamageKind::Contradiction => formatter.write_str("frame contradicts those before it"),
            DamageKind::Newer => formatter.write_str("written by a newer version of this program"),
        }
    }
}

impl Recovery {
    /// Starts a recovery. `durable_mark` is the sequence number of a frame that is known to have
    /// been durable, zero if none is; no frame is longer than `frame_bytes_max`.
    pub fn new(identity: Identity, durable_mark: u64, frame_bytes_max: u64) -> Recovery {
        Recovery {
            identity,
            seed: identity.seed(),
            durable_mark,
            witness_bytes_max: frame_bytes_max * WRITES_MAX as u64,
            looks_from: 0,
            image: LogImage::default(),
            next_sequence: 0,
            previous: 0,
            commit: Index::ZERO,
            time_ms: 0,
            segment: None,
            offset: 0,
            stop: None,
            end: (0, 0),
            unproven: VecDeque::new(),
        }
    }

    /// The next segment: its number by name, the file's size and its first block.
    pub fn begin_segment(
        &mut self,
        number: u64,
        size: u64,
        block: &[u8],
    ) -> Result<SegmentHeader, Damage> {
        let bad = |kind| Damage { segment: number, offset: 0, index: None, kind };
        if let Some(before) = &self.segment {
            self.pause(before.number, before.size);
            let expected = self.segment.map_or(0, |before| before.number + 1);
            if number != expected {
                return Err(Damage { segment: expected, ..bad(DamageKind::Missing) });
            }
        }
        let header = SegmentHeader::read(self.identity, block).map_err(|fault| match fault {
            SegmentFault::Version(_) => bad(DamageKind::Newer),
            fault => bad(DamageKind::Segment(fault)),
        })?;
        if header.number != number || header.size != size {
            return Err(bad(DamageKind::Misplaced));
        }
        if self.segment.is_none() {
            self.end = (number, BLOCK as u64);
            if number == 1 {
                self.next_sequence = 1;
            }
        }
        self.segment = Some(header);
        self.offset = BLOCK as u64;
        self.looks_from = self.offset;
        Ok(header)
    }

    /// The bytes of the current segment that follow what was consumed, at least a block. Call it
    /// again with the rest until [`Fed::More`] asks for more than there is.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Result<Fed<'a>, Damage> {
        let Some(segment) = self.segment else { return Ok(Fed::Nothing(bytes.len())) };
        if bytes.len() < BLOCK {
            return Ok(Fed::More(BLOCK));
        }
        let place = Place { generation: segment.generation, offset: self.offset };
        // Behind a stop only the first frame of a later segment can go on with the chain.
        let may_go_on = self
            .stop
            .is_none_or(|stop| stop.segment != segment.number && self.offset == BLOCK as u64);
        if may_go_on {
            match self.next_frame(&segment, place, bytes)? {
                Next::Frame(link) => return Ok(self.take(&segment, link, bytes)),
                Next::More(size) => return Ok(Fed::More(size)),
                Next::Stop(stop) => self.stop_at(stop),
            }
        }
        if self.offset - self.looks_from > self.witness_bytes_max + BLOCK as u64 {
            return Ok(Fed::Rest);
        }
        self.look_for_witness(place, bytes)?;
        self.offset += BLOCK as u64;
        Ok(Fed::Nothing(BLOCK))
    }

    /// The result, once all segments were fed to their ends or [`Fed::Rest`].
    pub fn finish(mut self) -> Result<Recovered, Damage> {
        if let Some(last) = self.segment {
            self.pause(last.number, last.size);
        }
        if let Some(stop) = self.stop
            && (self.durable_mark >= self.next_sequence || self.next_sequence == 0)
            && !is_on(Bug::DurableMarkIgnored)
            && !is_on(Bug::DamageTakenForTorn)
        {
            return Err(self.damage_at(stop));
        }
        if self.segment.is_none() && self.durable_mark > 0 {
            let kind = DamageKind::Missing;
            return Err(Damage { segment: 1, offset: 0, index: None, kind });
        }
        let first = self.image.last().index.next();
        let torn = self.stop.and_then(|stop| match stop.fault {
            StopFault::Nothing | StopFault::Full => None,
            StopFault::Header | StopFault::Record(_) => {
                Some(Torn { segment: stop.segment, offset: stop.offset, first, last: stop.last })
            }
        });
        let in_last = self.unproven.iter().find(|(_, segment, _)| *segment == self.end.0);
        Ok(Recovered {
            unproven_from: in_last.map_or(self.end.1, |(_, _, offset)| *offset),
            image: self.image,
            end: self.end,
            next_sequence: self.next_sequence.max(1),
            previous: self.previous,
            commit: self.commit,
            time_ms: self.time_ms,
            torn,
        })
    }

    /// Entries up to here are committed, as far as the frames so far say.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// The log so far.
    pub fn image(&self) -> &LogImage {
        &self.image
    }

    /// The end of a segment without a stop is a stop, too: it may be that frames are missing.
    fn pause(&mut self, number: u64, size: u64) {
        let stop = Stop { segment: number, offset: size, fault: StopFault::Full, last: None };
        self.stop_at(stop);
    }

    /// Where the chain stops is told by the first stop that shows a trace of the next frame.
    fn stop_at(&mut self, stop: Stop) {
        let known = self.stop.get_or_insert(stop);
        let is_trace = |fault| matches!(fault, StopFault::Header | StopFault::Record(_));
        if is_trace(stop.fault) && !is_trace(known.fault) {
            *known = stop;
        }
    }

    fn next_frame(
        &self,
        segment: &SegmentHeader,
        place: Place,
        bytes: &[u8],
    ) -> Result<Next, Damage> {
        let stop = |fault, last| {
            Next::Stop(Stop { segment: segment.number, offset: place.offset, fault, last })
        };
        let (header, checksum) = match FrameHeader::read(self.seed, place, bytes) {
            Ok(found) => found,
            Err(FrameFault::Version(_)) => return Err(self.newer(segment, place)),
            Err(FrameFault::Stale | FrameFault::Cut) => return Ok(stop(StopFault::Nothing, None)),
            Err(FrameFault::Invalid) => {
                let ours = FrameHeader::resembles(place, self.next_sequence, self.previous, bytes);
                let fault = if ours { StopFault::Header } else { StopFault::Nothing };
                return Ok(stop(fault, None));
            }
        };
        if !self.continues(&header) {
            return Ok(stop(StopFault::Nothing, None));
        }
        if place.offset + header.size() as u64 > segment.size {
            return Err(self.contradiction(segment, place));
        }
        let Some(frame) = bytes.get(..header.size()) else { return Ok(Next::More(header.size())) };
        let records = frame.get(FRAME_HEADER..FRAME_HEADER + header.length as usize);
        match verify_records(self.seed, &header, records.unwrap_or_default()) {
            Ok(verified) if self.agrees(&header) => {
                Ok(Next::Frame(Link { header, checksum, verified }))
            }
            Ok(_) => Err(self.contradiction(segment, place)),
            Err(BadRecord {
                fault: BadRecordFault::Record(RecordFault::Kind(_) | RecordFault::Version(_)),
                ..
            }) => Err(self.newer(segment, place)),
            Err(bad) => Ok(stop(StopFault::Record(bad), Some(header.last()))),
        }
    }

    /// Whether the header is the next link of the chain. The first frame of a log whose head was
    /// dropped may have any place in it.
    fn continues(&self, header: &FrameHeader) -> bool {
        let sequence_fits = header.sequence == self.next_sequence
            && header.previous == self.previous
            || self.next_sequence == 0;
        sequence_fits && header.durable_sequence < header.sequence
    }

    /// Whether an intact next frame goes on where the entries so far end.
    fn agrees(&self, header: &FrameHeader) -> bool {
        if self.next_sequence == 0 {
            return header.first > Index::ZERO;
        }
        let next = self.image.last().index.next();
        if header.truncates {
            // Further ahead: the log begins anew behind a snapshot.
            return header.first > self.commit;
        }
        header.first == next && (header.count == 0 || header.first_term >= self.image.last().term)
    }

    fn take<'a>(&mut self, segment: &SegmentHeader, link: Link, bytes: &'a [u8]) -> Fed<'a> {
        let header = link.header;
        let records = &bytes[FRAME_HEADER..FRAME_HEADER + header.length as usize];
        if self.next_sequence == 0 {
            self.begin_anew(&header);
        }
        if header.truncates && header.first > self.image.last().index.next() {
            self.begin_anew(&header);
        } else if header.truncates {
            self.image.truncate(header.first);
        }
        if link.verified.has_config || header.first_term != header.last_term {
            self.note_records(records);
        } else if header.count > 0 {
            self.image.note_term(header.first, header.first_term);
        }
        self.time_ms = self.time_ms.max(link.verified.time_ms);
        self.image.note_frame(segment.number, &header);
        self.stop = None;
        self.unproven.retain(|(sequence, ..)| *sequence > header.durable_sequence);
        self.unproven.push_back((header.sequence, segment.number, self.offset));
        self.previous = link.checksum;
        self.next_sequence = header.sequence + 1;
        self.commit = self.commit.max(header.commit);
        self.offset += header.size() as u64;
        self.looks_from = self.offset;
        self.end = (segment.number, self.offset);
        Fed::Frame { header, records, size: header.size() }
    }

    fn begin_anew(&mut self, header: &FrameHeader) {
        let boundary = Position { index: header.first.previous(), ..Position::default() };
        self.image = LogImage::behind(boundary);
    }

    /// Notes terms and memberships of verified records.
    fn note_records(&mut self, records: &[u8]) {
        let mut position = 0;
        while let Some(rest) = records.get(position..)
            && let Ok(record) = Record::read_verified(rest)
        {
            self.image.note_term(record.head.index, record.head.term);
            if record.head.kind == EntryKind::Config && !is_on(Bug::MembersForgotten) {
                self.image.note_config(record.head.index, record.payload);
            }
            position += record.size();
        }
    }

    /// Fails when the block holds an intact frame that was made after the missing one was durable.
    fn look_for_witness(&self, place: Place, block: &[u8]) -> Result<(), Damage> {
        let Some(stop) = self.stop else { return Ok(()) };
        if is_on(Bug::DamageTakenForTorn) {
            return Ok(());
        }
        match FrameHeader::read(self.seed, place, block) {
            Ok((header, _)) if header.durable_sequence >= self.next_sequence => {
                Err(self.damage_at(stop))
            }
            _ => Ok(()),
        }
    }

    fn damage_at(&self, stop: Stop) -> Damage {
        let next = (self.next_sequence > 0).then(|| self.image.last().index.next());
        let (segment, offset) = (stop.segment, stop.offset);
        match stop.fault {
            StopFault::Record(bad) => Damage {
                segment,
                offset: offset + (FRAME_HEADER + bad.position) as u64,
                index: Some(bad.index),
                kind: DamageKind::Record(bad.fault),
            },
            _ => Damage { segment, offset, index: next, kind: DamageKind::Frame },
        }
    }

    fn newer(&self, segment: &SegmentHeader, place: Place) -> Damage {
        let index = Some(self.image.last().index.next());
        let kind = DamageKind::Newer;
        Damage { segment: segment.number, offset: place.offset, index, kind }
    }

    fn contradiction(&self, segment: &SegmentHeader, place: Place) -> Damage {
        Damage { kind: DamageKind::Contradiction, ..self.newer(segment, place) }
    }
}

enum Next {
    Frame(Link),
    More(usize),
    Stop(Stop),
}

/// An intact frame that goes on with the chain.
struct Link {
    header: FrameHeader,
    checksum: u32,
    verified: Verified,
}
