//! Signing secrets: where they stand, and what they are. A file, a systemd credential or an
//! environment variable holds them; the configuration names only the place. A literal is possible,
//! because the management API must be able to take one.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use figment::value::Value;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::policy::keys::KeyError;
use crate::policy::keys::SigningKey;
use crate::policy::scheme;
use crate::policy::scheme::Scheme;

/// The largest file that holds a secret.
pub const SECRET_FILE_BYTES_MAX: u64 = 4096;

/// How to write a secret, for help texts.
const HOW: &str = "write { file = \"/path\" }, { credential = \"name\" } or { env = \"NAME\" }";

/// Where a secret stands.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In a file of its own.
    File(PathBuf),
    /// In a file of `$CREDENTIALS_DIRECTORY` (systemd's `LoadCredential=`).
    Credential(String),
    /// In an environment variable.
    Env(String),
    /// In the definition itself.
    Value,
}

/// A secret and where it came from.
#[derive(Clone)]
pub struct Secret {
    /// Where it stands.
    pub reference: SecretRef,
    text: SecretString,
}

/// Why a secret cannot be had or used. No variant carries any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is not written as a reference.
    #[error("a secret is named by the place where it stands")]
    Form,
    /// Nothing can be read there.
    #[error("cannot read {place}: {reason}")]
    Unreadable {
        /// Where.
        place: String,
        /// Why.
        reason: String,
    },
    /// There is no such credential or variable.
    #[error("{0} is not set")]
    NotSet(String),
    /// It is no secret of Standard Webhooks.
    #[error("{place} holds no secret: {reason}")]
    Malformed {
        /// Where.
        place: String,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// It is no secret of the scheme that it is for.
    #[error("{place} holds no secret of this scheme: {reason}")]
    OfScheme {
        /// Where.
        place: String,
        /// What is wrong with it.
        reason: scheme::KeyError,
    },
}

/// Where references lead: the environment and the credentials of this process.
#[derive(Clone, Default)]
pub struct Vault {
    variables: BTreeMap<String, String>,
}

impl Secret {
    /// The secret itself: whoever it is for has accepted it.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl SecretError {
    /// What to do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            SecretError::Form => Some(HOW),
            SecretError::Malformed { .. } => Some("make one with: postrider secret generate"),
            SecretError::OfScheme { .. }
            | SecretError::Unreadable { .. }
            | SecretError::NotSet(_) => None,
        }
    }
}

impl Vault {
    /// From the environment of the process.
    pub fn new(variables: BTreeMap<String, String>) -> Vault {
        Vault { variables }
    }

    /// The secret to sign with that a value names, and what is unsafe about where it stands.
    ///
    /// # Errors
    /// [`SecretError`] if it names nothing, or what is there is no secret.
    pub fn secret(&self, value: &Value) -> Result<(Secret, Option<String>), SecretError> {
        let (secret, open) = self.read(value)?;
        let place = secret.reference.to_string();
        SigningKey::parse(secret.expose())
            .map_err(|reason| SecretError::Malformed { place, reason })?;
        Ok((secret, open))
    }

    /// The secret to verify with, as a provider's scheme has it.
    ///
    /// # Errors
    /// [`SecretError`] if it names nothing, or what is there is no secret of the scheme.
    pub fn secret_of(
        &self,
        scheme: &Scheme,
        value: &Value,
    ) -> Result<(Secret, Option<String>), SecretError> {
        let (secret, open) = self.read(value)?;
        let place = secret.reference.to_string();
        scheme::Key::parse(scheme, secret.expose())
            .map_err(|reason| SecretError::OfScheme { place, reason })?;
        Ok((secret, open))
    }

    fn read(&self, value: &Value) -> Result<(Secret, Option<String>), SecretError> {
        let table = value.as_dict().filter(|table| table.len() == 1).ok_or(SecretError::Form)?;
        let (key, value) = table.iter().next().ok_or(SecretError::Form)?;
        let named = value.as_str().ok_or(SecretError::Form)?;
        let (reference, text, open) = match key.as_str() {
            "file" => {
                let path = PathBuf::from(named);
                let (text, open) = read_file(&path)?;
                (SecretRef::File(path), text, open)
            }
            "credential" => {
                let path = self.credential(named)?;
                let (text, _) = read_file(&path)?;
                (SecretRef::Credential(named.to_owned()), text, None)
            }
            "env" => {
                let missing = || SecretError::NotSet(format!("the variable {named}"));
                let text = self.variables.get(named).ok_or_else(missing)?;
                (SecretRef::Env(named.to_owned()), Zeroizing::new(text.clone()), None)
            }
            "value" => (SecretRef::Value, Zeroizing::new(named.to_owned()), None),
            _ => return Err(SecretError::Form),
        };
        let text = text.trim_end_matches(['\n', '\r']);
        let text = SecretString::from(text.to_owned());
        Ok((Secret { reference, text }, open))
    }

    fn credential(&self, name: &str) -> Result<PathBuf, SecretError> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(SecretError::NotSet(format!("the credential \"{name}\"")));
        }
        let directory = self.variables.get("CREDENTIALS_DIRECTORY");
        let directory = directory.ok_or_else(|| {
            SecretError::NotSet("CREDENTIALS_DIRECTORY (LoadCredential= in the unit)".to_owned())
        })?;
        Ok(Path::new(directory).join(name))
    }
}

/// A file's text, and what is unsafe about its permissions.
fn read_file(path: &Path) -> Result<(Zeroizing<String>, Option<String>), SecretError> {
    let place = path.display().to_string();
    let unreadable = |reason: String| SecretError::Unreadable { place: place.clone(), reason };
    let meta = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !meta.is_file() || meta.len() > SECRET_FILE_BYTES_MAX {
        return Err(unreadable(format!("not a file of at most {SECRET_FILE_BYTES_MAX} bytes")));
    }
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut file = file.take(SECRET_FILE_BYTES_MAX);
    file.read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    Ok((text, open_to_others(path)))
}

/// Says so if a file can be read by everyone, or changed by anyone but its owner. Its group may
/// read it: that is how a file of root's is given to the daemon.
pub(crate) fn open_to_others(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let open = mode & 0o026 != 0;
    open.then(|| format!("{} can be read or changed by others (mode {mode:04o})", path.display()))
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::File(path) => write!(f, "{}", path.display()),
            SecretRef::Credential(name) => write!(f, "the credential \"{name}\""),
            SecretRef::Env(name) => write!(f, "the variable {name}"),
            SecretRef::Value => f.write_str("the value"),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<redacted, from {}>", self.reference)
    }
}

impl PartialEq for Secret {
    /// Compares the secrets themselves, so that a file that was rewritten counts as a change. Not
    /// in constant time: both sides are ours.
    fn eq(&self, other: &Secret) -> bool {
        self.reference == other.reference && self.expose() == other.expose()
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_stays_inside_its_directory() {
        let variables = [("CREDENTIALS_DIRECTORY".to_owned(), "/run/credentials/p".to_owned())];
        let vault = Vault::new(variables.into());
        assert_eq!(vault.credential("billing"), Ok("/run/credentials/p/billing".into()));
        assert!(vault.credential("../shadow").is_err());
        assert!(vault.credential("").is_err());
    }
}
