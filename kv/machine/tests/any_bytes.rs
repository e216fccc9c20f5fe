//! Damaged payloads: the machine does not panic, and replicas agree on what they make of them.

mod history;

use history::{Draw, Random, payload};
use kv_machine::{Machine, MachineOptions, Outcome, Stamp};

const SEEDS: u64 = 8;
const ENTRIES: u64 = 20_000;

#[test]
fn damaged_payloads_are_applied_alike_and_without_panic() {
    for seed in 1..=SEEDS {
        let mut random = Random(seed << 32);
        let mut machines = [1, 2].map(|hash_seed| Machine::new(MachineOptions { hash_seed }));
        let mut malformed = 0;
        for index in 1..=ENTRIES {
            let stamp = Stamp { index, time_ms: random.next() >> random.below(64) };
            let due = machines[0].due(stamp.time_ms).take(9);
            let due: Vec<_> = due.map(|due| (due.key.to_vec(), due.ttl_index)).collect();
            let draw = Draw::new(&mut random, &due);
            let mut bytes = payload(&draw);
            damage(&mut random, &mut bytes);
            let [first, second] = &mut machines;
            // Only one of them reads ahead, more than it can take: it must make no difference.
            first.read_ahead(std::iter::repeat_n(&bytes[..], 40));
            let outcome = first.apply(stamp, &bytes);
            assert_eq!(outcome, second.apply(stamp, &bytes));
            assert!(first.take_granted().eq(second.take_granted()));
            malformed += u64::from(outcome == Outcome::Malformed);
        }
        assert_eq!(machines[0].state_hash(), machines[1].state_hash());
        assert_eq!(count(&machines[0], &[]), machines[0].len());
        let quarter = ENTRIES / 4;
        assert!((quarter / 4..3 * quarter).contains(&malformed), "{malformed} are malformed");
    }
}

/// Changes some bits of half the payloads, cuts some, and makes some of nothing but chance.
fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    match random.below(16) {
        0 => bytes.truncate(random.below(bytes.len() as u64) as usize),
        1 => bytes.extend((0..random.below(9)).map(|_| random.next() as u8)),
        2 => *bytes = (0..random.below(40)).map(|_| random.next() as u8).collect(),
        3..8 => {
            for _ in 0..1 + random.below(3) {
                let position = random.below(bytes.len().min(200) as u64) as usize;
                bytes[position] ^= 1 << random.below(8);
            }
        }
        _ => {}
    }
}

/// How many nodes are found by listing all directories.
fn count(machine: &Machine, directory: &[u8]) -> usize {
    let Ok(children) = machine.list(directory) else {
        return 0;
    };
    let separator: &[u8] = if directory.is_empty() { b"" } else { b"." };
    children.map(|(name, _)| 1 + count(machine, &[directory, separator, name].concat())).sum()
}
