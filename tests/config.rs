//! Configuration as its users meet it: errors as they are printed, the example file, layers.

use std::path::Path;
use std::path::PathBuf;

use postrider::config::Code;
use postrider::config::EndpointConfig;
use postrider::config::Level;
use postrider::config::Loaded;
use postrider::config::SourceConfig;
use postrider::config::load_texts;
use postrider::config::schema::Shape;
use postrider::config::show;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config").join(name)
}

fn load(text: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let texts = [("config.toml".to_owned(), text.to_owned())];
    load_texts(&texts, env).map_err(|errors| errors.render(false))
}

/// Each broken file is reported as the text beside it says. To write the texts anew, run with
/// `BLESS=1` and read the difference.
#[test]
fn errors_are_printed_as_in_the_golden_files() {
    let mut checked = 0;
    for entry in std::fs::read_dir(data("")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let printed = match load(&text, &[("SIGNING", "not a secret")]) {
            Ok(loaded) => panic!("{} was accepted: {:?}", file.display(), loaded.warnings),
            Err(printed) => printed,
        };
        let golden = file.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&golden, &printed).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        assert_eq!(printed, expected, "{}", file.display());
        checked += 1;
    }
    assert!(checked >= 5, "only {checked} golden files");
}

fn example() -> String {
    include_str!("../config.toml.example").to_owned()
}

/// The lines of `config show`, with the table of each key.
fn settings(shown: &str) -> Vec<String> {
    let mut table = String::new();
    let mut settings = Vec::new();
    for line in shown.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix('[') {
            Some(header) => table = header.trim_end_matches(']').to_owned(),
            None => settings.push(format!("{table}.{line}")),
        }
    }
    settings
}

#[test]
fn the_example_holds_every_key_with_its_default() {
    let example = load(&example(), &[]).unwrap();
    assert!(example.warnings.is_empty(), "{:?}", example.warnings);
    let nothing = load("", &[]).unwrap();
    let expected = settings(&show(&nothing, false));
    assert!(expected.len() > 50, "{expected:?}");
    assert_eq!(settings(&show(&example, false)), expected);
    for line in settings(&show(&example, true)) {
        assert!(line.contains("# config.toml:"), "not in the example: {line}");
    }
}

#[test]
fn every_key_of_an_endpoint_in_the_example_can_be_uncommented() {
    let Shape::Table(keys) = EndpointConfig::SHAPE else { panic!("no table") };
    let example = example();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), SECRET).unwrap();
    let place = secret.path().display().to_string();
    for (key, _) in keys {
        let line = example.lines().find_map(|line| {
            let line = line.strip_prefix("# ")?;
            let (name, _) = line.split_once('=')?;
            (name.trim_end() == *key).then_some(line)
        });
        let line = line.unwrap_or_else(|| panic!("{key} is not in the example"));
        let line = line.replace("/etc/postrider/secrets/billing", &place);
        let line = line.replace("/etc/postrider/secrets/new", &place);
        let mut text = "[[endpoint]]\n".to_owned();
        let needed = [
            ("name", "a"),
            ("url", "https://a.example/"),
            ("rate", "1/s"),
            ("ordering", "key"),
            ("dedupe_window", "1m"),
        ];
        for (needed, value) in needed.iter().filter(|(needed, _)| needed != key) {
            text.push_str(&format!("{needed} = \"{value}\"\n"));
        }
        let loaded = load(&format!("{text}{line}\n"), &[("OLD_SECRET", SECRET)]);
        loaded.unwrap_or_else(|errors| panic!("{errors}"));
    }
}

#[test]
fn every_key_of_a_source_in_the_example_can_be_uncommented() {
    let Shape::Table(keys) = SourceConfig::SHAPE else { panic!("no table") };
    let example = example();
    let (_, lines) = example.split_once("# [[source]]").unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), SECRET).unwrap();
    let place = secret.path().display().to_string();
    let local: &[_] = &[("name", "name = \"a\""), ("unix_user", "unix_user = 0")];
    let provider: &[_] = &[
        ("name", "name = \"a\""),
        ("path", "path = \"/a\""),
        ("verify", "verify = \"github\""),
        ("secret", "secret = { value = \"a\" }"),
    ];
    let mut of_providers = 0;
    for (key, _) in keys {
        let (before, line) = lines
            .match_indices("\n# ")
            .map(|(at, found)| lines.split_at(at + found.len()))
            .map(|(before, rest)| (before, rest.lines().next().unwrap_or_default()))
            .find(|(_, line)| line.split_once('=').is_some_and(|(name, _)| name.trim_end() == *key))
            .unwrap_or_else(|| panic!("{key} is not in the example"));
        let is_provider = before.contains("[[source]]");
        of_providers += usize::from(is_provider);
        let line = line.replace("\"shop-api\"", "\"root\"");
        let line = line.replace("/etc/postrider/secrets/stripe", &place);
        let mut text = "[listen]\nhttp = \"tcp:127.0.0.1:0\"\n[[source]]\n".to_owned();
        let others = if is_provider { provider } else { local };
        let replaced = |other: &str| {
            other == *key
                || other == "secret" && *key == "secrets"
                || other == "verify" && matches!(*key, "verify_token" | "tolerance")
        };
        for (_, needed) in others.iter().filter(|(other, _)| !replaced(other)) {
            text.push_str(&format!("{needed}\n"));
        }
        match *key {
            "verify_token" => text.push_str("verify = \"meta\"\n"),
            "tolerance" => text.push_str("verify = \"stripe\"\n"),
            _ => {}
        }
        if *key == "burst" {
            text.push_str("rate = \"1/s\"\n");
        }
        let loaded =
            load(&format!("{text}{line}\n"), &[("OLD_SECRET", SECRET), ("META_TOKEN", "token")]);
        let shown = show(&loaded.unwrap_or_else(|errors| panic!("{errors}")), true);
        assert!(shown.contains("[[source]]\n") && shown.contains("# config.toml:4"), "{shown}");
    }
    assert_eq!(of_providers, 9);
}

#[test]
fn the_secrets_of_a_provider_are_not_shown() {
    let text = "[listen]\nhttp = \"tcp:127.0.0.1:0\"\n[[source]]\nname = \"a\"\npath = \"/a\"\n\
                verify = \"meta\"\nsecrets = [{ value = \"s3cret\" }, { env = \"OLD\" }]\n\
                verify_token = { value = \"t0ken\" }\n\
                external_url = \"https://a.example/?k=h1dden\"\n";
    let shown = show(&load(text, &[("OLD", "0ld")]).unwrap(), true);
    assert!(shown.contains("verify_token") && shown.contains("env = \"OLD\""), "{shown}");
    for secret in ["s3cret", "t0ken", "0ld", "h1dden"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

/// The scheme of one's own in the example is one.
#[test]
fn the_scheme_in_the_example_can_be_uncommented() {
    let example = example();
    let (_, scheme) = example.split_once("# [source.verify]\n").unwrap();
    let scheme: String =
        scheme.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    let text = format!(
        "[listen]\nhttp = \"tcp:127.0.0.1:0\"\n[[source]]\nname = \"a\"\npath = \"/a\"\n\
         secret = {{ value = \"a\" }}\n[source.verify]\n{scheme}"
    );
    let loaded = load(&text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let provider = loaded.config.sources[0].provider().unwrap();
    assert_eq!(provider.tolerance, Some(std::time::Duration::from_secs(300)));
}

#[test]
fn the_environment_wins_over_files_and_is_always_text() {
    let text = "[delivery]\nmax_in_flight = 256\n[ingest]\nrequire_json = false\n";
    let env = [
        ("POSTRIDER_DELIVERY__MAX_IN_FLIGHT", "512"),
        ("POSTRIDER_INGEST__REQUIRE_JSON", "true"),
        ("POSTRIDER_RETRY__JITTER", "0.5"),
        ("POSTRIDER_LISTEN__INGEST_GROUP", "007"),
        ("POSTRIDER_CONFIG", "/etc/postrider/config.toml"),
        ("POSTRIDER_SOCKET", "/run/postrider/admin.sock"),
        ("PATH", "/usr/bin"),
    ];
    let loaded = load(text, &env).unwrap();
    assert_eq!(loaded.config.delivery.max_in_flight, 512);
    assert!(loaded.config.ingest.require_json);
    assert_eq!(loaded.config.listen.ingest_group, "007");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let shown = show(&loaded, true);
    let line = "max_in_flight = 512   # env POSTRIDER_DELIVERY__MAX_IN_FLIGHT (not config.toml:2)";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let errors = load(
        "",
        &[
            ("POSTRIDER_DELIVERY__DNS_TIMEOUT", "5"),
            ("POSTRIDER_DELIVERY__MAX_IN_FLIGT", "5"),
            ("POSTRIDER_EGRESS__PORTS", "443"),
            ("POSTRIDER_ENDPOINT__0__URL", "https://a.example"),
            ("POSTRIDER_SOURCE__0__NAME", "shop"),
        ],
    );
    let errors = errors.err().unwrap();
    for expected in [
        "found \"5\" (from POSTRIDER_DELIVERY__DNS_TIMEOUT)",
        "not a known key (from POSTRIDER_DELIVERY__MAX_IN_FLIGT)",
        "similar name exists: `max_in_flight`",
        "expected a list, found \"443\" (from POSTRIDER_EGRESS__PORTS)",
        "endpoints cannot be set from the environment",
        "sources cannot be set from the environment",
        "5 errors",
    ] {
        assert!(errors.contains(expected), "{expected} is not in\n{errors}");
    }
    let loaded = load("", &[("POSTRIDER_DELIVERY_HTTP2", "false")]).unwrap();
    assert!(loaded.warnings[0].message.contains("POSTRIDER_DELIVERY_HTTP2 is ignored"));
}

#[test]
fn files_of_conf_d_come_after_the_main_file_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let endpoint =
        |name: &str| format!("[[endpoint]]\nname = \"{name}\"\nurl = \"https://a.b/\"\n");
    std::fs::create_dir(directory.path().join("conf.d")).unwrap();
    write("config.toml", &format!("[delivery]\nmax_in_flight = 1\n{}", endpoint("one")));
    write("conf.d/20.toml", &format!("[delivery]\nmax_in_flight = 3\n{}", endpoint("three")));
    write("conf.d/10.toml", &format!("[delivery]\nmax_in_flight = 2\n{}", endpoint("two")));
    write("conf.d/30.txt", "not ours");
    let main = directory.path().join("config.toml");
    let loaded = postrider::config::load(&main, std::iter::empty()).unwrap();
    assert_eq!(loaded.config.delivery.max_in_flight, 3);
    let names: Vec<&str> = loaded.config.endpoints.iter().map(|e| &*e.name).collect();
    assert_eq!(names, ["one", "two", "three"]);

    write("conf.d/30.toml", &endpoint("two"));
    let errors = postrider::config::load(&main, std::iter::empty()).unwrap_err();
    let errors = errors.findings().iter().filter(|finding| finding.level == Level::Error);
    let places: Vec<_> = errors.map(|e| (e.file.clone(), e.line, e.code)).collect();
    let file = directory.path().join("conf.d/30.toml").display().to_string();
    assert_eq!(places, [(Some(file), Some(2), Code::Duplicate)]);
}

#[test]
fn a_missing_file_is_an_error_and_not_the_defaults() {
    let errors = postrider::config::load(Path::new("/nonexistent/c.toml"), std::iter::empty());
    let errors = errors.unwrap_err();
    assert_eq!(errors.findings()[0].code, Code::Unreadable);
    assert!(errors.to_string().contains("cannot read /nonexistent/c.toml"));
}

#[test]
fn what_is_shown_reads_back_the_same_and_holds_no_secret() {
    let text = format!(
        "[retry]\nschedule = [\"1s\"]\n[[endpoint]]\nname = \"a\"\n\
         url = \"https://a.example/h?token=canary\"\nsecret = {{ value = \"{SECRET}\" }}\n\
         headers = {{ Authorization = \"canary\", X-Tenant = \"acme\" }}\nretry.jitter = 0.1\n"
    );
    let loaded = load(&text, &[]).unwrap();
    let shown = show(&loaded, false);
    assert!(!shown.contains("canary") && !shown.contains(SECRET), "{shown}");
    assert!(!format!("{loaded:?}").contains("canary"), "{loaded:?}");
    assert!(shown.contains("retry = { jitter = 0.1 }"), "{shown}");
    let again = shown.replace("value = \"<redacted>\"", &format!("value = \"{SECRET}\""));
    let again = show(&load(&again, &[]).unwrap(), false);
    assert_eq!(again, shown);
}

#[test]
fn a_secret_that_others_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let text = format!(
        "[[endpoint]]\nname = \"a\"\nurl = \"https://a.b/\"\nsecret = {{ file = \"{}\" }}\n",
        secret.display()
    );
    for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o660, 1)] {
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = load(&text, &[]).unwrap();
        assert_eq!(loaded.warnings.len(), warnings, "mode {mode:o}");
        assert_eq!(loaded.config.endpoints[0].secrets[0].expose(), SECRET);
    }
}

#[test]
fn a_literal_secret_is_a_warning_where_others_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let endpoint = "[[endpoint]]\nname = \"a\"\nurl = \"https://a.b/\"\n";
    std::fs::write(&file, format!("{endpoint}secret = {{ value = \"{SECRET}\" }}\n")).unwrap();
    for (mode, warnings) in [(0o640, 0), (0o644, 1)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = postrider::config::load(&file, std::iter::empty()).unwrap();
        assert_eq!(loaded.warnings.len(), warnings, "mode {mode:o}");
        assert!(loaded.warnings.iter().all(|warning| warning.line == Some(4)));
    }
}

/// What a hurried hand does to a file: cut off anywhere, lines lost, doubled or overwritten. It is
/// accepted or refused with a place, and never worse.
#[test]
fn no_mutilation_of_the_example_goes_unplaced() {
    let example = example().replace("\n# [[endpoint]]", "\n[[endpoint]]");
    let lines: Vec<&str> = example.lines().collect();
    let mut refused = 0;
    let mut check = |text: &str| {
        let texts = [("config.toml".to_owned(), text.to_owned())];
        if let Err(errors) = load_texts(&texts, std::iter::empty()) {
            refused += 1;
            assert!(errors.render(true).contains("error"));
            for finding in errors.findings() {
                let line = finding.line.unwrap_or_else(|| panic!("{finding:?} in\n{text}"));
                assert!((1..=text.lines().count() + 1).contains(&line), "{finding:?}");
            }
        }
    };
    for cut in (0..example.len()).step_by(97) {
        check(&example[..cut]);
    }
    for index in (0..lines.len()).step_by(2) {
        for other in ["", "x = 1", "[retry]", "[[delivery]]", "name = [{}]", "\"\u{20ac}\" = '"] {
            let mut mutilated = lines.clone();
            mutilated[index] = other;
            check(&mutilated.join("\n"));
        }
        let mut doubled = lines.clone();
        doubled.insert(index, lines[index]);
        check(&doubled.join("\n"));
    }
    assert!(refused > 200, "only {refused} were refused");
}
