//! Little-endian fields at fixed places of a block.

/// Writes `value` at `offset`, which must lie inside `block`.
pub(crate) fn put<const N: usize>(block: &mut [u8], offset: usize, value: [u8; N]) {
    block[offset..offset + N].copy_from_slice(&value);
}

/// Takes fields one after the other; behind the end of the bytes all fields are zero, which the
/// callers exclude by a length check and a checksum.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn skip(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk() {
            Some((field, rest)) => {
                self.rest = rest;
                *field
            }
            None => {
                self.rest = &[];
                [0; N]
            }
        }
    }
}
