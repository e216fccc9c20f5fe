//! Contents of one file: what reads see, what a power loss leaves, and the writes between the two.

use super::options::Atomicity;
use super::page::{Page, bytes_of, edit, merge, surviving_sectors};
use crate::BLOCK;
use crate::sim::tape::Tape;
use crate::sim::trace::{mix, mix_bytes};

const BLOCK_BYTES: u64 = BLOCK as u64;

/// One file.
///
/// `unsynced` is in order of completion and has no block that a later durable write covers. Blocks
/// behind the length are zeros.
#[derive(Clone, Default)]
pub(crate) struct Image {
    blocks: Vec<Block>,
    live_len: u64,
    durable_len: u64,
    unsynced: Vec<Unsynced>,
    next_write: u64,
}

#[derive(Clone, Default)]
struct Block {
    live: Page,
    durable: Page,
    /// What `live` was before its last write, for stale reads.
    previous: Page,
}

/// A block of a completed write that no sync has covered.
#[derive(Clone)]
struct Unsynced {
    write: u64,
    block: u64,
    page: Page,
}

/// How much of a write is safe when it completes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Durability {
    /// None of it before the next sync.
    Volatile,
    /// All of it.
    Durable,
}

/// A version of the contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version {
    /// What a read returns.
    Live,
    /// What a power loss leaves when it takes all it may.
    Durable,
    /// Each block as it was before its last write.
    Previous,
}

impl Image {
    pub(crate) fn len(&self, version: Version) -> u64 {
        match version {
            Version::Live | Version::Previous => self.live_len,
            Version::Durable => self.durable_len,
        }
    }

    /// Number of blocks that are not safe.
    pub(crate) fn unsynced_blocks(&self) -> usize {
        self.unsynced.len()
    }

    /// Fills `target` from `offset` on, up to the length; returns how many bytes that was.
    pub(crate) fn read(&self, version: Version, offset: u64, target: &mut [u8]) -> usize {
        let len = self.len(version).saturating_sub(offset).min(target.len() as u64) as usize;
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let within = (at % BLOCK_BYTES) as usize;
            let count = (BLOCK - within).min(len - done);
            let page = match (self.blocks.get((at / BLOCK_BYTES) as usize), version) {
                (None, _) => &None,
                (Some(block), Version::Live) => &block.live,
                (Some(block), Version::Durable) => &block.durable,
                (Some(block), Version::Previous) => &block.previous,
            };
            target[done..done + count].copy_from_slice(&bytes_of(page)[within..within + count]);
            done += count;
        }
        len
    }

    /// Writes whole blocks at a whole block.
    pub(crate) fn write(&mut self, first: u64, pages: &[Page], durability: Durability) {
        let end = first + pages.len() as u64;
        self.grow(end);
        self.live_len = self.live_len.max(end * BLOCK_BYTES);
        if durability == Durability::Durable {
            self.durable_len = self.durable_len.max(end * BLOCK_BYTES);
            self.unsynced.retain(|entry| entry.block < first || entry.block >= end);
        }
        let write = self.next_write;
        self.next_write += 1;
        for (block, page) in (first..end).zip(pages) {
            let state = &mut self.blocks[block as usize];
            state.previous = std::mem::replace(&mut state.live, page.clone());
            match durability {
                Durability::Durable => state.durable = page.clone(),
                Durability::Volatile => {
                    self.unsynced.push(Unsynced { write, block, page: page.clone() });
                }
            }
        }
    }

    /// Writes the parts of blocks that the tape lets through: all, none, or some sectors.
    pub(crate) fn write_partly(
        &mut self,
        first: u64,
        pages: &[Page],
        tape: &mut Tape,
        atomicity: Atomicity,
    ) {
        let fate = Fate::choose(tape);
        if fate == Fate::Lost {
            return;
        }
        self.grow(first + pages.len() as u64);
        let mut written = pages.to_vec();
        if fate == Fate::Torn {
            for (block, page) in (first..).zip(&mut written) {
                let survivors = surviving_sectors(tape, atomicity);
                *page = merge(&self.blocks[block as usize].live, page, survivors);
            }
        }
        self.write(first, &written, Durability::Volatile);
    }

    /// Writes the sectors that survive of each block, one bit each; nothing is written when none does.
    pub(crate) fn write_sectors(
        &mut self,
        first: u64,
        pages: &[Page],
        survivors: impl Fn(u64) -> u8,
    ) {
        for (block, page) in (0..).zip(pages) {
            let survivors = survivors(block);
            if survivors != 0 {
                self.grow(first + block + 1);
                let old = &self.blocks[(first + block) as usize].live;
                let merged = merge(old, page, survivors);
                self.write(first + block, &[merged], Durability::Volatile);
            }
        }
    }

    /// The unsynced writes in order of completion, and how many blocks of each are undecided.
    pub(crate) fn unsynced_writes(&self) -> Vec<(u64, usize)> {
        let mut writes: Vec<(u64, usize)> = Vec::new();
        for entry in &self.unsynced {
            match writes.last_mut() {
                Some((write, blocks)) if *write == entry.write => *blocks += 1,
                _ => writes.push((entry.write, 1)),
            }
        }
        writes
    }

    /// Folds everything that reads, now or after a power loss, can tell into a hash.
    pub(crate) fn fold(&self, mut hash: u64) -> u64 {
        hash = mix(mix(hash, self.live_len), self.durable_len);
        for (block, state) in self.blocks.iter().enumerate() {
            hash = fold_page(hash, block, &state.live);
            if !self.unsynced.is_empty() {
                hash = fold_page(hash, block, &state.durable);
            }
        }
        let unsynced = self.unsynced.iter();
        unsynced.fold(hash, |hash, entry| fold_page(hash, entry.block as usize, &entry.page))
    }

    /// Names the writes completed so far, for [`sync`](Self::sync).
    pub(crate) fn sync_mark(&self) -> u64 {
        self.next_write
    }

    /// Makes the writes before `mark` durable.
    pub(crate) fn sync(&mut self, mark: u64) {
        for entry in self.take_before(mark) {
            self.blocks[entry.block as usize].durable = entry.page;
            self.durable_len = self.durable_len.max((entry.block + 1) * BLOCK_BYTES);
        }
    }

    /// Forgets the writes before `mark`: a failed sync. When `reverted`, reads see it at once,
    /// otherwise only after a power loss.
    pub(crate) fn lose(&mut self, mark: u64, reverted: bool) {
        for entry in self.take_before(mark) {
            let state = &mut self.blocks[entry.block as usize];
            if reverted && state.live == entry.page {
                state.live = state.durable.clone();
            }
        }
    }

    /// What is left when the power goes: of each unsynced write any subset of its sectors.
    ///
    /// Writes are taken in order of completion; as each may be lost, every version of a sector that
    /// another order could leave is among the results.
    pub(crate) fn lose_power(&mut self, tape: &mut Tape, atomicity: Atomicity) {
        let mut current = None;
        self.settle(|write, _| {
            let fate = match current {
                Some((known, fate)) if known == write => fate,
                _ => Fate::choose(tape),
            };
            current = Some((write, fate));
            match fate {
                Fate::Kept => u8::MAX,
                Fate::Lost => 0,
                Fate::Torn => surviving_sectors(tape, atomicity),
            }
        });
    }

    /// Decides the unsynced writes in order of completion: `survivors` says of each block, counted
    /// within what is undecided of its write, which sectors are on the medium, one bit each.
    pub(crate) fn settle(&mut self, mut survivors: impl FnMut(u64, u64) -> u8) {
        let (mut write, mut block) = (None, 0);
        for entry in std::mem::take(&mut self.unsynced) {
            block = if write == Some(entry.write) { block + 1 } else { 0 };
            write = Some(entry.write);
            let survivors = survivors(entry.write, block);
            if survivors != 0 {
                let state = &mut self.blocks[entry.block as usize];
                state.durable = merge(&state.durable, &entry.page, survivors);
                self.durable_len = self.durable_len.max((entry.block + 1) * BLOCK_BYTES);
            }
        }
        self.live_len = self.durable_len;
        self.blocks.truncate(self.durable_len.div_ceil(BLOCK_BYTES) as usize);
        for block in &mut self.blocks {
            block.live = block.durable.clone();
            block.previous = block.durable.clone();
        }
    }

    /// Overwrites bytes of all versions, without regard to blocks; grows the file if need be.
    pub(crate) fn damage(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        self.grow(end.div_ceil(BLOCK_BYTES));
        self.live_len = self.live_len.max(end);
        self.durable_len = self.durable_len.max(end);
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let within = (at % BLOCK_BYTES) as usize;
            let count = (BLOCK - within).min(bytes.len() - done);
            let part = &bytes[done..done + count];
            let block = at / BLOCK_BYTES;
            let apply =
                |page: &mut Page| edit(page, |b| b[within..within + count].copy_from_slice(part));
            let state = &mut self.blocks[block as usize];
            apply(&mut state.live);
            apply(&mut state.durable);
            self.unsynced.iter_mut().filter(|e| e.block == block).for_each(|e| apply(&mut e.page));
            done += count;
        }
    }

    /// Cuts all versions of the file.
    pub(crate) fn truncate(&mut self, len: u64) {
        if len < self.live_len {
            let zeros = vec![0; (self.live_len - len).min(BLOCK_BYTES) as usize];
            self.damage(len, &zeros);
        }
        self.live_len = self.live_len.min(len);
        self.durable_len = self.durable_len.min(len);
        self.blocks.truncate(len.div_ceil(BLOCK_BYTES) as usize);
        let blocks = self.blocks.len() as u64;
        self.unsynced.retain(|entry| entry.block < blocks);
    }

    fn grow(&mut self, blocks: u64) {
        if self.blocks.len() < blocks as usize {
            self.blocks.resize(blocks as usize, Block::default());
        }
    }

    fn take_before(&mut self, mark: u64) -> Vec<Unsynced> {
        let count = self.unsynced.partition_point(|entry| entry.write < mark);
        let newer = self.unsynced.split_off(count);
        std::mem::replace(&mut self.unsynced, newer)
    }
}

fn fold_page(hash: u64, block: usize, page: &Page) -> u64 {
    match page {
        None => hash,
        Some(bytes) => mix_bytes(mix(hash, block as u64), &**bytes),
    }
}

/// What becomes of an unfinished or unsynced write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Kept,
    Lost,
    Torn,
}

impl Fate {
    fn choose(tape: &mut Tape) -> Fate {
        match tape.choose("disk.fate", 4) {
            0 => Fate::Kept,
            1 => Fate::Lost,
            _ => Fate::Torn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::page_of;
    use super::*;

    fn page(fill: u8) -> Page {
        page_of(&[fill; BLOCK])
    }

    fn first_bytes(image: &Image, version: Version) -> Vec<u8> {
        let len = image.len(version) as usize;
        let mut bytes = vec![0xee; len];
        assert_eq!(image.read(version, 0, &mut bytes), len);
        bytes.chunks(BLOCK).map(|block| block[0]).collect()
    }

    #[test]
    fn sync_covers_what_completed_before_it_began() {
        let mut image = Image::default();
        image.write(0, &[page(1), page(2)], Durability::Volatile);
        let mark = image.sync_mark();
        image.write(1, &[page(3), page(4)], Durability::Volatile);
        image.sync(mark);
        assert_eq!(first_bytes(&image, Version::Live), [1, 3, 4]);
        assert_eq!(first_bytes(&image, Version::Durable), [1, 2]);
        assert_eq!(image.unsynced_blocks(), 2);
    }

    #[test]
    fn a_durable_write_outlives_older_unsynced_ones() {
        for seed in 0..50 {
            let mut image = Image::default();
            image.write(0, &[page(1), page(2)], Durability::Volatile);
            image.write(0, &[page(9)], Durability::Durable);
            image.lose_power(&mut Tape::from_seed(seed), Atomicity::Sector512);
            assert_eq!(first_bytes(&image, Version::Live)[0], 9);
        }
    }

    #[test]
    fn power_loss_leaves_every_subset_of_sectors() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..2000 {
            let mut image = Image::default();
            image.write(0, &[page(1)], Durability::Durable);
            image.write(0, &[page(2)], Durability::Volatile);
            image.write(0, &[page(3)], Durability::Volatile);
            image.lose_power(&mut Tape::from_seed(seed), Atomicity::Sector512);
            let mut bytes = [0; BLOCK];
            image.read(Version::Live, 0, &mut bytes);
            assert!(bytes.chunks(512).all(|sector| sector.iter().all(|b| *b == sector[0])));
            seen.insert([bytes[0], bytes[512]]);
        }
        let pairs = (1..=3).flat_map(|a| (1..=3).map(move |b| [a, b]));
        assert_eq!(seen, pairs.collect());
    }

    #[test]
    fn whole_blocks_do_not_tear() {
        for seed in 0..200 {
            let mut image = Image::default();
            image.write(0, &[page(1), page(2)], Durability::Volatile);
            image.lose_power(&mut Tape::from_seed(seed), Atomicity::Block4096);
            let mut bytes = [0; 2 * BLOCK];
            let len = image.read(Version::Live, 0, &mut bytes);
            assert!(bytes[..len].chunks(BLOCK).all(|block| block.iter().all(|b| *b == block[0])));
        }
    }

    #[test]
    fn a_failed_sync_loses_data_and_the_next_one_does_not_bring_it_back() {
        for reverted in [false, true] {
            let mut image = Image::default();
            image.write(0, &[page(1)], Durability::Durable);
            image.write(0, &[page(2)], Durability::Volatile);
            image.lose(image.sync_mark(), reverted);
            assert_eq!(first_bytes(&image, Version::Live), [if reverted { 1 } else { 2 }]);
            image.sync(image.sync_mark());
            assert_eq!(first_bytes(&image, Version::Durable), [1]);
        }
    }

    #[test]
    fn damage_and_truncate_reach_all_versions() {
        let mut image = Image::default();
        image.write(0, &[page(1), page(1)], Durability::Durable);
        image.write(1, &[page(2)], Durability::Volatile);
        image.damage(BLOCK_BYTES - 1, &[7, 8]);
        let mut bytes = [0; 4];
        image.read(Version::Live, BLOCK_BYTES - 2, &mut bytes);
        assert_eq!(bytes, [1, 7, 8, 2]);
        image.read(Version::Durable, BLOCK_BYTES - 2, &mut bytes);
        assert_eq!(bytes, [1, 7, 8, 1]);
        image.truncate(10);
        image.write(1, &[page(5)], Durability::Durable);
        image.read(Version::Live, 8, &mut bytes);
        assert_eq!(bytes, [1, 1, 0, 0]);
        assert_eq!(first_bytes(&image, Version::Durable), [1, 5]);
    }
}
