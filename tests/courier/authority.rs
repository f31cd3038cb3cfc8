//! Certificates, and servers that have them.

use std::io::Write;
use std::sync::Arc;

use postrider::courier::Roots;
use postrider::courier::Settings;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

use crate::receiver::Receiver;
use crate::world::World;
use crate::world::settings;

/// The name that certificates are made for.
pub(crate) const NAME: &str = "shop.example.org";
pub(crate) const BOTH: &[&SupportedProtocolVersion] =
    &[&rustls::version::TLS12, &rustls::version::TLS13];
pub(crate) const ONLY_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// An authority that the courier trusts.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: NamedTempFile,
}

/// A certificate and its key.
pub(crate) struct Identity(pub(crate) CertificateDer<'static>, pub(crate) PrivateKeyDer<'static>);

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(certificate.pem().as_bytes()).unwrap();
        Authority { issuer: Issuer::new(params, key), file }
    }

    pub(crate) fn identity(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names = vec![NAME.to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity(certificate.into(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { roots: Roots::File(self.file.path().to_owned()), ..settings() }
    }

    pub(crate) fn world(&self) -> World {
        let world = World::with(&self.settings());
        world.names.set(NAME, &[&["127.0.0.1"]]);
        world
    }
}

/// A server with these versions of TLS, and these protocols to choose from.
pub(crate) fn acceptor(
    identity: Identity,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.0], identity.1)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config).into()
}

/// Where a receiver is called by [`NAME`].
pub(crate) fn url(receiver: &Receiver) -> String {
    format!("https://{NAME}:{}/hook", receiver.address.port())
}
