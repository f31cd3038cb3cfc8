//! The schemes that have a name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::policy::scheme::Scheme;

/// As a configuration would say them.
const NAMED: &str = include_str!("named.toml");

static SCHEMES: LazyLock<BTreeMap<String, Scheme>> =
    LazyLock::new(|| toml_edit::de::from_str(NAMED).unwrap_or_default());

/// The scheme of this name.
pub fn named(name: &str) -> Option<&'static Scheme> {
    SCHEMES.get(name)
}

/// The names of all schemes, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCHEMES.keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_scheme_is_complete() {
        let read: Result<BTreeMap<String, Scheme>, _> = toml_edit::de::from_str(NAMED);
        assert_eq!(read.map(|schemes| schemes.len()), Ok(29));
        for name in names() {
            assert_eq!(named(name).unwrap().check(), Ok(()), "{name}");
        }
    }
}
