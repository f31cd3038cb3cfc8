//! Configuration as its users meet it: errors as they are printed, the example file, layers.

use std::path::Path;
use std::path::PathBuf;

use postrider::config::Loaded;
use postrider::config::load_texts;

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
