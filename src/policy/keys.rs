//! Signing keys: their text, their size, and keeping them out of sight.
//!
//! Text (Standard Webhooks 1.0, SW-15 and SW-16): `whsec_` and base64 of 24 to 64 random bytes is a
//! shared key for HMAC-SHA256; `whsk_` and base64 of 64 bytes (seed, then public key) or of the 32
//! bytes of the seed alone is an ed25519 private key; `whpk_` and base64 of 32 bytes is the public
//! key to it. A text without a prefix is a shared key. Base64 is taken with or without padding
//! (D-4) and written with it.
//!
//! Key bytes are wiped from memory when a key is dropped, and no `Debug` shows them.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use base64::engine::general_purpose::STANDARD;
use ring::signature::Ed25519KeyPair;
use ring::signature::KeyPair;
use secrecy::ExposeSecret;
use secrecy::SecretBox;
use secrecy::SecretSlice;
use secrecy::SecretString;
use zeroize::Zeroizing;

/// The shortest shared key, in bytes.
pub const SHARED_KEY_BYTES_MIN: usize = 24;
/// The longest shared key, in bytes.
pub const SHARED_KEY_BYTES_MAX: usize = 64;
/// The seed of an ed25519 key, and its public key, in bytes.
pub const ED25519_KEY_BYTES: usize = 32;
/// The longest text of a key: longer ones are refused unread.
pub const KEY_TEXT_BYTES_MAX: usize = 128;

const SHARED_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

pub(super) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key to sign with.
#[derive(Debug)]
pub struct SigningKey(pub(super) Signing);

#[derive(Debug)]
pub(super) enum Signing {
    Shared(SecretSlice<u8>),
    Ed25519(SecretBox<[u8; ED25519_KEY_BYTES]>),
}

/// A key to verify with.
#[derive(Debug)]
pub struct VerifyingKey(pub(super) Verifying);

#[derive(Debug)]
pub(super) enum Verifying {
    Shared(SecretSlice<u8>),
    Ed25519([u8; ED25519_KEY_BYTES]),
}

/// Why a text is not a key. None of these repeats any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not base64.
    #[error("the part after the prefix is not base64")]
    Encoding,
    /// A shared key of the wrong size.
    #[error(
        "a whsec_ key holds {SHARED_KEY_BYTES_MIN} to {SHARED_KEY_BYTES_MAX} bytes, this one {0}"
    )]
    SharedLength(usize),
    /// An ed25519 key of the wrong size.
    #[error("a whsk_ key holds 64 or 32 bytes and a whpk_ key 32, this one {0}")]
    Ed25519Length(usize),
    /// The public half of a private key does not belong to its seed.
    #[error("the two halves of the whsk_ key do not belong together")]
    Halves,
    /// A public key where one to sign with is needed.
    #[error("a whpk_ key can verify but not sign; the whsk_ key to it is needed")]
    CannotSign,
}

impl SigningKey {
    /// Reads the text of a key; space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError`] if it is none, or one that can only verify.
    pub fn parse(text: &str) -> Result<SigningKey, KeyError> {
        let text = text.trim();
        if text.starts_with(PUBLIC_PREFIX) {
            return Err(KeyError::CannotSign);
        }
        match text.strip_prefix(PRIVATE_PREFIX) {
            Some(encoded) => Ok(SigningKey(Signing::Ed25519(seed(encoded)?))),
            None => Ok(SigningKey(Signing::Shared(shared(text)?))),
        }
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] if the seed cannot be used, which no parsed key can cause.
    pub fn verifying(&self) -> Result<VerifyingKey, KeyError> {
        Ok(VerifyingKey(match &self.0 {
            Signing::Shared(key) => Verifying::Shared(key.expose_secret().to_vec().into()),
            Signing::Ed25519(seed) => Verifying::Ed25519(public_of(seed.expose_secret())?),
        }))
    }
}

impl VerifyingKey {
    /// Reads the text of a key: a shared, a public, or a private one (whose public half is used).
    ///
    /// # Errors
    /// [`KeyError`] if it is none.
    pub fn parse(text: &str) -> Result<VerifyingKey, KeyError> {
        let Some(encoded) = text.trim().strip_prefix(PUBLIC_PREFIX) else {
            return SigningKey::parse(text)?.verifying();
        };
        let bytes = decode(encoded)?;
        let key = <[u8; ED25519_KEY_BYTES]>::try_from(bytes.as_slice())
            .map_err(|_| KeyError::Ed25519Length(bytes.len()))?;
        Ok(VerifyingKey(Verifying::Ed25519(key)))
    }
}

/// The text of a new shared key made of these random bytes.
pub fn shared_key_text(random: &[u8; 32]) -> SecretString {
    text_of(SHARED_PREFIX, random)
}

/// The texts of a new ed25519 key made of these random bytes: the private one and the public one.
///
/// # Errors
/// [`KeyError`] if the seed cannot be used; with 32 bytes it always can.
pub fn ed25519_key_texts(seed: &[u8; 32]) -> Result<(SecretString, String), KeyError> {
    let public = public_of(seed)?;
    let mut both = Zeroizing::new([0_u8; 64]);
    let (first, second) = both.split_at_mut(ED25519_KEY_BYTES);
    first.copy_from_slice(seed);
    second.copy_from_slice(&public);
    Ok((
        text_of(PRIVATE_PREFIX, both.as_slice()),
        format!("{PUBLIC_PREFIX}{}", STANDARD.encode(public)),
    ))
}

fn text_of(prefix: &str, bytes: &[u8]) -> SecretString {
    // Room for all of it at once, so that no outgrown copy is left behind in memory.
    let mut text = String::with_capacity(KEY_TEXT_BYTES_MAX);
    text.push_str(prefix);
    STANDARD.encode_string(bytes, &mut text);
    text.into()
}

fn decode(encoded: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if encoded.len() > KEY_TEXT_BYTES_MAX {
        return Err(KeyError::Encoding);
    }
    LENIENT.decode(encoded).map(Zeroizing::new).map_err(|_| KeyError::Encoding)
}

fn shared(text: &str) -> Result<SecretSlice<u8>, KeyError> {
    let bytes = decode(text.strip_prefix(SHARED_PREFIX).unwrap_or(text))?;
    if !(SHARED_KEY_BYTES_MIN..=SHARED_KEY_BYTES_MAX).contains(&bytes.len()) {
        return Err(KeyError::SharedLength(bytes.len()));
    }
    Ok(bytes.to_vec().into())
}

fn seed(encoded: &str) -> Result<SecretBox<[u8; ED25519_KEY_BYTES]>, KeyError> {
    let bytes = decode(encoded)?;
    let wrong = KeyError::Ed25519Length(bytes.len());
    let (seed, public) = bytes.split_at_checked(ED25519_KEY_BYTES).ok_or(wrong)?;
    if !public.is_empty() {
        if public.len() != ED25519_KEY_BYTES {
            return Err(wrong);
        }
        Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| KeyError::Halves)?;
    }
    let mut kept = Box::new([0; ED25519_KEY_BYTES]);
    kept.copy_from_slice(seed);
    Ok(SecretBox::new(kept))
}

fn public_of(seed: &[u8]) -> Result<[u8; ED25519_KEY_BYTES], KeyError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Encoding)?;
    pair.public_key().as_ref().try_into().map_err(|_| KeyError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The asymmetric test key of the Standard Webhooks specification.
    const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dR\
                           qSKJp4AJ6p9lMicMFs6Kvg==";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

    fn refused(text: &str) -> KeyError {
        SigningKey::parse(text).unwrap_err()
    }

    #[test]
    fn shared_keys_have_24_to_64_bytes_with_or_without_prefix_and_padding() {
        for bytes in [24, 25, 32, 64] {
            let padded = STANDARD.encode(vec![7; bytes]);
            for text in [padded.clone(), format!("whsec_{}", padded.trim_end_matches('='))] {
                assert!(SigningKey::parse(&text).is_ok(), "{bytes} bytes");
            }
        }
        assert_eq!(refused(&STANDARD.encode([7; 23])), KeyError::SharedLength(23));
        assert_eq!(refused(&STANDARD.encode([7; 65])), KeyError::SharedLength(65));
        assert_eq!(refused("whsec_not base64"), KeyError::Encoding);
        assert_eq!(refused(&"A".repeat(KEY_TEXT_BYTES_MAX)), KeyError::SharedLength(96));
        assert_eq!(refused(&"A".repeat(KEY_TEXT_BYTES_MAX + 4)), KeyError::Encoding);
    }

    #[test]
    fn a_private_key_has_64_bytes_that_belong_together_or_32() {
        assert!(SigningKey::parse(PRIVATE).is_ok());
        let seed = format!("whsk_{}", STANDARD.encode([9; 32]));
        assert!(SigningKey::parse(&seed).is_ok());
        let odd = format!("whsk_{}", STANDARD.encode([9; 64]));
        assert_eq!(refused(&odd), KeyError::Halves);
        let short = format!("whsk_{}", STANDARD.encode([9; 31]));
        assert_eq!(refused(&short), KeyError::Ed25519Length(31));
        assert_eq!(refused(PUBLIC), KeyError::CannotSign);
    }

    #[test]
    fn the_public_key_follows_from_the_private_one() {
        let Verifying::Ed25519(derived) = VerifyingKey::parse(PRIVATE).unwrap().0 else {
            panic!("not ed25519")
        };
        let Verifying::Ed25519(given) = VerifyingKey::parse(PUBLIC).unwrap().0 else {
            panic!("not ed25519")
        };
        assert_eq!(derived, given);
    }

    #[test]
    fn made_keys_can_be_read_again() {
        let text = shared_key_text(&[3; 32]);
        assert!(text.expose_secret().starts_with("whsec_") && text.expose_secret().ends_with('='));
        assert!(SigningKey::parse(text.expose_secret()).is_ok());
        let (private, public) = ed25519_key_texts(&[4; 32]).unwrap();
        assert!(SigningKey::parse(private.expose_secret()).is_ok());
        assert!(VerifyingKey::parse(&public).is_ok());
    }

    #[test]
    fn debug_shows_no_key() {
        let key = SigningKey::parse(&STANDARD.encode([0x41; 32])).unwrap();
        assert!(!format!("{key:?}").contains("65"), "{key:?}");
        let key = SigningKey::parse(PRIVATE).unwrap();
        assert!(format!("{key:?}").contains("REDACTED"), "{key:?}");
    }
}
