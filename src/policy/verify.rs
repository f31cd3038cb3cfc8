//! Verifying what comes in: Standard Webhooks 1.0 (SW-21 to SW-29) with the decisions D-1 to D-8.
//!
//! Anything that is not exactly right is refused: a timestamp is 1 to 16 digits (D-1), the id is
//! not empty (D-5), the body is taken byte for byte (D-2). In the list of signatures, malformed
//! elements and unknown labels are skipped (D-3), and one match is enough.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::ED25519;
use ring::signature::UnparsedPublicKey;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use crate::policy::keys::Verifying;
use crate::policy::keys::VerifyingKey;
use crate::policy::sign::LABEL_ED25519;
use crate::policy::sign::LABEL_SHARED;
use crate::policy::sign::tag;

/// How far a timestamp may be from now, in seconds, either way (SW-28).
pub const TOLERANCE_SECS: u64 = 300;
/// Signatures looked at in one list; what follows is ignored, so that a long list costs nothing.
pub const SIGNATURES_MAX: usize = 32;
/// The most digits a timestamp may have.
const TIMESTAMP_DIGITS_MAX: usize = 16;

/// A signed request: the values of its three headers, as far as they are there, and its body.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The event's identity.
    pub id: Option<&'a [u8]>,
    /// When it was sent.
    pub timestamp: Option<&'a [u8]>,
    /// The list of signatures.
    pub signature: Option<&'a [u8]>,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Why a request is not accepted, with its likely cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header is missing or empty: the sender does not sign, or a proxy removed it.
    #[error("the {0} header is missing or empty")]
    Missing(&'static str),
    /// A header cannot be read.
    #[error("the {0} header is malformed")]
    Malformed(&'static str),
    /// It was sent too long ago: a replay, or one of the two clocks is wrong.
    #[error("it was signed {0} s ago, which is too long: a replay, or a clock is wrong")]
    Stale(u64),
    /// It claims to come from the future: one of the two clocks is wrong.
    #[error("it was signed {0} s in the future: a clock is wrong")]
    Future(u64),
    /// No signature fits any key: another secret, or the body was changed on its way.
    #[error("no signature matches: another secret, or the body was changed on its way")]
    NoMatch,
}

/// Whether one of the signatures was made with one of `keys` within `tolerance_secs` of `now_secs`
/// (`None`: at any time).
///
/// # Errors
/// [`VerifyError`]: the request must not be trusted.
pub fn verify(
    keys: &[VerifyingKey],
    signed: &Signed<'_>,
    now_secs: u64,
    tolerance_secs: Option<u64>,
) -> Result<(), VerifyError> {
    let id = present(signed.id, "id")?;
    let timestamp = present(signed.timestamp, "timestamp")?;
    let list = present(signed.signature, "signature")?;
    let at_secs = seconds(timestamp).ok_or(VerifyError::Malformed("timestamp"))?;
    if let Some(tolerance_secs) = tolerance_secs {
        check_age(at_secs, now_secs, tolerance_secs)?;
    }
    let offered = offered(list)?;
    let head = [id, b".", timestamp, b"."].concat();
    let fits = keys.iter().any(|key| matches_any(key, &offered, &head, signed.body));
    if fits { Ok(()) } else { Err(VerifyError::NoMatch) }
}

fn present<'a>(value: Option<&'a [u8]>, name: &'static str) -> Result<&'a [u8], VerifyError> {
    value.filter(|value| !value.is_empty()).ok_or(VerifyError::Missing(name))
}

fn seconds(text: &[u8]) -> Option<u64> {
    if text.len() > TIMESTAMP_DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn check_age(at_secs: u64, now_secs: u64, tolerance_secs: u64) -> Result<(), VerifyError> {
    let (age, lead) = (now_secs.saturating_sub(at_secs), at_secs.saturating_sub(now_secs));
    if age > tolerance_secs {
        return Err(VerifyError::Stale(age));
    }
    if lead > tolerance_secs {
        return Err(VerifyError::Future(lead));
    }
    Ok(())
}

enum Offered {
    Shared(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// The signatures of the list that can be read and have a label that is known.
fn offered(list: &[u8]) -> Result<Vec<Offered>, VerifyError> {
    const MALFORMED: VerifyError = VerifyError::Malformed("signature");
    let list = std::str::from_utf8(list).map_err(|_| MALFORMED)?;
    let one = |element: &str| {
        let (label, encoded) = element.split_once(',')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        match label {
            LABEL_SHARED => Some(Offered::Shared(bytes)),
            LABEL_ED25519 => Some(Offered::Ed25519(bytes)),
            _ => None,
        }
    };
    let offered: Vec<_> = list.split(' ').take(SIGNATURES_MAX).filter_map(one).collect();
    if offered.is_empty() { Err(MALFORMED) } else { Ok(offered) }
}

fn matches_any(key: &VerifyingKey, offered: &[Offered], head: &[u8], body: &[u8]) -> bool {
    match &key.0 {
        Verifying::Shared(key) => {
            let expected = tag(key.expose_secret(), head, body);
            offered.iter().any(|one| match one {
                Offered::Shared(bytes) => bool::from(expected.as_ref().ct_eq(bytes)),
                Offered::Ed25519(_) => false,
            })
        }
        Verifying::Ed25519(key) => {
            let key = UnparsedPublicKey::new(&ED25519, key);
            let message = [head, body].concat();
            offered.iter().any(|one| match one {
                Offered::Shared(_) => false,
                Offered::Ed25519(bytes) => key.verify(&message, bytes).is_ok(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::keys::SigningKey;
    use crate::policy::sign::sign;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NOW: u64 = 1_795_256_102;

    fn check(id: &str, timestamp: &str, list: &str, now: u64) -> Result<(), VerifyError> {
        let signed = Signed {
            id: Some(id.as_bytes()),
            timestamp: Some(timestamp.as_bytes()),
            signature: Some(list.as_bytes()),
            body: b"body",
        };
        verify(&[VerifyingKey::parse(SECRET).unwrap()], &signed, now, Some(TOLERANCE_SECS))
    }

    fn list() -> String {
        sign(&[SigningKey::parse(SECRET).unwrap()], "evt_1", NOW, b"body")
    }

    #[test]
    fn what_we_sign_we_verify_within_the_tolerance() {
        let timestamp = NOW.to_string();
        assert_eq!(check("evt_1", &timestamp, &list(), NOW), Ok(()));
        assert_eq!(check("evt_1", &timestamp, &list(), NOW + 300), Ok(()));
        assert_eq!(check("evt_1", &timestamp, &list(), NOW - 300), Ok(()));
        assert_eq!(check("evt_1", &timestamp, &list(), NOW + 301), Err(VerifyError::Stale(301)));
        assert_eq!(check("evt_1", &timestamp, &list(), NOW - 301), Err(VerifyError::Future(301)));
    }

    #[test]
    fn every_cause_has_its_own_error() {
        let timestamp = NOW.to_string();
        let got = |id, list: &str| check(id, &timestamp, list, NOW);
        assert_eq!(got("evt_2", &list()), Err(VerifyError::NoMatch));
        assert_eq!(got("", &list()), Err(VerifyError::Missing("id")));
        assert_eq!(got("evt_1", ""), Err(VerifyError::Missing("signature")));
        assert_eq!(got("evt_1", "v2,AAAA nonsense"), Err(VerifyError::Malformed("signature")));
        for wrong in ["-1", "1795256102.0", "1e9", "00000000017952561"] {
            let got = check("evt_1", wrong, &list(), NOW);
            assert_eq!(got, Err(VerifyError::Malformed("timestamp")), "{wrong}");
        }
    }

    #[test]
    fn odd_elements_are_skipped() {
        let timestamp = NOW.to_string();
        let noisy = format!("v9,AAAA v1,!! nothing  v1a,AAAA {}", list());
        assert_eq!(check("evt_1", &timestamp, &noisy, NOW), Ok(()));
    }

    #[test]
    fn a_list_is_read_only_so_far() {
        let long = format!("{}{}", "v1,AAAA ".repeat(SIGNATURES_MAX), list());
        assert_eq!(check("evt_1", &NOW.to_string(), &long, NOW), Err(VerifyError::NoMatch));
    }
}
