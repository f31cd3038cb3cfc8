//! The `--secret` options that the developer commands share, and what they stand for.
//!
//! A secret on the command line is seen by everyone who can list processes, so that a literal one
//! is taken with a warning; `@FILE`, `--secret-file` and the environment are the ways to go. A file
//! or variable may hold several secrets, separated by white space: the current one first, then
//! those that are being rotated out.

use std::fmt;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use http::HeaderMap;
use http::HeaderValue;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::model::Time;
use crate::policy::keys::KeyError;
use crate::policy::keys::SigningKey;
use crate::policy::keys::VerifyingKey;
use crate::policy::sign::SignatureHeaders;
use crate::policy::verify::Signed;
use crate::policy::verify::TOLERANCE_SECS;
use crate::policy::verify::VerifyError;
use crate::policy::verify::verify;

/// The environment variable that holds secrets where no option does.
pub const SECRET_ENV: &str = "POSTRIDER_SECRET";
/// Secrets that are taken at once; a rotation needs two.
pub const SECRETS_MAX: usize = 8;
/// The longest secret file, in bytes.
pub const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

/// Where secrets come from.
#[derive(Clone, Default, clap::Args)]
pub struct KeyOptions {
    /// A signing secret: @FILE to read it from a file; whsec_... itself is seen by every user
    /// of this machine.  [env: POSTRIDER_SECRET]
    #[arg(long = "secret", value_name = "@FILE")]
    secrets: Vec<String>,
    /// Read signing secrets from a file (one a line, the current one first).
    #[arg(long = "secret-file", value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Never shows what was given.
impl fmt::Debug for KeyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyOptions({} secrets, {} files)", self.secrets.len(), self.files.len())
    }
}

/// Why the secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyOptionsError {
    /// A file cannot be read.
    #[error("cannot read the secret file {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no secret file.
    #[error("the secret file {} has more than {SECRET_FILE_BYTES_MAX} bytes", path.display())]
    FileTooLong {
        /// Which.
        path: PathBuf,
    },
    /// One of them is no key.
    #[error("secret {place}: {source}")]
    Key {
        /// Which, counted from one.
        place: usize,
        /// Why.
        source: KeyError,
    },
    /// Too many.
    #[error("more than {SECRETS_MAX} secrets")]
    TooMany,
    /// Needed, but none given.
    #[error("no secret: use --secret-file FILE, --secret @FILE or set {SECRET_ENV}")]
    Missing,
}

/// What the signature of a request is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// There is no key to check it with.
    Unchecked,
    /// One of the keys made it, and it is recent.
    Good,
    /// It must not be trusted.
    Bad(VerifyError),
}

/// The keys that a receiver knows; with none, signatures are not checked.
#[derive(Debug, Default)]
pub struct VerifyKeys(pub Vec<VerifyingKey>);

impl KeyOptions {
    /// The keys to sign with, the current one first: those of the options or, without any, those
    /// of the environment variable's value. A literal secret is remarked upon in `talk`.
    ///
    /// # Errors
    /// [`KeyOptionsError`], also if there is none.
    pub fn signing(
        &self,
        environment: Option<String>,
        talk: &mut impl Write,
    ) -> Result<Vec<SigningKey>, KeyOptionsError> {
        let keys = parsed(&self.resolve(environment, talk)?, SigningKey::parse)?;
        if keys.is_empty() { Err(KeyOptionsError::Missing) } else { Ok(keys) }
    }

    /// The keys to verify with; there may be none.
    ///
    /// # Errors
    /// [`KeyOptionsError`]
    pub fn verifying(
        &self,
        environment: Option<String>,
        talk: &mut impl Write,
    ) -> Result<VerifyKeys, KeyOptionsError> {
        parsed(&self.resolve(environment, talk)?, VerifyingKey::parse).map(VerifyKeys)
    }

    fn resolve(
        &self,
        environment: Option<String>,
        talk: &mut impl Write,
    ) -> Result<Vec<SecretString>, KeyOptionsError> {
        let mut secrets = Vec::new();
        for given in &self.secrets {
            match given.strip_prefix('@') {
                Some(path) => secrets.extend(read(Path::new(path))?),
                None => {
                    // a warning that cannot be written changes nothing
                    let _lost = writeln!(
                        talk,
                        "postrider: a secret on the command line is seen by every user of this \
                         machine; use --secret-file FILE or {SECRET_ENV}"
                    );
                    secrets.extend(split(given));
                }
            }
        }
        for path in &self.files {
            secrets.extend(read(path)?);
        }
        if self.secrets.is_empty() && self.files.is_empty() {
            secrets.extend(split(&environment.unwrap_or_default()));
        }
        if secrets.len() > SECRETS_MAX { Err(KeyOptionsError::TooMany) } else { Ok(secrets) }
    }
}

impl VerifyKeys {
    /// Checks a request as of `now`, with the usual tolerance.
    pub fn check(&self, headers: &HeaderMap, body: &[u8], now: Time) -> Signature {
        self.check_within(headers, body, now, Some(TOLERANCE_SECS))
    }

    /// Checks a request that may be `tolerance_secs` away from `now`, or any time.
    pub fn check_within(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Time,
        tolerance_secs: Option<u64>,
    ) -> Signature {
        if self.0.is_empty() {
            return Signature::Unchecked;
        }
        let names = SignatureHeaders::standard();
        let value = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let signed = Signed {
            id: value(&names.id),
            timestamp: value(&names.timestamp),
            signature: value(&names.signature),
            body,
        };
        match verify(&self.0, &signed, now.as_secs(), tolerance_secs) {
            Ok(()) => Signature::Good,
            Err(error) => Signature::Bad(error),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signature::Unchecked => f.write_str("signature not checked"),
            Signature::Good => f.write_str("signature ok"),
            Signature::Bad(error) => write!(f, "SIGNATURE BAD: {error}"),
        }
    }
}

fn parsed<K>(
    secrets: &[SecretString],
    parse: impl Fn(&str) -> Result<K, KeyError>,
) -> Result<Vec<K>, KeyOptionsError> {
    let one = |(index, secret): (usize, &SecretString)| {
        parse(secret.expose_secret())
            .map_err(|source| KeyOptionsError::Key { place: index + 1, source })
    };
    secrets.iter().enumerate().map(one).collect()
}

fn read(path: &Path) -> Result<Vec<SecretString>, KeyOptionsError> {
    let fault = |source| KeyOptionsError::File { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(fault)?;
    let read = file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(fault)?;
    if u64::try_from(read).is_ok_and(|read| read > SECRET_FILE_BYTES_MAX) {
        return Err(KeyOptionsError::FileTooLong { path: path.to_owned() });
    }
    Ok(split(&text))
}

fn split(text: &str) -> Vec<SecretString> {
    text.split_whitespace().map(SecretString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn options(secrets: &[&str], files: &[&Path]) -> KeyOptions {
        KeyOptions {
            secrets: secrets.iter().map(|text| (*text).to_owned()).collect(),
            files: files.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    #[test]
    fn a_file_holds_the_secrets_of_a_rotation_and_nothing_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        std::fs::write(&path, format!("{SECRET}\n{SECRET}\n")).unwrap();
        let mut talk = Vec::new();
        let at = format!("@{}", path.display());
        let keys = options(&[&at], &[&path]).signing(None, &mut talk).unwrap();
        assert_eq!((keys.len(), talk.len()), (4, 0));
    }

    #[test]
    fn a_literal_secret_is_taken_with_a_warning_that_does_not_repeat_it() {
        let mut talk = Vec::new();
        let given = options(&[SECRET], &[]);
        assert_eq!(given.signing(None, &mut talk).unwrap().len(), 1);
        let talk = String::from_utf8(talk).unwrap();
        assert!(talk.contains(SECRET_ENV) && !talk.contains(SECRET), "{talk}");
        assert!(!format!("{given:?}").contains(SECRET));
    }

    #[test]
    fn the_environment_counts_where_no_option_is_given() {
        let mut talk = Vec::new();
        let environment = Some(SECRET.to_owned());
        assert_eq!(options(&[], &[]).signing(environment, &mut talk).unwrap().len(), 1);
        assert!(matches!(
            options(&[], &[]).signing(None, &mut talk),
            Err(KeyOptionsError::Missing)
        ));
        assert_eq!(options(&[], &[]).verifying(None, &mut talk).unwrap().0.len(), 0);
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_text() {
        let mut talk = Vec::new();
        let error = options(&[SECRET, "whsec_tooshort"], &[]).signing(None, &mut talk);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("secret 2: ") && !error.contains("tooshort"), "{error}");
        let many = [SECRET].repeat(SECRETS_MAX + 1).join(" ");
        let error = options(&[], &[]).signing(Some(many), &mut talk);
        assert!(matches!(error, Err(KeyOptionsError::TooMany)));
        let endless = options(&[], &[Path::new("/dev/zero")]).signing(None, &mut talk);
        assert!(matches!(endless, Err(KeyOptionsError::FileTooLong { .. })));
    }
}
