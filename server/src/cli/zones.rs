//! Which zones a group can lose as a whole.

use std::collections::BTreeMap;

use super::survey::majority;

/// For each zone that is known, whether a majority of each set of members follows without it.
pub(super) fn losable(
    sets: &[&[u32]],
    following: &[u32],
    zones: &BTreeMap<u32, String>,
) -> BTreeMap<String, bool> {
    let goes_on_without = |zone: &String| {
        sets.iter().filter(|members| !members.is_empty()).all(|members| {
            let stays = |node: &&u32| following.contains(node) && zones.get(node) != Some(zone);
            members.iter().filter(stays).count() >= majority(members.len())
        })
    };
    zones.values().map(|zone| (zone.clone(), goes_on_without(zone))).collect()
}

/// The same for people; nothing where no node says where it stands.
pub(super) fn sentence(losable: &BTreeMap<String, bool>) -> Option<String> {
    let names = |wanted: bool| {
        let of = losable.iter().filter(|(_, can)| **can == wanted);
        of.map(|(zone, _)| zone.as_str()).collect::<Vec<_>>().join(", ")
    };
    match (names(true), names(false)) {
        _ if losable.is_empty() => None,
        (can, cannot) if cannot.is_empty() => Some(format!("can lose any zone of {can}")),
        (can, cannot) if can.is_empty() => Some(format!("can lose no zone of {cannot}")),
        (can, cannot) => Some(format!("can lose zone {can}, but not {cannot}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(of: &[(u32, &str)]) -> BTreeMap<u32, String> {
        of.iter().map(|(node, zone)| (*node, (*zone).to_owned())).collect()
    }

    fn told(sets: &[&[u32]], following: &[u32], of: &[(u32, &str)]) -> Option<String> {
        sentence(&losable(sets, following, &zones(of)))
    }

    #[test]
    fn a_zone_can_be_lost_when_a_majority_is_elsewhere() {
        let three = [(1, "a"), (2, "b"), (3, "c")];
        let told_of = |sets: &[&[u32]], following: &[u32], of: &[(u32, &str)]| {
            told(sets, following, of).unwrap_or_default()
        };
        assert_eq!(told_of(&[&[1, 2, 3]], &[1, 2, 3], &three), "can lose any zone of a, b, c");
        // What does not follow helps nobody.
        assert_eq!(told_of(&[&[1, 2, 3]], &[1, 2], &three[..2]), "can lose no zone of a, b");
        let two = [(1, "a"), (2, "a"), (3, "b")];
        assert_eq!(told_of(&[&[1, 2, 3]], &[1, 2, 3], &two), "can lose zone b, but not a");
        // During a change both sets count.
        let both: [&[u32]; 2] = [&[1, 2, 3], &[2, 3]];
        assert_eq!(told_of(&both, &[1, 2, 3], &two), "can lose no zone of a, b");
        assert_eq!(told(&[&[1]], &[1], &[]), None);
    }
}
