//! From what is known of an attempt to the attempt as it is remembered.
//!
//! A response whose head was a success is a success only if its body came to its end or to our
//! limit; what broke off, or did not end in time, may have been cut in the middle of the work. Of
//! any other response the status says enough, whatever became of its body.

use crate::courier::exchange::Head;
use crate::courier::exchange::Trace;
use crate::courier::failure::Failure;
use crate::model::Attempt;
use crate::model::Excerpt;
use crate::model::Outcome;

/// The attempt.
pub fn conclude(trace: Trace, result: Result<(), Failure>) -> Attempt {
    let by_status = trace.head.as_ref().map(|head| Outcome::of_status(head.status));
    let outcome = match (&result, by_status) {
        (Ok(()), Some(outcome)) => outcome,
        (Ok(()), None) => Outcome::Internal,
        (Err(failure), None | Some(Outcome::Ok)) => failure.outcome,
        (Err(_), Some(outcome)) => outcome,
    };
    let detail = match (result, &trace.head) {
        (Err(failure), _) => Some(failure.detail),
        (Ok(()), Some(head)) => detail_of(head, outcome),
        (Ok(()), None) => None,
    };
    let head = trace.head;
    let response = head.as_ref().filter(|_| outcome != Outcome::Ok && !trace.captured.is_empty());
    Attempt {
        outcome,
        status: head.as_ref().map(|head| head.status),
        remote: trace.remote.map(|remote| remote.to_string()),
        phases: trace.phases,
        retry_after: head.as_ref().and_then(|head| head.retry_after),
        detail,
        response: response.map(|head| Excerpt {
            content_type: head.content_type.clone(),
            body: trace.captured.freeze(),
        }),
    }
}

fn detail_of(head: &Head, outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Http3xx if !head.location.is_empty() => {
            Some(format!("redirects are not followed; it leads to {}", head.location))
        }
        Outcome::ProtocolError => Some(format!("{} is not the status of an answer", head.status)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(status: u16) -> Trace {
        let head = Head {
            status,
            retry_after: None,
            content_type: "text/plain".to_owned(),
            location: String::new(),
        };
        Trace { head: Some(head), captured: b"sorry"[..].into(), ..Trace::default() }
    }

    #[test]
    fn a_success_needs_its_whole_body_and_a_failure_does_not() {
        let reset = || Err(Failure::new(Outcome::ConnectionReset, "gone"));
        assert_eq!(conclude(trace(200), Ok(())).outcome, Outcome::Ok);
        assert_eq!(conclude(trace(200), reset()).outcome, Outcome::ConnectionReset);
        assert_eq!(conclude(trace(410), reset()).outcome, Outcome::Http410);
        assert_eq!(conclude(Trace::default(), reset()).outcome, Outcome::ConnectionReset);
    }

    #[test]
    fn an_excerpt_is_kept_of_failures_only() {
        assert_eq!(conclude(trace(200), Ok(())).response, None);
        let excerpt = conclude(trace(500), Ok(())).response.unwrap();
        assert_eq!((excerpt.content_type.as_str(), &*excerpt.body), ("text/plain", &b"sorry"[..]));
    }

    #[test]
    fn what_is_no_answer_is_a_protocol_error() {
        let attempt = conclude(trace(101), Ok(()));
        assert_eq!(attempt.outcome, Outcome::ProtocolError);
        assert!(attempt.detail.unwrap().contains("101"));
    }
}
