//! How providers sign what they send: schemes as data, and one way to check them all.
//!
//! A [`Scheme`] says which kind of proof a request carries, where its signature and its time stand,
//! what is signed, and where the event's identity and type are found. The ones that have a name are
//! in `scheme/named.toml`, in the words that a configuration would use for one of its own; whether
//! a request is what it says to be is decided by [`Scheme::verify`], for every scheme alike:
//!
//! - The body is taken byte for byte. JSON is read only where a signature or a time stands in it,
//!   or after the request has proved itself.
//! - Whatever is missing, empty, said twice, or not exactly of its form is refused. Nothing falls
//!   back to a weaker proof.
//! - Every signature of a list is tried with every key; elements with another prefix are skipped.
//! - Times are whole numbers, and both sides of the tolerance count.
//! - Secrets and digests are compared in constant time, as bytes.

mod check;
mod form;
mod key;
mod message_signature;
mod named;
mod request;
mod template;

use std::time::Duration;

use serde::Deserialize;

pub use check::Fault;
pub use check::Proof;
pub use key::Key;
pub use key::KeyError;
pub use named::named;
pub use named::names;
pub use request::Request;
pub use template::Template;
pub use template::TemplateError;

/// The kind of proof that a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A keyed hash (RFC 2104) of what the template says.
    Hmac,
    /// A signature (RFC 8032) of what the template says; the key is the public one.
    Ed25519,
    /// An ECDSA signature over P-256 with SHA-256, in DER, of what the template says; the key is
    /// the public one.
    EcdsaP256,
    /// A plain hash of what the template says, which includes the secret.
    Digest,
    /// The secret itself.
    Token,
    /// The secret itself, as `Authorization: Bearer` has it (RFC 6750).
    Bearer,
    /// User and password, as `Authorization: Basic` has them (RFC 7617); the secret is
    /// `user:password`.
    Basic,
    /// An HTTP message signature (RFC 9421) by HMAC-SHA256, over a `Content-Digest` (RFC 9530).
    MessageHmac,
    /// The same by ed25519.
    MessageEd25519,
}

/// A hash function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    /// SHA-1, which is still sound as a keyed hash.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two digits for each byte, of either case.
    #[default]
    Hex,
    /// With padding (RFC 4648, section 4).
    Base64,
}

/// How the text of a secret becomes a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyEncoding {
    /// Its bytes are the key.
    #[default]
    Text,
    /// Base64, with or without padding.
    Base64,
    /// Hexadecimal.
    Hex,
}

/// The unit of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Unit {
    /// Seconds since 1970.
    #[default]
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds since 1970.
    #[serde(rename = "ms")]
    Milliseconds,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The value of this header.
    Header(String),
    /// What stands at this pointer (RFC 6901) of a JSON body.
    Json(String),
}

/// Where signatures stand, and how they are written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureRule {
    /// Where.
    pub at: Place,
    /// What stands between two of them, if there may be several.
    #[serde(default)]
    pub separator: Option<char>,
    /// What each begins with; others are skipped.
    #[serde(default)]
    pub prefix: String,
    /// How it is written.
    #[serde(default)]
    pub encoding: Encoding,
}

/// Where the time stands, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRule {
    /// Where.
    pub at: Place,
    /// What stands between it and its neighbours, if it has any.
    #[serde(default)]
    pub separator: Option<char>,
    /// What it begins with.
    #[serde(default)]
    pub prefix: String,
    /// Its unit.
    #[serde(default)]
    pub unit: Unit,
}

/// A header that may name another hash function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashRule {
    /// The header.
    pub header: String,
    /// What stands between its parts.
    pub separator: char,
    /// What the part begins with that names the function.
    pub prefix: String,
    /// What the function is called there when it is SHA-1.
    pub sha1: String,
    /// And when it is SHA-256.
    pub sha256: String,
}

/// What a provider asks before it sends events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handshake {
    /// A `url_verification` whose challenge is sent back.
    Slack,
    /// An `endpoint.url_validation` whose token is hashed with the secret.
    Zoom,
    /// A GET whose challenge is sent back if its token is the secret.
    Meta,
    /// Pings, of interactions and of webhooks.
    Discord,
}

/// How a provider signs what it sends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// What kind of proof a request carries.
    pub kind: Kind,
    /// Of an HMAC or a digest.
    #[serde(default)]
    pub hash: Hash,
    /// Where a request may name another hash function.
    #[serde(default)]
    pub hash_named: Option<HashRule>,
    /// How a secret is written.
    #[serde(default)]
    pub key: KeyEncoding,
    /// What a secret may begin with that is no part of the key.
    #[serde(default)]
    pub key_prefix: String,
    /// Where the signature stands, or the secret itself.
    pub signature: SignatureRule,
    /// Where the time of signing stands.
    #[serde(default)]
    pub time: Option<TimeRule>,
    /// Headers that must be there besides, and not be empty.
    #[serde(default)]
    pub require: Vec<String>,
    /// What is signed.
    #[serde(default)]
    pub signed: Template,
    /// The URL may have been signed with its port or without it.
    #[serde(default)]
    pub any_port: bool,
    /// The query parameter of the URL that bears the body's SHA-256 in hexadecimal.
    #[serde(default)]
    pub body_hash_in: Option<String>,
    /// How far the time may be from now, either way, in seconds; absent: it is not looked at.
    #[serde(default)]
    pub tolerance_s: Option<u64>,
    /// Where the identity of the event stands; the first that is there counts.
    #[serde(default)]
    pub event_id: Vec<Place>,
    /// Where its type stands; the first that is there counts.
    #[serde(default)]
    pub event_type: Vec<Place>,
    /// What a request is known by, where that is not the identity of its event; an empty list: its
    /// body. An identity that is not signed could be another one each time that a request is
    /// played back, and one that several requests share would hide all but the first.
    #[serde(default)]
    pub known_by: Option<Vec<Place>>,
    /// Requests with the same body are told apart by their type.
    #[serde(default)]
    pub known_with_type: bool,
    /// What the provider asks before it sends events.
    #[serde(default)]
    pub handshake: Option<Handshake>,
}

impl Scheme {
    /// Whether it is complete, and says nothing that its kind has no use for.
    ///
    /// # Errors
    /// What is wrong, as a sentence for whoever wrote it.
    pub fn check(&self) -> Result<(), &'static str> {
        let signs =
            matches!(self.kind, Kind::Hmac | Kind::Ed25519 | Kind::EcdsaP256 | Kind::Digest);
        if signs == self.signed.is_empty() {
            return Err(if signs {
                "signed is missing: what is signed, as in \"{ts}.{body}\""
            } else {
                "signed has no meaning for this kind"
            });
        }
        if self.signed.has_time() && self.time.is_none() {
            return Err("signed names {ts}, and time is missing");
        }
        if self.signed.has_secret() != (self.kind == Kind::Digest) {
            return Err("{secret} stands in what is signed of a digest, and only there");
        }
        if self.tolerance_s.is_some() && !self.has_time() {
            return Err("tolerance has no meaning without time");
        }
        if self.time.is_some() && !signs {
            return Err("this kind of proof bears no time");
        }
        if self.time.as_ref().is_some_and(|time| !self.signed.covers(&time.at)) {
            return Err("the time is not signed: name {ts} in what is signed");
        }
        if self.body_hash_in.is_some() && !self.signed.has_url() {
            return Err("the hash of the body stands in the URL, which is not signed");
        }
        if !signs && matches!(self.signature.at, Place::Json(_)) {
            return Err("this kind of proof stands in a header");
        }
        Ok(())
    }

    /// How far the time may be from now, as the provider's own library has it.
    pub fn tolerance(&self) -> Option<Duration> {
        self.tolerance_s.map(Duration::from_secs)
    }

    /// Whether what is signed names the URL of the request, so that it must be known from outside.
    pub fn needs_url(&self) -> bool {
        self.signed.has_url() || self.is_message_signature()
    }

    /// Where that stands by which a request is told from another.
    pub fn known_by(&self) -> &[Place] {
        self.known_by.as_deref().unwrap_or(&self.event_id)
    }

    /// Whether a request says when it was signed.
    pub fn has_time(&self) -> bool {
        self.time.is_some() || self.is_message_signature()
    }

    fn is_message_signature(&self) -> bool {
        matches!(self.kind, Kind::MessageHmac | Kind::MessageEd25519)
    }
}
