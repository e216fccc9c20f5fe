//! Everything that a death could leave of what is undecided.

use runtime::sim::{Fate, Undecided};

/// Of so many of the newest undecided things every subset is tried.
const SUBSET_MAX: usize = 6;
/// Of a longer write only the tears near its ends, and one in each block, are tried.
const NEAR_SECTORS: u64 = 16;
const SECTORS_PER_BLOCK: u64 = 8;

/// All fates to try: every subset of the newest things, with the older ones all kept or all lost, and
/// every tear of each write, with all others kept or lost.
pub fn all(undecided: &[Undecided]) -> Vec<Vec<Fate>> {
    let count = undecided.len();
    let newest = count.min(SUBSET_MAX);
    let mut all = Vec::new();
    for older in [Fate::Kept, Fate::Lost] {
        for subset in 0..1_u32 << newest {
            let fate = |place: usize| match (place + newest).checked_sub(count) {
                Some(bit) if subset & (1 << bit) != 0 => Fate::Lost,
                Some(_) => Fate::Kept,
                None => older,
            };
            all.push((0..count).map(fate).collect());
        }
        if count == newest {
            break;
        }
    }
    for (place, thing) in undecided.iter().enumerate() {
        for cut in tears(thing) {
            for torn in [Fate::Head(cut), Fate::Tail(cut)] {
                all.push(with(count, Fate::Kept, place, torn));
                if count > 1 {
                    all.push(with(count, Fate::Lost, place, torn));
                }
            }
        }
    }
    all
}

fn with(count: usize, others: Fate, place: usize, fate: Fate) -> Vec<Fate> {
    let mut fates = vec![others; count];
    if let Some(own) = fates.get_mut(place) {
        *own = fate;
    }
    fates
}

/// The sectors before which a write may be torn.
fn tears(thing: &Undecided) -> Vec<u64> {
    let sectors = match thing {
        Undecided::Unsynced { sectors, .. } | Undecided::InFlight { sectors, .. } => *sectors,
        Undecided::Name { .. } => 0,
    };
    let is_tried = |cut: &u64| {
        *cut <= NEAR_SECTORS
            || *cut + NEAR_SECTORS >= sectors
            || cut.is_multiple_of(SECTORS_PER_BLOCK)
    };
    (1..sectors).filter(is_tried).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Undecided {
        Undecided::Name { name: number.to_string() }
    }

    #[test]
    fn few_things_have_every_subset_and_many_have_those_of_the_newest() {
        assert_eq!(all(&[]), [vec![]]);
        let three: Vec<_> = (0..3).map(name).collect();
        let mut fates = all(&three);
        fates.dedup();
        assert_eq!(fates.len(), 8);
        assert!(fates.contains(&vec![Fate::Lost, Fate::Kept, Fate::Lost]));
        let many: Vec<_> = (0..8).map(name).collect();
        let fates = all(&many);
        assert_eq!(fates.len(), 128);
        assert!(fates.iter().all(|fates| fates[0] == fates[1]));
        assert!(fates.contains(&vec![Fate::Lost; 8]));
    }

    #[test]
    fn writes_are_torn_before_every_sector() {
        let write = Undecided::InFlight { path: String::new(), sectors: 8 };
        let fates = all(std::slice::from_ref(&write));
        assert_eq!(fates.len(), 2 + 7 * 2);
        assert!(fates.contains(&vec![Fate::Head(7)]));
        assert_eq!(all(&[write, name(1)]).len(), 4 + 7 * 4);
        let long = Undecided::InFlight { path: String::new(), sectors: 128 };
        assert_eq!(all(&[long]).len(), 2 + 2 * (16 + 16 + 11));
    }
}
