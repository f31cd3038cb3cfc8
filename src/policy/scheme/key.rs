//! Keys of schemes: what the text of a secret stands for.

use ring::digest;
use ring::hmac;
use secrecy::ExposeSecret;
use secrecy::SecretSlice;
use subtle::ConstantTimeEq;

use crate::policy::hex::hex;
use crate::policy::hex::unhex;
use crate::policy::keys::LENIENT;
use crate::policy::scheme::KeyEncoding;
use crate::policy::scheme::Kind;
use crate::policy::scheme::Scheme;

/// The longest key in bytes.
const KEY_BYTES_MAX: usize = 4 * 1024;
/// An ed25519 public key in bytes.
const ED25519_BYTES: usize = 32;
/// What stands before the point of a P-256 key in its `SubjectPublicKeyInfo` (RFC 5480): a
/// sequence of the algorithm (ecPublicKey, prime256v1) and a bit string.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: 4, and two numbers.
const P256_POINT_BYTES: usize = 65;

/// What a request is checked with: a shared secret, or a public key.
#[derive(Debug)]
pub struct Key(SecretSlice<u8>);

/// Why a text is no key of a scheme. None of these repeats any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// It is longer than any key.
    #[error("it is longer than {KEY_BYTES_MAX} bytes")]
    Long,
    /// It is not base64.
    #[error("it is not base64")]
    Base64,
    /// It is not hexadecimal.
    #[error("it is not hexadecimal")]
    Hex,
    /// An ed25519 public key of another size.
    #[error("an ed25519 public key has {ED25519_BYTES} bytes, this one {0}")]
    Ed25519(usize),
    /// Not the public key that is needed.
    #[error("it is not the DER of a P-256 public key")]
    P256,
    /// User and password without a colon between.
    #[error("it must be user:password")]
    Basic,
}

impl Key {
    /// Reads the text of a secret as this scheme has it; space around it is ignored.
    ///
    /// # Errors
    /// [`KeyError`] if it is none.
    pub fn parse(scheme: &Scheme, text: &str) -> Result<Key, KeyError> {
        use base64::Engine;
        let text = text.trim();
        let text = text.strip_prefix(scheme.key_prefix.as_str()).unwrap_or(text);
        if text.len() > KEY_BYTES_MAX {
            return Err(KeyError::Long);
        }
        let bytes = match scheme.key {
            KeyEncoding::Text => text.as_bytes().to_vec(),
            KeyEncoding::Base64 => LENIENT.decode(text).map_err(|_| KeyError::Base64)?,
            KeyEncoding::Hex => unhex(text.as_bytes()).ok_or(KeyError::Hex)?,
        };
        let bytes = match scheme.kind {
            _ if bytes.is_empty() => return Err(KeyError::Empty),
            Kind::Ed25519 | Kind::MessageEd25519 if bytes.len() != ED25519_BYTES => {
                return Err(KeyError::Ed25519(bytes.len()));
            }
            Kind::EcdsaP256 => match bytes.strip_prefix(&P256_HEAD) {
                Some(point) if point.len() == P256_POINT_BYTES => point.to_vec(),
                _ => return Err(KeyError::P256),
            },
            Kind::Basic if !bytes.contains(&b':') => return Err(KeyError::Basic),
            _ => bytes,
        };
        Ok(Key(bytes.into()))
    }

    /// The HMAC-SHA256 of a text with this key, in hexadecimal.
    pub fn hmac_hex(&self, text: &[u8]) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.bytes()), text);
        hex(tag.as_ref())
    }

    /// Whether this is the key itself, in a time that says nothing of it.
    pub fn is(&self, text: &[u8]) -> bool {
        // hashes are of one length
        let hash = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes);
        hash(self.bytes()).as_ref().ct_eq(hash(text).as_ref()).into()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}
