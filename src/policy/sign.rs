//! Signing what goes out: Standard Webhooks 1.0 (SW-9 to SW-24).
//!
//! Signed is `{id}.{timestamp}.{body}`, with the body's own bytes (D-2). A signature is `v1,` and
//! the base64 of an HMAC-SHA256, or `v1a,` and the base64 of an ed25519 signature. While keys are
//! rotated there is one signature for each key, the current one first (D-8), joined by spaces.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use secrecy::ExposeSecret;

use crate::policy::keys::Signing;
use crate::policy::keys::SigningKey;

/// The label of an HMAC-SHA256 signature.
pub(super) const LABEL_SHARED: &str = "v1";
/// The label of an ed25519 signature.
pub(super) const LABEL_ED25519: &str = "v1a";

/// The names of the three headers that carry a signature. They differ from scheme to scheme, and
/// nothing else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureHeaders {
    /// The event's identity, the same on every attempt.
    pub id: String,
    /// When the attempt was made, in seconds since the Unix epoch.
    pub timestamp: String,
    /// The list of signatures.
    pub signature: String,
}

impl SignatureHeaders {
    /// The names that begin with a prefix: `webhook-` for Standard Webhooks, `svix-` for Svix.
    pub fn with_prefix(prefix: &str) -> SignatureHeaders {
        SignatureHeaders {
            id: format!("{prefix}id"),
            timestamp: format!("{prefix}timestamp"),
            signature: format!("{prefix}signature"),
        }
    }

    /// The names of Standard Webhooks.
    pub fn standard() -> SignatureHeaders {
        SignatureHeaders::with_prefix("webhook-")
    }
}

/// The value of the signature header: one signature for each of `keys`, in their order. Empty if
/// there are no keys.
///
/// `id` must not hold a full stop that somebody else chose (SW-13); postrider's own ids hold none.
pub fn sign(keys: &[SigningKey], id: &str, timestamp_secs: u64, body: &[u8]) -> String {
    let head = format!("{id}.{timestamp_secs}.");
    let signatures = keys.iter().filter_map(|key| one(key, head.as_bytes(), body));
    signatures.collect::<Vec<_>>().join(" ")
}

/// `None` only if ring refuses a seed, which a parsed key rules out.
fn one(key: &SigningKey, head: &[u8], body: &[u8]) -> Option<String> {
    match &key.0 {
        Signing::Shared(key) => {
            let tag = tag(key.expose_secret(), head, body);
            Some(format!("{LABEL_SHARED},{}", STANDARD.encode(tag)))
        }
        Signing::Ed25519(seed) => {
            let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_secret()).ok()?;
            let signature = pair.sign(&[head, body].concat());
            Some(format!("{LABEL_ED25519},{}", STANDARD.encode(signature)))
        }
    }
}

/// The HMAC-SHA256 of `head` and `body`, one after the other.
pub(super) fn tag(key: &[u8], head: &[u8], body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(head);
    context.update(body);
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn keys(texts: &[&str]) -> Vec<SigningKey> {
        texts.iter().map(|text| SigningKey::parse(text).unwrap()).collect()
    }

    #[test]
    fn the_example_of_the_specification() {
        assert_eq!(
            sign(&keys(&[SHARED]), ID, AT, BODY),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn each_key_signs_in_its_order() {
        let other = format!("whsk_{}", STANDARD.encode([5; 32]));
        let list = sign(&keys(&[&other, SHARED]), ID, AT, BODY);
        let labels: Vec<_> = list.split(' ').map(|one| one.split_once(',').unwrap().0).collect();
        assert_eq!(labels, ["v1a", "v1"]);
        assert_eq!(sign(&[], ID, AT, BODY), "");
    }
}
