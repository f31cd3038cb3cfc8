//! What an attempt says about its endpoint, apart from what it means for the delivery.

use crate::model::Attempt;
use crate::model::Outcome;

/// What one attempt says about the endpoint. An answer that refuses this one event (404, 422) says
/// nothing bad about it; what was postrider's own doing says nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answered, and not for lack of strength.
    Well,
    /// It asks for fewer requests (429), but works.
    Busy,
    /// It works and fails (500): no matter of how much it is asked.
    Fails,
    /// It does not answer, or says that it is overloaded (502, 503, 504).
    Down,
    /// Nothing is known.
    None,
}

/// The sign of an attempt.
pub fn sign(attempt: &Attempt) -> Sign {
    match attempt.outcome {
        Outcome::Ok | Outcome::Http3xx | Outcome::Http4xx | Outcome::Http410 => Sign::Well,
        Outcome::Http429 => Sign::Busy,
        Outcome::Http5xx => match attempt.status {
            Some(502..=504) => Sign::Down,
            _ => Sign::Fails,
        },
        Outcome::ExitTemporary | Outcome::Nack | Outcome::BlockedAddress => Sign::Fails,
        Outcome::Http408
        | Outcome::TimeoutDns
        | Outcome::TimeoutConnect
        | Outcome::TimeoutTls
        | Outcome::TimeoutResponse
        | Outcome::TimeoutTotal
        | Outcome::DnsError
        | Outcome::ConnectRefused
        | Outcome::ConnectError
        | Outcome::TlsError
        | Outcome::TlsNoCommonCipher
        | Outcome::TlsBadCertificate
        | Outcome::ConnectionReset
        | Outcome::ProtocolError => Sign::Down,
        Outcome::DnsOverloaded
        | Outcome::TemplateError
        | Outcome::Cancelled
        | Outcome::Internal
        | Outcome::Interrupted
        | Outcome::ExitPermanent => Sign::None,
    }
}

impl Sign {
    /// Whether it counts towards opening the breaker.
    pub fn is_failure(self) -> bool {
        matches!(self, Sign::Fails | Sign::Down)
    }

    /// Whether fewer requests at once would help.
    pub fn is_strain(self) -> bool {
        matches!(self, Sign::Busy | Sign::Down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(outcome: Outcome, status: u16) -> Sign {
        sign(&Attempt { status: Some(status), ..Attempt::without_response(outcome) })
    }

    #[test]
    fn a_refused_event_says_nothing_bad_about_the_endpoint() {
        for (outcome, status) in [(Outcome::Http4xx, 400), (Outcome::Http4xx, 422)] {
            let sign = of(outcome, status);
            assert!(!sign.is_failure() && !sign.is_strain(), "{status}");
        }
    }

    #[test]
    fn what_is_overloaded_is_asked_less() {
        assert!(of(Outcome::Http429, 429).is_strain());
        assert!(!of(Outcome::Http429, 429).is_failure());
        assert!(of(Outcome::Http5xx, 503).is_strain() && of(Outcome::Http5xx, 503).is_failure());
        assert!(!of(Outcome::Http5xx, 500).is_strain() && of(Outcome::Http5xx, 500).is_failure());
    }

    #[test]
    fn our_own_doing_is_no_sign() {
        for outcome in [Outcome::Cancelled, Outcome::Interrupted, Outcome::Internal] {
            assert_eq!(sign(&Attempt::without_response(outcome)), Sign::None);
        }
    }
}
