//! The name of a key, without an allocation for each.

pub(crate) struct KeyName {
    bytes: Vec<u8>,
    prefix: usize,
}

/// More than the digits of any number.
const DIGITS_MAX: usize = 20;

impl KeyName {
    /// Keys in a directory are called `key<number>`.
    pub(crate) fn new(directory: &str) -> KeyName {
        let bytes = format!("{directory}.key").into_bytes();
        KeyName { prefix: bytes.len(), bytes }
    }

    #[inline]
    pub(crate) fn of(&mut self, number: u64) -> &[u8] {
        let mut digits = [0; DIGITS_MAX];
        let mut start = DIGITS_MAX;
        let mut rest = number;
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.bytes.truncate(self.prefix);
        self.bytes.extend_from_slice(&digits[start..]);
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decimal() {
        let mut name = KeyName::new("benchmark");
        for number in [0, 7, 10, 9_999, 10_000, u64::MAX] {
            assert_eq!(name.of(number), format!("benchmark.key{number}").as_bytes());
        }
    }
}
