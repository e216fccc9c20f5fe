//! The keys of a request: each stands for itself and all below it.

use std::collections::BTreeSet;

use kv_api::{SEPARATOR, split_key};

/// Keys of which none lies below another one, in the order of their bytes.
pub(super) type Keys = Box<[Box<[u8]>]>;

/// Leaves out keys that others stand for.
pub(super) fn distinct<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Keys {
    let all: BTreeSet<&[u8]> = keys.collect();
    let stands_alone = |key: &&&[u8]| !ancestors(key).any(|ancestor| all.contains(ancestor));
    all.iter().filter(stands_alone).map(|key| Box::from(*key)).collect()
}

/// The keys of everything above a key, the nearest first, the root last.
pub(super) fn ancestors(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut below = key;
    core::iter::from_fn(move || {
        if below.is_empty() {
            return None;
        }
        (below, _) = split_key(below);
        Some(below)
    })
}

/// The first key that could lie below `key`, in the order of their bytes.
pub(super) fn first_below(key: &[u8]) -> Vec<u8> {
    match key.is_empty() {
        true => Vec::new(),
        false => [key, &[SEPARATOR]].concat(),
    }
}

/// Whether `key` is one of `keys` or lies below one.
pub(super) fn covers(keys: &Keys, key: &[u8]) -> bool {
    let has = |key: &[u8]| keys.binary_search_by(|one| (**one).cmp(key)).is_ok();
    has(key) || ancestors(key).any(has)
}

/// Whether one of `keys` lies below `key`.
pub(super) fn reaches_below(keys: &Keys, key: &[u8]) -> bool {
    let first = first_below(key);
    let place = keys.partition_point(|one| **one < *first);
    keys.get(place).is_some_and(|one| one.starts_with(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_below_others_are_left_out() {
        let list: [&[u8]; 6] = [b"a.b", b"a", b"a-b", b"b.c.d", b"b.c.d", b"bc"];
        let keys = distinct(list.into_iter());
        let left: Vec<&[u8]> = keys.iter().map(|key| &**key).collect();
        assert_eq!(left, [&b"a"[..], b"a-b", b"b.c.d", b"bc"]);
        assert_eq!(distinct([&b""[..], b"a"].into_iter()).len(), 1);
    }

    #[test]
    fn a_key_stands_for_what_is_below_it() {
        let keys = distinct([&b"a"[..], b"b.c"].into_iter());
        for (key, covered, reached) in [
            (&b"a"[..], true, false),
            (b"a.x.y", true, false),
            (b"ab", false, false),
            (b"b", false, true),
            (b"b.c", true, false),
            (b"b.d", false, false),
            (b"", false, true),
        ] {
            assert_eq!((covers(&keys, key), reaches_below(&keys, key)), (covered, reached));
        }
        assert!(covers(&distinct([&b""[..]].into_iter()), b"x.y"));
    }
}
