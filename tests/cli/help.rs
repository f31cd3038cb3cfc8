//! The help texts are part of the interface: each is kept as a file. After a change on purpose:
//! `GOLDEN=write cargo test --test cli help`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::world::run;

/// Every command that has a help text.
pub(crate) const COMMANDS: &[&str] = &[
    "",
    "status",
    "health",
    "reload",
    "drain",
    "send",
    "event",
    "event list",
    "event show",
    "delivery",
    "delivery list",
    "delivery show",
    "delivery retry",
    "delivery cancel",
    "delivery hold",
    "delivery release",
    "delivery holds",
    "queue",
    "simulate",
    "replay",
    "replay list",
    "replay show",
    "replay cancel",
    "endpoint",
    "endpoint list",
    "endpoint show",
    "endpoint add",
    "endpoint remove",
    "endpoint pause",
    "endpoint drain",
    "endpoint resume",
    "endpoint enable",
    "endpoint test",
    "source",
    "source list",
    "source show",
    "version",
    "run",
    "demo",
    "listen",
    "sign",
    "verify",
    "secret",
    "secret generate",
    "config",
    "config check",
    "config show",
    "completions",
    "man",
];

fn golden(command: &str) -> PathBuf {
    let name = if command.is_empty() { "postrider".into() } else { command.replace(' ', "-") };
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/help/{name}.txt"))
}

/// The words in the first column under `Commands:`.
fn listed(help: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // a line further in goes on with a description
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[test]
fn help_is_as_kept() {
    let write = std::env::var("GOLDEN").is_ok_and(|word| word == "write");
    for command in COMMANDS {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let shown = run(&args);
        assert_eq!(shown.code, 0, "{command}");
        let path = golden(command);
        if write {
            fs::write(&path, &shown.stdout).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(shown.stdout, kept, "postrider {command} --help");
    }
}

#[test]
fn every_command_has_its_help_kept() {
    for parent in ["", "event", "delivery", "replay", "endpoint", "source", "secret", "config"] {
        let mut args: Vec<&str> = parent.split_whitespace().collect();
        args.push("--help");
        for name in listed(&run(&args).stdout) {
            let command = format!("{parent} {name}");
            assert!(COMMANDS.contains(&command.trim()), "{command} is not in the list");
        }
    }
}

#[test]
fn a_near_miss_is_suggested() {
    let missed = run(&["evnt"]);
    assert_eq!((missed.code, missed.stdout.as_str()), (2, ""));
    assert!(missed.stderr.contains("a similar subcommand exists: 'event'"), "{}", missed.stderr);
}
