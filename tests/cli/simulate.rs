//! What the configuration makes of an outage. After a change on purpose:
//! `GOLDEN=write cargo test --test cli simulate`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::world::Run;
use crate::world::run;

const CONFIG: &str = "\
[[endpoint]]
name = \"billing\"
url = \"https://billing.example.com/hooks\"

[[endpoint]]
name = \"hasty\"
url = \"https://hasty.example.com/hooks\"
retry = { schedule = [\"1m\", \"1m\"], max_age = \"1h\" }
breaker = { failures = 5 }
";

fn simulate(args: &[&str]) -> Run {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), CONFIG).unwrap();
    let path = file.path().display().to_string();
    run(&[&["simulate", "--config", &path], args].concat())
}

fn is_as_kept(name: &str, args: &[&str]) {
    let shown = simulate(args);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
        fs::write(&path, &shown.stdout).unwrap();
    }
    assert_eq!(shown.stdout, fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

#[test]
fn a_plan_is_as_kept() {
    is_as_kept("simulate-alone", &["--outage", "2h", "--endpoint", "billing"]);
    let busy = ["--outage", "2h", "--endpoint", "billing", "--traffic", "10/s"];
    is_as_kept("simulate-busy", &busy);
}

#[test]
fn a_plan_is_a_document_as_well() {
    let shown = simulate(&["--outage", "2h", "--endpoint", "hasty", "--traffic", "1/m", "--json"]);
    let plan: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&plan["end"], &plan["after_outage_ms"]), (&"dead".into(), &Value::Null), "{plan}");
    let last = plan["moments"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["what"], "dead: exhausted", "{plan}");
    let brief = simulate(&["--outage", "30s", "--endpoint", "hasty", "--json"]);
    let plan: Value = serde_json::from_str(&brief.stdout).unwrap();
    assert_eq!((&plan["end"], &plan["after_outage_ms"]), (&"delivered".into(), &30_000.into()));
    assert_eq!(plan["delivered_share"], 1.0);
}

#[test]
fn what_cannot_be_simulated_is_said() {
    let unknown = simulate(&["--outage", "2h", "--endpoint", "crm"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.stderr.contains("defines no endpoint \"crm\""), "{}", unknown.stderr);
    for wrong in [["--outage", "two hours"], ["--outage", "366d"], ["--traffic", "10"]] {
        let refused = simulate(&[&wrong[..], &["--endpoint", "billing"]].concat());
        assert_eq!(refused.code, 2, "{wrong:?}: {}", refused.stderr);
    }
}
