//! `postrider sign`: the headers that a signed request carries.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use ring::rand::SecureRandom;
use ring::rand::SystemRandom;

use crate::cli::input;
use crate::cli::key_options::KeyOptions;
use crate::cli::key_options::SECRET_ENV;
use crate::daemon::clock;
use crate::model::EventId;
use crate::model::Time;
use crate::policy::keys::SigningKey;
use crate::policy::sign::SignatureHeaders;
use crate::policy::sign::sign;

/// Sign a payload (Standard Webhooks), to try out a receiver
///
///   # the three headers
///   postrider sign --secret-file secret.txt order.json
///   # a request that is ready to send
///   postrider sign --secret-file secret.txt --curl http://localhost:3000/hook order.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SignArgs {
    #[command(flatten)]
    keys: KeyOptions,
    /// The webhook-id.  [default: a new one]
    #[arg(long, value_parser = parse_id)]
    id: Option<String>,
    /// When it is sent: seconds since 1970, or RFC 3339.  [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    timestamp: Option<Time>,
    /// Print a curl command that sends it to this URL.
    #[arg(long, value_name = "URL")]
    curl: Option<url::Url>,
    /// The content-type of the curl command.
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// The payload; - is standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
}

/// Seconds since 1970, or RFC 3339.
///
/// # Errors
/// A sentence that says what is expected.
pub(super) fn parse_time(text: &str) -> Result<Time, String> {
    match text.parse() {
        Ok(secs) => Ok(Time::from_secs(secs)),
        Err(_) => text.parse().map_err(|_| {
            "expected seconds since 1970 or RFC 3339, for example 2026-11-21T10:15:02Z".to_owned()
        }),
    }
}

/// An id ends where the next full stop of the signed text stands, and travels as a header.
fn parse_id(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
    if fits { Ok(text.to_owned()) } else { Err("expected visible ASCII without \".\"".to_owned()) }
}

/// Prints the headers, or the curl command.
///
/// # Errors
/// If there is no secret or no payload.
pub fn run(args: SignArgs) -> anyhow::Result<ExitCode> {
    let keys = args.keys.signing(std::env::var(SECRET_ENV).ok(), &mut std::io::stderr().lock())?;
    let body = input::read(&args.file)?;
    let at = args.timestamp.unwrap_or_else(clock::now);
    let id = match &args.id {
        Some(id) => id.clone(),
        None => new_id(at)?,
    };
    print(&args, &headers(&keys, &id, at, &body), &mut std::io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

fn new_id(at: Time) -> anyhow::Result<String> {
    let mut random = [0; 8];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(EventId::v7(at, 0, u64::from_be_bytes(random)).to_string())
}

fn headers(keys: &[SigningKey], id: &str, at: Time, body: &[u8]) -> [(String, String); 3] {
    let names = SignatureHeaders::standard();
    [
        (names.id, id.to_owned()),
        (names.timestamp, at.as_secs().to_string()),
        (names.signature, sign(keys, id, at.as_secs(), body)),
    ]
}

fn print(
    args: &SignArgs,
    headers: &[(String, String)],
    out: &mut impl Write,
) -> std::io::Result<()> {
    let Some(url) = &args.curl else {
        for (name, value) in headers {
            writeln!(out, "{name}: {value}")?;
        }
        return Ok(());
    };
    write!(out, "curl -X POST {}", quoted(url.as_str()))?;
    write!(out, " -H {}", quoted(&format!("content-type: {}", args.content_type)))?;
    for (name, value) in headers {
        write!(out, " -H {}", quoted(&format!("{name}: {value}")))?;
    }
    writeln!(out, " --data-binary {}", quoted(&format!("@{}", at_path(&args.file))))
}

fn at_path(path: &Path) -> String {
    path.display().to_string()
}

/// One word for a POSIX shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The symmetric test key and the example of the Standard Webhooks specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = b"{\"test\": 2432232314}";
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn printed(curl: Option<&str>, file: &str) -> String {
        let args = SignArgs {
            keys: KeyOptions::default(),
            id: None,
            timestamp: None,
            curl: curl.map(|url| url.parse().unwrap()),
            content_type: "application/json".to_owned(),
            file: file.into(),
        };
        let keys = [SigningKey::parse(SECRET).unwrap()];
        let headers = headers(&keys, ID, Time::from_secs(1_614_265_330), BODY);
        let mut out = Vec::new();
        print(&args, &headers, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_headers_of_the_specifications_example() {
        let expected = format!(
            "webhook-id: {ID}\nwebhook-timestamp: 1614265330\nwebhook-signature: {SIGNED}\n"
        );
        assert_eq!(printed(None, "-"), expected);
    }

    #[test]
    fn the_curl_command_survives_a_shell() {
        let line = printed(Some("http://localhost:3000/hook?a=b&c"), "it's.json");
        let begin = "curl -X POST 'http://localhost:3000/hook?a=b&c' -H 'content-type: ";
        assert!(line.starts_with(begin), "{line}");
        assert!(line.contains(&format!(" -H 'webhook-signature: {SIGNED}' ")), "{line}");
        assert!(line.ends_with("--data-binary '@it'\\''s.json'\n"), "{line}");
    }

    #[test]
    fn times_and_ids_are_checked() {
        assert_eq!(parse_time("1614265330"), Ok(Time::from_secs(1_614_265_330)));
        assert_eq!(parse_time("2021-02-25T15:02:10Z"), Ok(Time::from_secs(1_614_265_330)));
        assert!(parse_time("yesterday").is_err());
        assert!(parse_id("evt_1").is_ok());
        assert!(parse_id("a.b").is_err() && parse_id("").is_err() && parse_id("a\nb").is_err());
        assert_ne!(new_id(Time::ZERO).unwrap(), new_id(Time::ZERO).unwrap());
    }
}
