//! Damage to what is stored.

use raft_host::hard_state::newest;
use raft_host::log::recovery::{Fed, Recovered, Recovery};
use raft_host::log::segment::{BLOCK, Identity, segment_name, segment_number};
use runtime::sim::{DiskHandle, NodeKey};
use server::group_options;
use server::identity;

use super::class::FaultClass;
use super::storm::{Scene, Storm};

/// Block size of the files, in bits.
const BLOCK_BITS: u64 = BLOCK as u64 * 8;
/// No frame is longer.
const FRAME_BYTES_MAX: u64 = 1 << 20;

impl Storm {
    /// Damages what is stored. What it did, if it could.
    pub(super) fn strike_stored(
        &mut self,
        class: FaultClass,
        scene: &mut Scene<'_>,
    ) -> Option<String> {
        let number = self.victim(scene);
        let world = scene.world;
        let group = world.choose("storm.disk.group", u64::from(self.plan.groups)) as i32;
        let key = scene.cluster.servers.get(number)?.key;
        let disk = world.disk(key);
        let dir = group_options::directory(group);
        let (path, bits) = match class {
            FaultClass::FlipIdentity => ("identity".to_owned(), 0..BLOCK_BITS),
            FaultClass::FlipHardState => (format!("{dir}/hard-state"), 0..2 * BLOCK_BITS),
            FaultClass::FlipSnapshot => snapshot(scene, key, &format!("{dir}/snapshot/"))?,
            FaultClass::FlipTail => marked_tail(&disk, group)?,
            _ => self.settled_part(scene, key, &format!("{dir}/log"))?,
        };
        let bit = bits.start + world.choose("storm.disk.bit", bits.end - bits.start);
        if !disk.flip_bit(&path, bit) {
            return None;
        }
        scene.cluster.servers.get_mut(number)?.excuses.damage = true;
        Some(format!("{key}: bit {bit} of {path}"))
    }

    /// A log file and those of its bits that are surely followed by later frames. Of the last frame
    /// nobody can say whether it was damaged or never written, unless it was noted.
    fn settled_part(
        &self,
        scene: &Scene<'_>,
        key: NodeKey,
        dir: &str,
    ) -> Option<(String, std::ops::Range<u64>)> {
        let disk = scene.world.disk(key);
        let paths: Vec<_> = disk.paths().into_iter().filter(|path| path.starts_with(dir)).collect();
        let used = |path: &String| {
            let bytes = disk.read(path).unwrap_or_default();
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            // Behind the header, or the file has never been written to.
            if end > BLOCK { end } else { 0 }
        };
        let ends: Vec<usize> = paths.iter().map(used).collect();
        let margin = (3 * self.plan.server.batch_kib as usize + 8) << 10;
        let chosen = scene.world.choose("storm.disk.file", paths.len().max(1) as u64) as usize;
        let behind: usize = ends.iter().skip(chosen + 1).sum();
        let settled = ends.get(chosen)?.saturating_sub(margin.saturating_sub(behind));
        (settled > 0)
            .then(|| (paths.get(chosen).cloned().unwrap_or_default(), 0..settled as u64 * 8))
    }
}

/// A snapshot and all its bits.
fn snapshot(scene: &Scene<'_>, key: NodeKey, dir: &str) -> Option<(String, std::ops::Range<u64>)> {
    let disk = scene.world.disk(key);
    let paths: Vec<_> = disk.paths().into_iter().filter(|path| path.starts_with(dir)).collect();
    let chosen = scene.world.choose("storm.disk.file", paths.len().max(1) as u64) as usize;
    let path = paths.get(chosen)?.clone();
    let bits = disk.read(&path)?.len() as u64 * 8;
    (bits > 0).then_some((path, 0..bits))
}

/// The last block of the log's last frame, if the hard state says that it is durable: then its loss
/// is damage, and nothing else.
fn marked_tail(disk: &DiskHandle, group: i32) -> Option<(String, std::ops::Range<u64>)> {
    let node = identity::decode(&disk.read_durable("identity")?)?;
    let owner = Identity { cluster: node.cluster_hash(), group: raft_core::GroupId(group) };
    let dir = group_options::directory(group);
    let state = newest(owner, &disk.read_durable(&format!("{dir}/hard-state"))?).ok()?.state;
    let recovered = recover(disk, owner, &dir, state.durable_sequence)?;
    let (segment, end) = recovered.end;
    let is_marked = recovered.next_sequence == state.durable_sequence + 1;
    let block = BLOCK as u64;
    (is_marked && end > block).then(|| {
        let path = format!("{dir}/log/{}", segment_name(segment));
        (path, (end - block) * 8..end * 8)
    })
}

/// Reads a log that is whole, as a restart would.
fn recover(disk: &DiskHandle, owner: Identity, dir: &str, mark: u64) -> Option<Recovered> {
    let mut recovery = Recovery::new(owner, mark, FRAME_BYTES_MAX);
    let prefix = format!("{dir}/log/");
    let paths = disk.paths().into_iter();
    let mut numbers: Vec<u64> =
        paths.filter_map(|path| segment_number(path.strip_prefix(&prefix)?)).collect();
    numbers.sort_unstable();
    for number in numbers {
        let bytes = disk.read_durable(&format!("{prefix}{}", segment_name(number)))?;
        recovery.begin_segment(number, bytes.len() as u64, bytes.get(..BLOCK)?).ok()?;
        let mut rest = bytes.get(BLOCK..).unwrap_or_default();
        while !rest.is_empty() {
            let consumed = match recovery.feed(rest).ok()? {
                Fed::Frame { size, .. } | Fed::Nothing(size) => size,
                Fed::More(_) | Fed::Rest => rest.len(),
            };
            rest = rest.get(consumed..).unwrap_or_default();
        }
    }
    recovery.finish().ok().filter(|recovered| recovered.torn.is_none())
}
