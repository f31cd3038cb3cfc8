//! TLS sessions, good and bad.

use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider::courier::Settings;
use postrider::courier::TlsVersion;
use postrider::model::Outcome;
use rcgen::CertificateParams;
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::authority::BOTH;
use crate::authority::Identity;
use crate::authority::NAME;
use crate::authority::ONLY_1_2;
use crate::authority::acceptor;
use crate::authority::url;
use crate::receiver::Receiver;
use crate::receiver::drain;
use crate::receiver::keep_answering;
use crate::world::World;
use crate::world::limited;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// Answers by HTTP/1.1 over TLS.
async fn one_one(acceptor: TlsAcceptor) -> Receiver {
    Receiver::secure(acceptor, |_, stream| keep_answering(stream, ANSWER)).await
}

#[tokio::test]
async fn a_trusted_certificate_for_a_name_or_an_address() {
    let authority = Authority::new();
    let receiver = one_one(acceptor(authority.identity(|_| {}), BOTH, &[])).await;
    let world = authority.world();
    assert_eq!(world.courier.trusted_certificates(), 1);
    let first = world.call(&url(&receiver)).await;
    assert_eq!(first.outcome, Outcome::Ok, "{:?}", first.detail);
    assert!(first.phases.tls_us > 0 && first.phases.dns_us > 0);
    let second = world.call(&url(&receiver)).await;
    let phases = second.phases;
    assert_eq!((phases.dns_us, phases.connect_us, phases.tls_us), (0, 0, 0));
    let literal = world.call(&format!("https://{}/", receiver.address)).await;
    assert_eq!(literal.outcome, Outcome::Ok, "{:?}", literal.detail);
}

#[tokio::test]
async fn certificates_that_must_not_be_trusted() {
    let authority = Authority::new();
    let expired = authority.identity(|params| params.not_after = rcgen::date_time_ymd(2026, 1, 1));
    let early = authority.identity(|params| params.not_before = rcgen::date_time_ymd(2027, 1, 1));
    let other = authority.identity(|params| {
        params.subject_alt_names =
            CertificateParams::new(vec!["other.example.org".to_owned()]).unwrap().subject_alt_names;
    });
    let stranger = Authority::new().identity(|_| {});
    let own = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let own = Identity(own.cert.into(), key);
    let all = [
        ("expired", expired),
        ("not yet valid", early),
        ("another name's", other),
        ("by a stranger", stranger),
        ("self-signed", own),
    ];
    for (what, identity) in all {
        let receiver = one_one(acceptor(identity, BOTH, &[])).await;
        let attempt = authority.world().call(&url(&receiver)).await;
        assert_eq!(attempt.outcome, Outcome::TlsBadCertificate, "{what}: {:?}", attempt.detail);
        assert_eq!(attempt.status, None, "{what}");
    }
}

#[tokio::test]
async fn certificates_are_judged_by_the_given_clock() {
    let authority = Authority::new();
    let short = authority.identity(|params| params.not_after = rcgen::date_time_ymd(2026, 12, 1));
    let receiver = one_one(acceptor(short, BOTH, &[])).await;
    let world = authority.world();
    assert_eq!(world.call(&url(&receiver)).await.outcome, Outcome::Ok);
    world.pass(Duration::from_secs(30 * 86_400));
    assert_eq!(world.call(&url(&receiver)).await.outcome, Outcome::TlsBadCertificate);
    // the wall clock is set back; the other one goes on
    world.behind.store(30 * 86_400, Ordering::SeqCst);
    assert_eq!(world.call(&url(&receiver)).await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn nothing_in_common() {
    let authority = Authority::new();
    let receiver = one_one(acceptor(authority.identity(|_| {}), ONLY_1_2, &[])).await;
    let attempt = authority.world().call(&url(&receiver)).await;
    assert_eq!(attempt.outcome, Outcome::Ok, "1.2 is spoken: {:?}", attempt.detail);

    let strict = World::with(&Settings { tls_min: TlsVersion::V1_3, ..authority.settings() });
    strict.names.set(NAME, &[&["127.0.0.1"]]);
    let attempt = strict.call(&url(&receiver)).await;
    assert_eq!(attempt.outcome, Outcome::TlsNoCommonCipher, "{:?}", attempt.detail);
}

#[tokio::test]
async fn handshakes_that_fail() {
    let hanging = Receiver::plain(|_, mut stream| async move { drain(&mut stream).await }).await;
    let world = Authority::new().world();
    let target = limited(&url(&hanging), |limits| limits.tls_timeout = Duration::from_millis(50));
    let attempt = world.attempt(target).await;
    assert_eq!(attempt.outcome, Outcome::TimeoutTls);
    assert_eq!(attempt.remote, Some(hanging.address.to_string()));

    let closing = Receiver::plain(|_, stream| async move { drop(stream) }).await;
    assert_eq!(world.call(&url(&closing)).await.outcome, Outcome::TlsError);

    let clear = Receiver::plain(|_, mut stream| async move {
        tokio::io::AsyncWriteExt::write_all(&mut stream, ANSWER).await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    assert_eq!(world.call(&url(&clear)).await.outcome, Outcome::TlsError);
}
