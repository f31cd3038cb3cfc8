//! `postrider verify`: whether a request is signed, and if not, what is likely to be wrong.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::cli::input;
use crate::cli::key_options::KeyOptions;
use crate::cli::key_options::KeyOptionsError;
use crate::cli::key_options::SECRET_ENV;
use crate::cli::key_options::Signature;
use crate::cli::key_options::VerifyKeys;
use crate::cli::raw_request;
use crate::cli::sign::parse_time;
use crate::daemon::clock;
use crate::model::Time;
use crate::policy::verify::TOLERANCE_SECS;
use crate::policy::verify::VerifyError;

/// Verify a signed request (Standard Webhooks); exits with 1 if it must not be trusted
///
///   # a captured request: headers, an empty line, the body
///   postrider verify --secret-file secret.txt request.txt
///   # a body and its headers
///   postrider verify --secret-file secret.txt --header 'webhook-id: evt_...' \
///     --header 'webhook-timestamp: 1795256102' --header 'webhook-signature: v1,...' body.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct VerifyArgs {
    #[command(flatten)]
    keys: KeyOptions,
    /// A header of the request; with any of them, FILE is the body alone.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    #[arg(value_parser = raw_request::header_line)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// How far its timestamp may be from now.  [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    tolerance: Option<Duration>,
    /// Check it as of this time: seconds since 1970, or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Time>,
    /// Accept any timestamp.
    #[arg(long, conflicts_with_all = ["tolerance", "at"])]
    any_time: bool,
    /// The request, or its body; - is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
}

/// Says `signature ok`, or what is wrong and what is likely to be the cause.
///
/// # Errors
/// If there is no secret, no input, or the input is no request.
pub fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let environment = std::env::var(SECRET_ENV).ok();
    let keys = args.keys.verifying(environment, &mut std::io::stderr().lock())?;
    if keys.0.is_empty() {
        return Err(KeyOptionsError::Missing.into());
    }
    let input = input::read(&args.file)?;
    let (headers, body) = if args.headers.is_empty() {
        raw_request::parse(&input)?
    } else {
        (args.headers.iter().cloned().collect(), input.as_slice())
    };
    let now = args.at.unwrap_or_else(clock::now);
    let tolerance = args.tolerance.map_or(TOLERANCE_SECS, |tolerance| tolerance.as_secs());
    let tolerance = (!args.any_time).then_some(tolerance);
    match keys.check_within(&headers, body, now, tolerance) {
        Signature::Bad(error) => {
            let mut talk = std::io::stderr().lock();
            writeln!(talk, "postrider: {error}")?;
            if let Some(cause) = likely_cause(&keys, &headers, body, error) {
                writeln!(talk, "{cause}")?;
            }
            Ok(ExitCode::FAILURE)
        }
        good @ (Signature::Good | Signature::Unchecked) => {
            writeln!(std::io::stdout().lock(), "{good}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Undoes what an editor or a tool may have done to a body.
type Undo = fn(&[u8]) -> Vec<u8>;

/// A body that was changed in one of these ways is found by undoing it.
const CHANGES: [(Undo, &str); 4] = [
    (without_newline, "a newline was added at the end of the body"),
    (with_newline, "the newline at the end of the body was removed"),
    (with_lf, "the line ends of the body were changed from LF to CRLF"),
    (with_crlf, "the line ends of the body were changed from CRLF to LF"),
];

/// A sentence on what is likely to be wrong, where more can be said than the error says.
fn likely_cause(
    keys: &VerifyKeys,
    headers: &HeaderMap,
    body: &[u8],
    error: VerifyError,
) -> Option<String> {
    match error {
        VerifyError::NoMatch => {}
        VerifyError::Stale(_) | VerifyError::Future(_) => {
            return Some("To check a request of another time: --at TIME or --any-time.".to_owned());
        }
        VerifyError::Missing(_) | VerifyError::Malformed(_) => return None,
    }
    let matches =
        |body: &[u8]| keys.check_within(headers, body, Time::ZERO, None) == Signature::Good;
    let changed = CHANGES.iter().find(|(undo, _)| matches(&undo(body)));
    Some(match changed {
        Some((_, what)) => format!("Likely cause: {what} after it was signed."),
        None if body.is_empty() => {
            "Likely cause: the body is empty; was it read before?".to_owned()
        }
        None => "Likely cause: the secret belongs to another endpoint, or the body was parsed and \
                 written again; it must be verified byte for byte."
            .to_owned(),
    })
}

fn without_newline(body: &[u8]) -> Vec<u8> {
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    body.strip_suffix(b"\r").unwrap_or(body).to_vec()
}

fn with_newline(body: &[u8]) -> Vec<u8> {
    [body, b"\n"].concat()
}

fn with_lf(body: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(body.len());
    for (index, byte) in body.iter().enumerate() {
        if !(*byte == b'\r' && body.get(index + 1) == Some(&b'\n')) {
            changed.push(*byte);
        }
    }
    changed
}

fn with_crlf(body: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(body.len());
    for byte in with_lf(body) {
        if byte == b'\n' {
            changed.push(b'\r');
        }
        changed.push(byte);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::keys::SigningKey;
    use crate::policy::keys::VerifyingKey;
    use crate::policy::sign::sign;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const AT: u64 = 1_795_256_102;

    fn keys() -> VerifyKeys {
        VerifyKeys(vec![VerifyingKey::parse(SECRET).unwrap()])
    }

    fn signed(body: &[u8]) -> HeaderMap {
        let signature = sign(&[SigningKey::parse(SECRET).unwrap()], "evt_1", AT, body);
        let text = format!(
            "webhook-id: evt_1\nwebhook-timestamp: {AT}\nwebhook-signature: {signature}\n\n"
        );
        raw_request::parse(text.as_bytes()).unwrap().0
    }

    #[test]
    fn what_an_editor_did_to_the_body_is_found() {
        let cause = |signed_body: &[u8], body: &[u8]| {
            let error = VerifyError::NoMatch;
            likely_cause(&keys(), &signed(signed_body), body, error).unwrap()
        };
        assert!(cause(b"{}", b"{}\n").contains("newline was added"));
        assert!(cause(b"{}\n", b"{}").contains("newline at the end of the body was removed"));
        assert!(cause(b"a\nb", b"a\r\nb").contains("from LF to CRLF"));
        assert!(cause(b"a\r\nb", b"a\nb").contains("from CRLF to LF"));
        assert!(cause(b"{}", b"").contains("empty"));
        assert!(cause(b"{\"a\": 1}", b"{\"a\":1}").contains("another endpoint"));
    }

    #[test]
    fn time_is_checked_unless_told_otherwise() {
        let headers = signed(b"{}");
        let check =
            |now, tolerance| keys().check_within(&headers, b"{}", Time::from_secs(now), tolerance);
        assert_eq!(check(AT + 300, Some(300)), Signature::Good);
        assert_eq!(check(AT + 301, Some(300)), Signature::Bad(VerifyError::Stale(301)));
        assert_eq!(check(0, None), Signature::Good);
        let stale = likely_cause(&keys(), &headers, b"{}", VerifyError::Stale(301)).unwrap();
        assert!(stale.contains("--any-time"));
    }
}
