//! Where received bytes lie until their packets have been handled.

/// Received bytes in one piece: what is not parsed yet, and room behind it.
///
/// The memory begins with a page and grows to the size that was asked for with the first reads that
/// fill it: most of many connections have little to say. A packet that does not fit into that size
/// gets memory of its own, which grows with what has arrived of it and never beyond its length, and
/// is given back as soon as the packet has been handled.
pub(crate) struct ReadBuffer {
    ordinary: Region,
    /// How large the ordinary memory may become.
    bytes_max: usize,
    /// The last read left no room in it.
    is_full: bool,
    large: Option<Region>,
    /// First byte that was not parsed, in the region in use.
    begin: usize,
    /// Behind the last byte received.
    end: usize,
}

impl ReadBuffer {
    pub(crate) fn new(bytes_max: usize) -> ReadBuffer {
        let ordinary = Region::new(bytes_max.min(FIRST_BYTES));
        ReadBuffer { ordinary, bytes_max, is_full: false, large: None, begin: 0, end: 0 }
    }

    /// What was received and not parsed.
    #[inline]
    pub(crate) fn unparsed(&self) -> &[u8] {
        self.region().bytes().get(self.begin..self.end).unwrap_or_default()
    }

    /// Notes that the first `count` unparsed bytes have been dealt with.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.begin += count;
        assert!(self.begin <= self.end, "only received bytes are parsed");
    }

    /// Room for more bytes, at least one, given that the first unparsed packet takes
    /// `packet_bytes` with its prefix.
    pub(crate) fn room(&mut self, packet_bytes: usize) -> &mut [u8] {
        self.make_room(packet_bytes);
        let end = self.end;
        self.region_mut().bytes_mut().get_mut(end..).unwrap_or_default()
    }

    /// Notes that the first `count` bytes of the room were received.
    pub(crate) fn received(&mut self, count: usize) {
        self.end += count;
        self.is_full = self.large.is_none() && self.end == self.ordinary.len;
        assert!(self.end <= self.region().len, "bytes are received into the room");
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.ordinary.memory.len() + self.large.as_ref().map_or(0, |large| large.memory.len())
    }

    fn make_room(&mut self, packet_bytes: usize) {
        let unparsed = self.end - self.begin;
        if packet_bytes <= self.bytes_max && unparsed < self.bytes_max {
            self.grow_ordinary(unparsed);
            match self.large.take() {
                Some(large) => self.ordinary.fill(large.slice(self.begin, self.end)),
                None => self.ordinary.move_to_front(self.begin, self.end),
            }
        } else if unparsed < self.region().len {
            let (begin, end) = (self.begin, self.end);
            self.region_mut().move_to_front(begin, end);
        } else {
            // Twice what has arrived: memory cannot be claimed by a length alone.
            assert!(packet_bytes > unparsed, "a whole packet is parsed before more is read");
            let mut grown = Region::new(packet_bytes.min(unparsed.saturating_mul(2)));
            grown.fill(self.unparsed());
            self.large = Some(grown);
        }
        self.begin = 0;
        self.end = unparsed;
    }

    /// Makes the ordinary memory larger if it has turned out to be small.
    fn grow_ordinary(&mut self, unparsed: usize) {
        let len = self.ordinary.len;
        if !self.is_full && unparsed < len || len == self.bytes_max {
            return;
        }
        let mut grown = Region::new((len * GROWTH).max(unparsed + 1).min(self.bytes_max));
        if self.large.is_none() {
            grown.fill(self.unparsed());
            (self.begin, self.end) = (0, unparsed);
        }
        self.ordinary = grown;
        self.is_full = false;
    }

    fn region(&self) -> &Region {
        self.large.as_ref().unwrap_or(&self.ordinary)
    }

    fn region_mut(&mut self) -> &mut Region {
        self.large.as_mut().unwrap_or(&mut self.ordinary)
    }
}

/// What a connection has to begin with.
const FIRST_BYTES: usize = 4 << 10;
/// So many times larger it becomes with each read that fills it.
const GROWTH: usize = 4;

/// Zeroed memory that starts [`REGION_OFFSET`] bytes behind a page boundary, unless it is small.
struct Region {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

/// Some processors copy many times slower to a place that lies 1 to 31 bytes past the source
/// modulo the page size, and what the kernel copies from lies near the start of a page.
const REGION_OFFSET: usize = 64;
const PAGE: usize = 4096;

impl Region {
    fn new(len: usize) -> Region {
        if len <= FIRST_BYTES {
            return Region { memory: vec![0_u8; len], start: 0, len };
        }
        let memory = vec![0_u8; len + PAGE + REGION_OFFSET];
        // The allocator may refuse to say; then the start is as good as any.
        let to_page = memory.as_ptr().align_offset(PAGE);
        let start = if to_page < PAGE { to_page + REGION_OFFSET } else { 0 };
        Region { memory, start, len }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.memory.get(self.start..self.start + self.len).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.start..self.start + self.len).unwrap_or_default()
    }

    fn slice(&self, begin: usize, end: usize) -> &[u8] {
        self.bytes().get(begin..end).unwrap_or_default()
    }

    fn fill(&mut self, content: &[u8]) {
        if let Some(front) = self.bytes_mut().get_mut(..content.len()) {
            front.copy_from_slice(content);
        }
    }

    fn move_to_front(&mut self, begin: usize, end: usize) {
        if begin > 0 {
            self.bytes_mut().copy_within(begin..end, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Receives at most `count` of the bytes at `position`, which count up modulo 251.
    fn receive(buffer: &mut ReadBuffer, position: usize, count: usize, packet: usize) -> usize {
        let room = buffer.room(packet);
        let count = count.min(room.len());
        for (index, byte) in room.iter_mut().take(count).enumerate() {
            *byte = ((position + index) % 251) as u8;
        }
        buffer.received(count);
        count
    }

    #[test]
    fn bytes_come_out_as_they_came_in() {
        let mut buffer = ReadBuffer::new(100);
        let (mut received, mut parsed) = (0, 0);
        let mut random = 7_usize;
        let mut below = |limit: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % limit
        };
        let mut packet = 10;
        for _ in 0..20_000 {
            received += receive(&mut buffer, received, 1 + below(150), packet);
            while received - parsed >= packet {
                let expected = (parsed..parsed + packet).map(|at| (at % 251) as u8);
                assert!(buffer.unparsed()[..packet].iter().copied().eq(expected));
                buffer.consume(packet);
                parsed += packet;
                packet = if below(5) == 0 { 1 + below(1_000) } else { 1 + below(100) };
            }
            assert_eq!(buffer.unparsed().len(), received - parsed);
        }
        assert!(parsed > 1_000_000 / 2);
    }

    #[test]
    fn memory_follows_what_arrived_and_goes_back() {
        let overhead = PAGE + REGION_OFFSET;
        let mut buffer = ReadBuffer::new(1000);
        let packet = 1 << 20;
        let mut received = receive(&mut buffer, 0, 1000, 0);
        while received < packet {
            received += receive(&mut buffer, received, 100, packet);
            let bound = 1000 + overhead + (2 * received).min(packet) + overhead;
            assert!(buffer.memory_bytes() <= bound, "{received} received");
        }
        buffer.consume(packet);
        assert_eq!(buffer.room(0).len(), 1000);
        assert_eq!(buffer.memory_bytes(), 1000);
    }

    #[test]
    fn the_region_starts_behind_a_page_boundary() {
        let mut buffer = ReadBuffer::new(5000);
        receive(&mut buffer, 0, FIRST_BYTES, 0);
        buffer.consume(FIRST_BYTES);
        assert_eq!(buffer.room(0).as_ptr() as usize % PAGE, REGION_OFFSET);
    }

    #[test]
    fn memory_grows_with_reads_that_fill_it() {
        let mut buffer = ReadBuffer::new(100_000);
        let mut received = 0;
        for len in [4096, 4096, 4 * 4096, 16 * 4096, 100_000, 100_000] {
            // A read that does not fill it changes nothing.
            received += receive(&mut buffer, received, 10, 0);
            let room = buffer.room(0).len();
            assert_eq!(room, len - 10);
            if received > 10 {
                received += receive(&mut buffer, received, room, 0);
            }
            let first = buffer.unparsed()[0];
            assert_eq!(usize::from(first), (received - buffer.unparsed().len()) % 251);
            buffer.consume(buffer.unparsed().len());
        }
    }
}
