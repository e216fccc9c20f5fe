//! Sizes and spans of time as people write them: `"64MiB"`, `"150ms"`.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes; in a file a string with a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ByteSize(u64);

const BYTE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const TIME_UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl ByteSize {
    /// This many bytes.
    pub const fn new(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// This many times 1024 bytes.
    pub const fn kib(count: u64) -> ByteSize {
        ByteSize(count << 10)
    }

    /// This many times 1024 × 1024 bytes.
    pub const fn mib(count: u64) -> ByteSize {
        ByteSize(count << 20)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory.
    pub const fn as_usize(self) -> usize {
        // The server is built for 64-bit Linux only, where this loses nothing.
        self.0 as usize
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quantity(formatter, self.0, &BYTE_UNITS)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        parse_quantity(text, &BYTE_UNITS)
            .map(ByteSize)
            .ok_or_else(|| format!("`{text}` is not a size; write a whole number and one of B, KiB, MiB, GiB, TiB, as in \"64MiB\""))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        let visitor = QuantityVisitor { expects: "a size in a string, as in \"64MiB\"" };
        deserializer.deserialize_str(visitor)?.parse().map_err(de::Error::custom)
    }
}

/// Reads a span of time: a whole number and one of `ns`, `us`, `ms`, `s`, `m`, `h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_quantity(text, &TIME_UNITS).map(Duration::from_nanos).ok_or_else(|| {
        format!("`{text}` is not a span of time; write a whole number and one of ns, us, ms, s, m, h, as in \"150ms\"")
    })
}

/// Writes a span of time in the largest unit that keeps it a whole number.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        write_quantity(formatter, nanos, &TIME_UNITS)
    }
}

/// For `#[serde(with = "…")]` on fields of type [`Duration`].
pub(super) mod duration {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Span(*duration))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let visitor = QuantityVisitor { expects: "a span of time in a string, as in \"150ms\"" };
        parse_duration(&deserializer.deserialize_str(visitor)?).map_err(de::Error::custom)
    }
}

/// Takes a string and says what was expected when it finds something else.
struct QuantityVisitor {
    expects: &'static str,
}

impl de::Visitor<'_> for QuantityVisitor {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expects)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

fn parse_quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn write_quantity(
    formatter: &mut fmt::Formatter<'_>,
    quantity: u64,
    units: &[(&str, u64)],
) -> fmt::Result {
    let fits = |factor: u64| quantity >= factor && quantity.is_multiple_of(factor);
    let smallest = units.last().map_or(("", 1), |unit| *unit);
    let (name, factor) = units.iter().find(|(_, f)| fits(*f)).copied().unwrap_or(smallest);
    write!(formatter, "{}{name}", quantity / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_survive_a_round_trip() {
        for text in ["0B", "1B", "1023B", "1KiB", "1536KiB", "64MiB", "3GiB", "2TiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for text in ["0ns", "1ns", "1500us", "150ms", "1s", "90s", "5m", "36h"] {
            assert_eq!(Span(parse_duration(text).unwrap()).to_string(), text);
        }
        assert_eq!("64 MiB".parse::<ByteSize>(), Ok(ByteSize::mib(64)));
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        for text in ["", "64", "MiB", "-1B", "1.5MiB", "64mb", "64MB", "99999999999TiB", "1 0B"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for text in ["", "1", "s", "1.5s", "1 day", "99999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
