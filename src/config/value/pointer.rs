//! Places in a JSON document: JSON pointers (RFC 6901), `"/data/customer"`.

use std::fmt;
use std::str::FromStr;

/// The longest pointer, in bytes.
pub const POINTER_BYTES_MAX: usize = 256;
/// What a pointer looks like, for error messages.
const EXPECTED: &str = "a JSON pointer such as \"/data/customer\", of at most 256 bytes";

/// A place in a JSON document, below its top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(String);

/// The text is no JSON pointer, is the empty one, or is too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct PointerError;

impl Pointer {
    /// The pointer as text.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    /// The empty pointer, which is the whole document, is refused: a document is no key.
    fn from_str(text: &str) -> Result<Pointer, PointerError> {
        // after "~", RFC 6901 knows only 0 (for "~") and 1 (for "/")
        let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let fits = text.starts_with('/') && text.len() <= POINTER_BYTES_MAX;
        if fits && escaped { Ok(Pointer(text.to_owned())) } else { Err(PointerError) }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_text!(Pointer, EXPECTED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_of_rfc_6901_and_nothing_else() {
        for text in ["/", "/data/customer", "/a~1b/~0", "/0", "/a b", "//"] {
            assert_eq!(text.parse::<Pointer>().map(Pointer::into_text), Ok(text.to_owned()));
        }
        let long = format!("/{}", "a".repeat(POINTER_BYTES_MAX));
        for text in ["", "data", "data/customer", "$.data", "/a~2", "/a~", "/~~0", &long] {
            assert_eq!(text.parse::<Pointer>(), Err(PointerError), "{text}");
        }
    }
}
