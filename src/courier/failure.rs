//! Errors become outcomes here and nowhere else.

use std::error::Error;
use std::io;
use std::io::ErrorKind;

use rustls::AlertDescription;

use crate::courier::guard::Blocked;
use crate::courier::resolve::LookupError;
use crate::model::Outcome;

/// The longest detail that is kept, in bytes.
pub const DETAIL_BYTES_MAX: usize = 300;

/// Why an attempt did not end with a complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In the closed set.
    pub outcome: Outcome,
    /// A sentence for people.
    pub detail: String,
}

/// How far an attempt had come when an error struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The TCP connection was being made.
    Connect,
    /// The TLS session was being made.
    Tls,
    /// The request was being sent or the response received.
    Exchange,
}

impl Failure {
    /// With a sentence, cut to [`DETAIL_BYTES_MAX`].
    pub fn new(outcome: Outcome, detail: impl Into<String>) -> Failure {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        Failure { outcome, detail }
    }

    /// From whatever went wrong in a phase: the causes are looked through from the outside in,
    /// and the first one that says what happened decides.
    pub fn of(phase: Phase, error: &(dyn Error + 'static)) -> Failure {
        let causes = || std::iter::successors(Some(error), |error| cause_of(*error));
        let outcome = causes().find_map(|cause| known(phase, cause));
        let outcome = outcome.unwrap_or(match phase {
            Phase::Connect => Outcome::ConnectError,
            Phase::Tls => Outcome::TlsError,
            Phase::Exchange => Outcome::ProtocolError,
        });
        let mut sentences: Vec<String> = causes().map(|cause| cause.to_string()).collect();
        sentences.dedup_by(|inner, outer| outer.ends_with(inner.as_str()));
        Failure::new(outcome, sentences.join(": "))
    }
}

impl From<Blocked> for Failure {
    fn from(blocked: Blocked) -> Failure {
        Failure::new(Outcome::BlockedAddress, blocked.to_string())
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Failure {
        let outcome = match error {
            LookupError::Failed(_) => Outcome::DnsError,
            LookupError::Overloaded => Outcome::DnsOverloaded,
            LookupError::Timeout => Outcome::TimeoutDns,
        };
        Failure::new(outcome, error.to_string())
    }
}

/// The next cause. What is wrapped into an [`io::Error`] is skipped by its own `source`.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn known(phase: Phase, cause: &(dyn Error + 'static)) -> Option<Outcome> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return of_hyper(error);
    }
    if let Some(error) = cause.downcast_ref::<h2::Error>() {
        return Some(of_h2(error));
    }
    let error = cause.downcast_ref::<io::Error>()?;
    // One that only wraps another is judged by that other.
    let wrapped = error.get_ref().is_some_and(cause_is_told);
    if wrapped { None } else { of_io(phase, error.kind()) }
}

fn cause_is_told(inner: &(dyn Error + Send + Sync + 'static)) -> bool {
    inner.is::<rustls::Error>() || inner.is::<io::Error>() || inner.is::<h2::Error>()
}

fn of_tls(error: &rustls::Error) -> Outcome {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Outcome::TlsBadCertificate
        }
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(
            Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity,
        ) => Outcome::TlsNoCommonCipher,
        _ => Outcome::TlsError,
    }
}

fn of_hyper(error: &hyper::Error) -> Option<Outcome> {
    if error.is_parse() {
        Some(Outcome::ProtocolError)
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Some(Outcome::ConnectionReset)
    } else {
        None
    }
}

fn of_h2(error: &h2::Error) -> Outcome {
    let ended = error.is_remote() && (error.is_reset() || error.is_go_away());
    if ended || error.is_io() { Outcome::ConnectionReset } else { Outcome::ProtocolError }
}

fn of_io(phase: Phase, kind: ErrorKind) -> Option<Outcome> {
    match (phase, kind) {
        (Phase::Connect, ErrorKind::ConnectionRefused) => Some(Outcome::ConnectRefused),
        (Phase::Connect, ErrorKind::TimedOut) => Some(Outcome::TimeoutConnect),
        (Phase::Connect | Phase::Tls, _) => None,
        (
            Phase::Exchange,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::NotConnected
            | ErrorKind::TimedOut,
        ) => Some(Outcome::ConnectionReset),
        (Phase::Exchange, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(phase: Phase, error: &(dyn Error + 'static)) -> Outcome {
        Failure::of(phase, error).outcome
    }

    #[test]
    fn the_phase_tells_what_an_io_error_means() {
        let reset = io::Error::from(ErrorKind::ConnectionReset);
        assert_eq!(outcome(Phase::Connect, &reset), Outcome::ConnectError);
        assert_eq!(outcome(Phase::Tls, &reset), Outcome::TlsError);
        assert_eq!(outcome(Phase::Exchange, &reset), Outcome::ConnectionReset);
        let refused = io::Error::from(ErrorKind::ConnectionRefused);
        assert_eq!(outcome(Phase::Connect, &refused), Outcome::ConnectRefused);
    }

    #[test]
    fn tls_errors_are_found_inside_io_errors() {
        let wrap = |error: rustls::Error| io::Error::new(ErrorKind::InvalidData, error);
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let alert = |alert| rustls::Error::AlertReceived(alert);
        let cases = [
            (expired, Outcome::TlsBadCertificate),
            (alert(AlertDescription::HandshakeFailure), Outcome::TlsNoCommonCipher),
            (alert(AlertDescription::InternalError), Outcome::TlsError),
        ];
        for (error, expected) in cases {
            // A client's complaint may also come as late as the answer is read.
            assert_eq!(outcome(Phase::Tls, &wrap(error.clone())), expected);
            assert_eq!(outcome(Phase::Exchange, &wrap(error)), expected);
        }
    }

    #[test]
    fn details_are_cut_at_a_character() {
        let failure = Failure::new(Outcome::Internal, "\u{e9}".repeat(200));
        assert_eq!(failure.detail.len(), DETAIL_BYTES_MAX);
        let failure = Failure::new(Outcome::Internal, format!("a{}", "\u{e9}".repeat(200)));
        assert_eq!(failure.detail.len(), DETAIL_BYTES_MAX - 1);
    }
}
