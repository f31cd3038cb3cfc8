use std::time::Duration;

use super::*;

/// What becomes of a URL under rules that allow http and any port.
const URLS: &[(&str, &str)] = &[
    ("https://example.com/hook", "called"),
    ("HTTPS://EXAMPLE.com:8443/a?b=c", "called"),
    ("http://8.8.8.8/", "called"),
    ("http://[2606:4700:4700::1111]/", "called"),
    ("http://example.com./", "called"),
    ("http://b\u{fc}cher.example.org/", "called"),
    // literals in every spelling that some resolver understands
    ("http://127.0.0.1/", "blocked"),
    ("http://127.1/", "blocked"),
    ("http://2130706433/", "blocked"),
    ("http://0x7f000001/", "blocked"),
    ("http://0177.0.0.1/", "blocked"),
    ("http://00000177.0.0.01/", "blocked"),
    ("http://127.0.0.1./", "blocked"),
    ("http://2852039166/", "blocked"),
    ("http://0/", "blocked"),
    ("http://%31%32%37.0.0.1/", "blocked"),
    ("http://\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}/", "blocked"),
    ("http://127\u{3002}0\u{3002}0\u{3002}1/", "blocked"),
    ("http://[::1]/", "blocked"),
    ("http://[::]/", "blocked"),
    ("http://[::ffff:127.0.0.1]/", "blocked"),
    ("http://[0:0:0:0:0:ffff:a9fe:a9fe]/", "blocked"),
    ("http://[::127.0.0.1]/", "blocked"),
    ("http://[64:ff9b::7f00:1]/", "blocked"),
    ("http://[fd20:ce::254]/", "blocked"),
    // names that only mean something inside a network
    ("http://localhost/", "internal"),
    ("http://LOCALHOST./", "internal"),
    ("http://foo.localhost/", "internal"),
    (
        "http://\u{24db}\u{24de}\u{24d2}\u{24d0}\u{24db}\u{24d7}\u{24de}\u{24e2}\u{24e3}/",
        "internal",
    ),
    ("http://intranet/", "internal"),
    ("http://printer.local/", "internal"),
    ("http://metadata.google.internal/", "internal"),
    ("http://kubernetes.default.svc/", "internal"),
    ("http://nas.lan/", "internal"),
    ("http://nas.home.arpa/", "internal"),
    ("http://mail.corp/", "internal"),
    ("http://x.onion/", "internal"),
    ("http://x.test/", "internal"),
    ("http://x.invalid/", "internal"),
    // texts that readers disagree about
    ("http://127.0.0.1:80@169.254.169.254/", "refused"),
    ("http://user:pw@example.com/", "refused"),
    ("http://@example.com/", "refused"),
    ("http://example.com%2f@127.0.0.1/", "refused"),
    ("http://127.0.0.1#@example.com/", "refused"),
    ("http://example.com/#part", "refused"),
    ("http://example.com\\@127.0.0.1/", "refused"),
    ("http:\\\\example.com/", "refused"),
    ("http:127.0.0.1/", "refused"),
    ("http:///127.0.0.1/", "refused"),
    ("http://", "refused"),
    ("http://./", "refused"),
    ("http://example..com/", "refused"),
    ("http://.example.com/", "refused"),
    ("http://127.0.0.1%00.example.com/", "refused"),
    ("http://example.com/a b", "refused"),
    ("http://example.com/\t", "refused"),
    (" http://example.com/", "refused"),
    ("http://exam\nple.com/", "refused"),
    ("http://example.com/\r\nX-Evil: 1", "refused"),
    ("http://425.510.425.510/", "refused"),
    ("http://example.0x7f/", "refused"),
    ("http://[::1%25lo]/", "refused"),
    ("http://[::1]example.com/", "refused"),
    ("http://example.com:-1/", "refused"),
    ("http://example.com:65536/", "refused"),
    ("", "refused"),
    ("example.com/hook", "refused"),
    ("javascript:alert(1)", "refused"),
    // schemes and ports
    ("ftp://example.com/", "scheme"),
    ("gopher://127.0.0.1:6379/_x", "scheme"),
    ("file://example.com/etc/passwd", "scheme"),
    ("http+unix://%2Frun%2Fx.sock/", "scheme"),
    ("http://example.com:0/", "port"),
];

fn spec(url: &str) -> TargetSpec {
    let second = Duration::from_secs(1);
    TargetSpec {
        url: url.to_owned(),
        headers: Vec::new(),
        content_type: None,
        keys: Vec::new(),
        signature_prefix: "webhook-".to_owned(),
        limits: Limits {
            dns_timeout: second,
            connect_timeout: second,
            tls_timeout: second,
            response_timeout: second,
            attempt_timeout: second,
            max_response: 1,
            capture_response: 1,
        },
        allow: Vec::new(),
    }
}

fn rules() -> EgressRules {
    EgressRules { block_private: true, ..EgressRules::default() }
}

fn refused(spec: TargetSpec, rules: &EgressRules) -> TargetError {
    Target::new(spec, rules).unwrap_err()
}

#[test]
fn a_url_is_called_only_if_there_is_one_way_to_read_it() {
    for (url, expected) in URLS {
        let got = match Target::new(spec(url), &rules()) {
            Ok(target) if target.blocked_literal().is_some() => "blocked",
            Ok(_) => "called",
            Err(TargetError::Url(_)) => "refused",
            Err(TargetError::Scheme(_)) => "scheme",
            Err(TargetError::Port(_)) => "port",
            Err(TargetError::InternalName(_)) => "internal",
            Err(other) => panic!("{url}: {other}"),
        };
        assert_eq!(got, *expected, "{url:?}");
    }
}

#[test]
fn the_host_is_the_parsed_one_from_here_on() {
    let parts = |url: &str| {
        let mut open = rules();
        open.block_private = false;
        let target = Target::new(spec(url), &open).unwrap();
        (target.host_header.to_str().unwrap().to_owned(), target.absolute.to_string())
    };
    let (host, url) = parts("http://2130706433:80/x?y=z");
    assert_eq!((host.as_str(), url.as_str()), ("127.0.0.1", "http://127.0.0.1/x?y=z"));
    let (host, url) = parts("https://[::FFFF:7f00:1]:444");
    assert_eq!(host, "[::ffff:127.0.0.1]:444");
    assert_eq!(url, "https://[::ffff:127.0.0.1]:444/");
    let (host, _) = parts("https://EXAMPLE.com./");
    assert_eq!(host, "example.com");
}

#[test]
fn ports_and_https_can_be_required() {
    let strict = EgressRules { https_only: true, ports: vec![443, 8443], ..rules() };
    assert!(Target::new(spec("https://example.com/"), &strict).is_ok());
    assert!(Target::new(spec("https://example.com:8443/"), &strict).is_ok());
    let error = refused(spec("https://example.com:6379/"), &strict);
    assert_eq!(error, TargetError::Port(6379));
    let error = refused(spec("http://example.com/"), &strict);
    assert!(matches!(error, TargetError::Scheme(_)), "{error}");
}

#[test]
fn internal_names_may_be_called_where_a_private_network_is_allowed() {
    let mut allowed = spec("http://billing.internal/");
    allowed.allow.push("10.0.0.0/8".parse().unwrap());
    assert!(Target::new(allowed, &rules()).is_ok());
}

#[test]
fn our_own_headers_cannot_be_overridden() {
    let ours =
        ["Host", "content-length", "Webhook-Id", "postrider-x", "User-Agent", "Content-Type"];
    for name in ours {
        let mut spec = spec("https://example.com/");
        spec.headers.push((name.to_owned(), "x".to_owned()));
        let error = refused(spec, &rules());
        assert_eq!(error, TargetError::Header(name.to_owned(), "is set by postrider itself"));
    }
    let mut other_prefix = spec("https://example.com/");
    other_prefix.signature_prefix = "Acme-".to_owned();
    other_prefix.headers.push(("acme-signature".to_owned(), "x".to_owned()));
    assert!(matches!(refused(other_prefix, &rules()), TargetError::Header(..)));
}

#[test]
fn headers_that_cannot_be_sent_are_refused() {
    for (name, value) in [("a b", "x"), ("", "x"), ("x", "a\r\nb: c"), ("x", "a\0b")] {
        let mut spec = spec("https://example.com/");
        spec.headers.push((name.to_owned(), value.to_owned()));
        assert!(matches!(refused(spec, &rules()), TargetError::Header(..)), "{name:?}");
    }
    let mut many = spec("https://example.com/");
    many.headers = (0..=HEADERS_MAX).map(|n| (format!("x-{n}"), String::new())).collect();
    assert!(matches!(refused(many, &rules()), TargetError::Header(..)));
    let mut odd = spec("https://example.com/");
    odd.content_type = Some("text/plain\nx".to_owned());
    assert_eq!(refused(odd, &rules()), TargetError::ContentType);
}

#[test]
fn debug_and_origin_show_no_secrets() {
    let mut spec = spec("https://example.com:8443/hook/s3cret?token=s3cret");
    spec.headers.push(("authorization".to_owned(), "Bearer s3cret".to_owned()));
    let target = Target::new(spec, &rules()).unwrap();
    assert_eq!(target.origin(), "https://example.com:8443");
    assert!(!format!("{target:?}{:?}", target.headers).contains("s3cret"));
}
