//! Bytes as hexadecimal digits, two for each.

use std::fmt::Write as _;

/// The digits of these bytes, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // writing to a text does not fail
        let _always = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of these digits, of either case.
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_bytes_and_back() {
        assert_eq!(hex(&[0, 0x0a, 0xff]), "000aff");
        assert_eq!(unhex(b"000AfF"), Some(vec![0, 0x0a, 0xff]));
        assert_eq!(unhex(b""), Some(Vec::new()));
        for wrong in [&b"0"[..], b"0g", b"+1", b"  "] {
            assert_eq!(unhex(wrong), None, "{wrong:?}");
        }
    }
}
