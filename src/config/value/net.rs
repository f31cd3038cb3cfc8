//! Ranges of addresses: `"10.20.0.0/16"`, `"2001:db8::/32"`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// What a range looks like, for error messages.
const EXPECTED: &str = "an address range such as \"10.20.0.0/16\", without bits after its prefix";

/// A range of addresses in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(IpNet);

/// The text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct CidrError;

impl Cidr {
    /// The range itself.
    pub const fn get(self) -> IpNet {
        self.0
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Bits after the prefix are refused: `10.1.2.3/8` is more often a mistake for one address
    /// than a way to write a sixteenth of the internet.
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Cidr(IpNet::from(address)));
        }
        let range: IpNet = text.parse().map_err(|_| CidrError)?;
        if range.trunc() == range { Ok(Cidr(range)) } else { Err(CidrError) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

as_text!(Cidr, EXPECTED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_addresses() {
        let shown = |text: &str| text.parse::<Cidr>().map(|range| range.to_string());
        assert_eq!(shown("10.20.0.0/16"), Ok("10.20.0.0/16".to_owned()));
        assert_eq!(shown("10.1.2.3"), Ok("10.1.2.3/32".to_owned()));
        assert_eq!(shown("fd00::/8"), Ok("fd00::/8".to_owned()));
        for text in ["10.1.2.3/8", "10.0.0.0/33", "localhost", ""] {
            assert_eq!(shown(text), Err(CidrError), "{text}");
        }
    }
}
