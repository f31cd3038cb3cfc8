//! TLS: whose certificates are trusted, and which protocols are offered.
//!
//! ring is the only provider of cryptography. There is no revocation check, and no client
//! certificate.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::SupportedProtocolVersion;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::UnixTime;
use rustls_pki_types::pem::PemObject;

use crate::courier::settings::Clock;
use crate::courier::settings::Roots;
use crate::courier::settings::Settings;
use crate::courier::settings::TlsVersion;

const V1_3_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const V1_2_AND_UP: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Why no courier can be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file with trusted certificates cannot be read.
    #[error("cannot read certificates from {}: {why}", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS versions and ciphers do not fit together.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The user agent cannot be sent as a header.
    #[error("the user agent is not a valid header value")]
    UserAgent,
}

/// The settings of every TLS session, and how many certificates are trusted. They are judged by the
/// wall clock.
pub(super) fn client_config(
    settings: &Settings,
    wall: &Clock,
) -> Result<(Arc<ClientConfig>, usize), SetupError> {
    let roots = roots(settings)?;
    let trusted = roots.len();
    let versions = match settings.tls_min {
        TlsVersion::V1_2 => V1_2_AND_UP,
        TlsVersion::V1_3 => V1_3_ONLY,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(WallTime(Arc::clone(wall)));
    let mut config = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if settings.http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok((Arc::new(config), trusted))
}

/// The system may have no certificates at all (a bare container), which is no error here: calls by
/// https fail then, each saying so, and calls by http do not need any.
fn roots(settings: &Settings) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    match &settings.roots {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
        Roots::File(path) => add_file(&mut roots, path)?,
    }
    for path in &settings.extra_roots {
        add_file(&mut roots, path)?;
    }
    Ok(roots)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), SetupError> {
    let wrong = |why: String| SetupError::Roots { path: path.to_owned(), why };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(())
}

/// Certificates are judged by the daemon's reading of the wall clock.
struct WallTime(Clock);

impl TimeProvider for WallTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs((self.0)().as_secs())))
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallTime")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;

    fn settings(extra: &Path) -> Settings {
        Settings {
            user_agent: "postrider".to_owned(),
            http2: true,
            pool_idle_timeout: Duration::ZERO,
            dns_cache_ttl: Duration::ZERO,
            roots: Roots::File("tests/data/authority.pem".into()),
            extra_roots: vec![extra.to_owned()],
            tls_min: TlsVersion::V1_2,
        }
    }

    #[test]
    fn a_named_file_must_hold_certificates() {
        let clock: Clock = Arc::new(|| Time::ZERO);
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n";
        for content in ["", "no pem", key] {
            std::fs::write(file.path(), content).unwrap();
            let error = client_config(&settings(file.path()), &clock).unwrap_err();
            assert!(matches!(error, SetupError::Roots { .. }), "{content:?}: {error}");
        }
        let missing = client_config(&settings(Path::new("/no/such/file.pem")), &clock);
        assert!(missing.unwrap_err().to_string().contains("/no/such/file.pem"));
    }
}
