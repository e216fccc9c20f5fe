//! Who owns a temporary node or stands in a lock's queue.

/// The identity of a client process: the uuid of its handshake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Owner {
    /// The 64 most significant bits.
    pub high: u64,
    /// The 64 least significant bits.
    pub low: u64,
}

impl Owner {
    /// Length of [`Owner::name`].
    pub const NAME_BYTES: usize = 32;

    /// The name of the owner's entry below a lock: 32 lower-case hexadecimal digits.
    pub fn name(self) -> [u8; Owner::NAME_BYTES] {
        let bits = u128::from(self.high) << 64 | u128::from(self.low);
        core::array::from_fn(|position| {
            let digit = (bits >> (4 * (Owner::NAME_BYTES - 1 - position)) & 0xf) as u8;
            if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_high_then_low() {
        let owner = Owner { high: 0x1c18_d7d3_a10a_e95e, low: 0xb };
        assert_eq!(&owner.name(), b"1c18d7d3a10ae95e000000000000000b");
    }
}
