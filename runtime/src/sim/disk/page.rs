//! Blocks of file contents, shared between the versions of a file that have them.

use std::rc::Rc;

use super::options::Atomicity;
use crate::BLOCK;
use crate::sim::tape::Tape;

/// One block; all zeros take no memory, so that zero-filled files are cheap.
pub(crate) type Page = Option<Rc<[u8; BLOCK]>>;

static ZEROS: [u8; BLOCK] = [0; BLOCK];
const SECTOR: usize = 512;

pub(crate) fn bytes_of(page: &Page) -> &[u8; BLOCK] {
    match page {
        Some(bytes) => bytes,
        None => &ZEROS,
    }
}

/// The pages that hold `data`, which has whole blocks.
pub(crate) fn pages_of(data: &[u8]) -> Vec<Page> {
    let (blocks, rest) = data.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "files are written in whole blocks");
    blocks.iter().map(page_of).collect()
}

pub(crate) fn page_of(block: &[u8; BLOCK]) -> Page {
    if *block == ZEROS { None } else { Some(Rc::new(*block)) }
}

/// Changes a page by way of its bytes.
pub(crate) fn edit(page: &mut Page, change: impl FnOnce(&mut [u8; BLOCK])) {
    let mut bytes = *bytes_of(page);
    change(&mut bytes);
    *page = page_of(&bytes);
}

/// Which of the eight sectors of a block made it, one bit each; 0 on the tape means all.
pub(crate) fn surviving_sectors(tape: &mut Tape, atomicity: Atomicity) -> u8 {
    match atomicity {
        Atomicity::Block4096 => match tape.choose("disk.torn.block", 2) {
            0 => u8::MAX,
            _ => 0,
        },
        Atomicity::Sector512 => !(tape.choose("disk.torn.sectors", 256) as u8),
    }
}

/// `old` with those sectors of `new` that survived.
pub(crate) fn merge(old: &Page, new: &Page, survivors: u8) -> Page {
    match survivors {
        0 => old.clone(),
        u8::MAX => new.clone(),
        _ => {
            let mut merged = *bytes_of(old);
            let (sectors, _) = merged.as_chunks_mut::<SECTOR>();
            let (new, _) = bytes_of(new).as_chunks::<SECTOR>();
            for (position, (sector, replacement)) in sectors.iter_mut().zip(new).enumerate() {
                if survivors & (1 << position) != 0 {
                    *sector = *replacement;
                }
            }
            page_of(&merged)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_takes_whole_sectors() {
        let old = page_of(&[1; BLOCK]);
        let new = page_of(&[2; BLOCK]);
        let merged = merge(&old, &new, 0b1000_0001);
        let bytes = bytes_of(&merged);
        assert!(bytes[..SECTOR].iter().all(|byte| *byte == 2));
        assert!(bytes[SECTOR..7 * SECTOR].iter().all(|byte| *byte == 1));
        assert!(bytes[7 * SECTOR..].iter().all(|byte| *byte == 2));
        assert_eq!(merge(&old, &None, u8::MAX), None);
        assert_eq!(pages_of(&[0; 2 * BLOCK]), [None, None]);
    }
}
