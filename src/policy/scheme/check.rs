//! Whether a request proves what it says to be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use ring::hmac;
use ring::signature;
use ring::signature::UnparsedPublicKey;
use subtle::ConstantTimeEq;

use crate::model::Time;
use crate::policy::hex::unhex;
use crate::policy::scheme::Encoding;
use crate::policy::scheme::Hash;
use crate::policy::scheme::Kind;
use crate::policy::scheme::Place;
use crate::policy::scheme::Scheme;
use crate::policy::scheme::SignatureRule;
use crate::policy::scheme::TimeRule;
use crate::policy::scheme::Unit;
use crate::policy::scheme::form;
use crate::policy::scheme::key::Key;
use crate::policy::scheme::message_signature;
use crate::policy::scheme::request::Request;
use crate::policy::scheme::template::Part;

/// Signatures that are looked at in one list: a secret that is being replaced makes two.
const SIGNATURES_MAX: usize = 8;
/// The most digits a time may have.
const TIME_DIGITS_MAX: usize = 16;

/// Why a request is not accepted. For the log of whoever runs the receiver; whoever sent the
/// request is told no more than that it was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A header, or a field of the body, is missing or empty.
    #[error("{0} is missing or empty")]
    Missing(String),
    /// A header, or a field of the body, is not of its form, or is there twice.
    #[error("{0} is malformed")]
    Malformed(String),
    /// It was signed too long ago: a replay, or one of the two clocks is wrong.
    #[error("it was signed {0} s ago, which is too long: a replay, or a clock is wrong")]
    Stale(u64),
    /// It claims to come from the future: one of the two clocks is wrong.
    #[error("it was signed {0} s in the future: a clock is wrong")]
    Future(u64),
    /// No signature fits any key.
    #[error("no signature matches: another secret, or the request was changed on its way")]
    NoMatch,
    /// The body is not the one that the request says it is.
    #[error("the body does not have the hash that the request says")]
    Digest,
    /// It names an algorithm that is not the one of the scheme.
    #[error("it names another algorithm than the scheme has")]
    Algorithm,
    /// Its signature leaves out what must be signed.
    #[error("the signature does not cover {0}")]
    Uncovered(&'static str),
}

impl Fault {
    /// Its word, in metrics and lists.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Fault::Missing(_) => "missing",
            Fault::Malformed(_) => "malformed",
            Fault::Stale(_) => "stale",
            Fault::Future(_) => "future",
            Fault::NoMatch => "no_match",
            Fault::Digest => "digest",
            Fault::Algorithm => "algorithm",
            Fault::Uncovered(_) => "uncovered",
        }
    }
}

/// A request that has proved itself.
#[derive(Debug)]
pub struct Proof<'k> {
    /// The key that it was made with.
    pub key: &'k Key,
    /// What was signed, time and all; nothing, where the secret itself was the proof.
    signed: Vec<u8>,
}

impl Scheme {
    /// That the request was made by somebody who has one of the secrets, within `tolerance_s`
    /// seconds of `now` (`None`: at any time).
    ///
    /// # Errors
    /// [`Fault`]: it must not be trusted.
    pub fn verify<'k>(
        &self,
        keys: &'k [Key],
        request: &Request<'_>,
        now: Time,
        tolerance_s: Option<u64>,
    ) -> Result<Proof<'k>, Fault> {
        for header in &self.require {
            request.header(header)?;
        }
        match self.kind {
            Kind::Token | Kind::Bearer | Kind::Basic => self.verify_secret(keys, request),
            Kind::MessageHmac | Kind::MessageEd25519 => {
                message_signature::verify(self.kind, keys, request, now, tolerance_s)
            }
            Kind::Hmac | Kind::Ed25519 | Kind::EcdsaP256 | Kind::Digest => {
                let time = self.time.as_ref().map(|rule| time_of(request, rule)).transpose()?;
                if let (Some((_, at_s)), Some(tolerance_s)) = (&time, tolerance_s) {
                    check_age(*at_s, now.as_secs(), tolerance_s)?;
                }
                let time = time.map(|(text, _)| text).unwrap_or_default();
                self.verify_signature(keys, request, &time)
            }
        }
    }

    fn verify_secret<'k>(
        &self,
        keys: &'k [Key],
        request: &Request<'_>,
    ) -> Result<Proof<'k>, Fault> {
        let said = request.at(&self.signature.at)?;
        let offered = match self.kind {
            Kind::Bearer => credentials(&said, b"bearer")?.to_vec(),
            Kind::Basic => STANDARD
                .decode(credentials(&said, b"basic")?)
                .map_err(|_| Fault::Malformed("authorization".to_owned()))?,
            _ => said.into_owned(),
        };
        let key = keys.iter().find(|key| key.is(&offered)).ok_or(Fault::NoMatch)?;
        Ok(Proof::of(key, Vec::new()))
    }

    fn verify_signature<'k>(
        &self,
        keys: &'k [Key],
        request: &Request<'_>,
        time: &[u8],
    ) -> Result<Proof<'k>, Fault> {
        let offered = signatures(request, &self.signature)?;
        let hash = self.hash_of(request)?;
        let hashed = match &self.body_hash_in {
            Some(parameter) => form::check_body_hash(request, parameter)?,
            None => false,
        };
        let form =
            if self.signed.has_form() && !hashed { form::fields(request)? } else { Vec::new() };
        let urls = if self.any_port {
            form::with_any_port(request.url())
        } else {
            vec![request.url().to_owned()]
        };
        for key in keys {
            for url in &urls {
                let signed = self.signed_string(request, key, time, url, &form)?;
                if fits_any(self.kind, hash, key, &signed, &offered) {
                    return Ok(Proof::of(key, signed));
                }
            }
        }
        Err(Fault::NoMatch)
    }

    fn signed_string(
        &self,
        request: &Request<'_>,
        key: &Key,
        time: &[u8],
        url: &str,
        form: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let mut signed = Vec::new();
        for part in &self.signed.0 {
            match part {
                Part::Literal(text) => signed.extend_from_slice(text.as_bytes()),
                Part::Body => signed.extend_from_slice(request.body()),
                Part::Time => signed.extend_from_slice(time),
                Part::Url => signed.extend_from_slice(url.as_bytes()),
                Part::Header(name) => signed.extend_from_slice(request.header(name)?),
                Part::Json(pointer) => signed.extend_from_slice(request.json(pointer)?.as_bytes()),
                Part::Secret => signed.extend_from_slice(key.bytes()),
                Part::Form => signed.extend_from_slice(form),
            }
        }
        Ok(signed)
    }

    /// The hash function: the one that the request names, where it may name one.
    fn hash_of(&self, request: &Request<'_>) -> Result<Hash, Fault> {
        let Some(rule) = &self.hash_named else { return Ok(self.hash) };
        let said = match request.header(&rule.header) {
            Ok(said) => said,
            Err(Fault::Missing(_)) => return Ok(self.hash),
            Err(fault) => return Err(fault),
        };
        let said = std::str::from_utf8(said).map_err(|_| Fault::Algorithm)?;
        let mut parts = said.split(rule.separator).map(str::trim);
        match parts.find_map(|part| part.strip_prefix(rule.prefix.as_str())) {
            Some(name) if name == rule.sha1 => Ok(Hash::Sha1),
            Some(name) if name == rule.sha256 => Ok(Hash::Sha256),
            _ => Err(Fault::Algorithm),
        }
    }
}

impl<'k> Proof<'k> {
    pub(super) fn of(key: &'k Key, signed: Vec<u8>) -> Proof<'k> {
        Proof { key, signed }
    }

    /// The hash of what was signed: of a request that is played back, the same.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.signed).as_ref());
        hash
    }
}

/// What stands behind the name of the authentication scheme, which is of any case.
fn credentials<'a>(said: &'a [u8], scheme: &[u8]) -> Result<&'a [u8], Fault> {
    let malformed = || Fault::Malformed("authorization".to_owned());
    let (name, rest) = said.split_at_checked(scheme.len()).ok_or_else(malformed)?;
    let rest = rest.strip_prefix(b" ").filter(|_| name.eq_ignore_ascii_case(scheme));
    rest.map(<[u8]>::trim_ascii_start).filter(|rest| !rest.is_empty()).ok_or_else(malformed)
}

/// The elements of a value that may be a list.
fn elements(value: &str, separator: Option<char>) -> impl Iterator<Item = &str> {
    let list = value.split(move |c| separator == Some(c)).map(str::trim);
    list.filter(|element| !element.is_empty())
}

fn name_of(place: &Place) -> &str {
    match place {
        Place::Header(name) | Place::Json(name) => name,
    }
}

/// The time as it is written, and in seconds.
fn time_of(request: &Request<'_>, rule: &TimeRule) -> Result<(Vec<u8>, u64), Fault> {
    let malformed = || Fault::Malformed(name_of(&rule.at).to_owned());
    let value = request.at(&rule.at)?;
    let value = std::str::from_utf8(&value).map_err(|_| malformed())?;
    let mut found = elements(value, rule.separator)
        .filter_map(|element| element.strip_prefix(rule.prefix.as_str()));
    let (text, more) = (found.next().ok_or_else(malformed)?, found.next());
    let is_time = text.len() <= TIME_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 =
        text.parse().ok().filter(|_| is_time && more.is_none()).ok_or_else(malformed)?;
    let at_s = match rule.unit {
        Unit::Seconds => number,
        Unit::Milliseconds => number / 1_000,
    };
    Ok((text.as_bytes().to_vec(), at_s))
}

/// Refuses what lies too far from now.
pub(super) fn check_age(at_s: u64, now_s: u64, tolerance_s: u64) -> Result<(), Fault> {
    let (age, lead) = (now_s.saturating_sub(at_s), at_s.saturating_sub(now_s));
    if age > tolerance_s {
        return Err(Fault::Stale(age));
    }
    if lead > tolerance_s {
        return Err(Fault::Future(lead));
    }
    Ok(())
}

/// The signatures that can be read.
fn signatures(request: &Request<'_>, rule: &SignatureRule) -> Result<Vec<Vec<u8>>, Fault> {
    let malformed = || Fault::Malformed(name_of(&rule.at).to_owned());
    let value = request.at(&rule.at)?;
    let value = std::str::from_utf8(&value).map_err(|_| malformed())?;
    let one = |element: &str| {
        let text = element.strip_prefix(rule.prefix.as_str())?;
        let bytes = match rule.encoding {
            Encoding::Hex => unhex(text.as_bytes()),
            Encoding::Base64 => STANDARD.decode(text).ok(),
        };
        bytes.filter(|bytes| !bytes.is_empty())
    };
    let all = elements(value, rule.separator).take(SIGNATURES_MAX);
    let found: Vec<_> = all.filter_map(one).collect();
    if found.is_empty() { Err(malformed()) } else { Ok(found) }
}

/// Whether one of the signatures was made of this with the key. The work does not grow with their
/// number where a hash is compared.
pub(super) fn fits_any(
    kind: Kind,
    hash: Hash,
    key: &Key,
    signed: &[u8],
    signatures: &[Vec<u8>],
) -> bool {
    let is_one = |own: &[u8]| signatures.iter().any(|other| own.ct_eq(other).into());
    let verifies = |algorithm: &'static dyn signature::VerificationAlgorithm| {
        let key = UnparsedPublicKey::new(algorithm, key.bytes());
        signatures.iter().any(|signature| key.verify(signed, signature).is_ok())
    };
    match kind {
        Kind::Hmac | Kind::MessageHmac => {
            let algorithm = match hash {
                Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                Hash::Sha256 => hmac::HMAC_SHA256,
                Hash::Sha512 => hmac::HMAC_SHA512,
            };
            is_one(hmac::sign(&hmac::Key::new(algorithm, key.bytes()), signed).as_ref())
        }
        Kind::Digest => {
            let algorithm = match hash {
                Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
                Hash::Sha256 => &digest::SHA256,
                Hash::Sha512 => &digest::SHA512,
            };
            is_one(digest::digest(algorithm, signed).as_ref())
        }
        Kind::Ed25519 | Kind::MessageEd25519 => verifies(&signature::ED25519),
        Kind::EcdsaP256 => verifies(&signature::ECDSA_P256_SHA256_ASN1),
        Kind::Token | Kind::Bearer | Kind::Basic => false,
    }
}
