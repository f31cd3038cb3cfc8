//! Amounts of bytes as people write them: `"64KiB"` is 65,536, `"64kB"` is 64,000.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;

/// What a size looks like, for error messages.
pub const EXPECTED: &str = "a size such as \"64KiB\" or \"2GB\"";

/// An amount of bytes in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// The text is no amount of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct SizeError;

impl Size {
    /// From bytes.
    pub const fn bytes(bytes: u64) -> Size {
        Size(bytes)
    }

    /// From units of 1,024 bytes.
    pub const fn kib(kib: u64) -> Size {
        Size(kib << 10)
    }

    /// From units of 1,048,576 bytes.
    pub const fn mib(mib: u64) -> Size {
        Size(mib << 20)
    }

    /// From units of 1,073,741,824 bytes.
    pub const fn gib(gib: u64) -> Size {
        Size(gib << 30)
    }

    /// The amount in bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The amount in bytes, for what lies in memory.
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Size, SizeError> {
        text.parse::<ByteSize>().map(|size| Size(size.as_u64())).map_err(|_| SizeError)
    }
}

impl fmt::Display for Size {
    /// The largest unit that divides it, so that the text reads back as the same amount.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 6] = [
            (1 << 30, "GiB"),
            (1_000_000_000, "GB"),
            (1 << 20, "MiB"),
            (1_000_000, "MB"),
            (1 << 10, "KiB"),
            (1_000, "kB"),
        ];
        if self.0 == 0 {
            return f.write_str("0");
        }
        let whole = UNITS.into_iter().find(|(bytes, _)| self.0.is_multiple_of(*bytes));
        match whole {
            Some((bytes, unit)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}B", self.0),
        }
    }
}

as_text!(Size, EXPECTED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_and_decimal_units_are_kept_apart() {
        let bytes = |text: &str| text.parse::<Size>().map(Size::get);
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("64kB"), Ok(64_000));
        assert_eq!(bytes("2GB"), Ok(2_000_000_000));
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("much"), Err(SizeError));
        assert_eq!(bytes("-1"), Err(SizeError));
    }

    #[test]
    fn text_round_trips() {
        for bytes in [0, 1, 1_000, 1_024, 1_048_576, 1_500_000, 16 << 20, 3 << 30, 123_457] {
            let size = Size::bytes(bytes);
            assert_eq!(size.to_string().parse(), Ok(size), "{size}");
        }
    }
}
