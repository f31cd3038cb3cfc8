//! The manual pages and the completions say what `--help` says.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::help::COMMANDS;
use crate::world::run;

/// Words that `--help` has as headings and marks; a page has other headings.
const MARKS: &[&str] = &["usage", "arguments", "commands", "env", "examples"];

/// How often a text has each of its words.
fn words(text: &str) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        *found.entry(word.to_ascii_lowercase()).or_default() += 1;
    }
    found
}

/// The text of a page without what is for the typesetter.
fn plain(page: &str) -> String {
    let page = page.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "");
    let page = page.replace("\\*(Aq", "'").replace("\\-", "-").replace("\\&", "");
    let page = page.replace("\\(bu", "").replace("\\(aq", "'").replace("\\\\", "\\");
    let kept = page.lines().filter(|line| !line.starts_with('.') || line.starts_with(".S"));
    kept.collect::<Vec<_>>().join("\n")
}

fn pages() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let made = run(&["man", directory.path().join("new").to_str().unwrap()]);
    assert_eq!((made.code, made.stdout.as_str()), (0, ""), "{}", made.stderr);
    directory
}

fn page(directory: &Path, name: &str) -> String {
    let path = directory.join("new").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn each_command_has_a_page_that_says_what_its_help_says() {
    let directory = pages();
    for command in COMMANDS {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        let name = [&["postrider"], &args[..]].concat().join("-");
        args.push("--help");
        let help = run(&args).stdout;
        let page = plain(&page(directory.path(), &format!("{name}.1")));
        let there = words(&page);
        for (word, times) in words(&help) {
            let found = there.get(&word).copied().unwrap_or_default();
            let mark = MARKS.contains(&word.as_str());
            assert!(
                found >= times || mark,
                "{name}: \"{word}\" {found} times, not {times}\n{page}"
            );
        }
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
        assert!(page.contains(&format!("\n{usage}\n")), "{name}: {usage}\n{page}");
    }
    let made = fs::read_dir(directory.path().join("new")).unwrap().count();
    assert_eq!(made, COMMANDS.len() + 1, "one for each command, and the configuration");
}

#[test]
fn the_configuration_has_a_page_with_every_line_of_the_example() {
    let page = plain(&page(pages().path(), "postrider.toml.5"));
    let example = include_str!("../../config.toml.example");
    let lines: Vec<&str> = page.lines().collect();
    for line in example.lines().filter(|line| !line.starts_with("# -- ")) {
        assert!(lines.contains(&line), "{line}");
    }
}

/// man itself has nothing to say against them, where it is installed.
#[test]
fn the_typesetter_takes_every_page() {
    let directory = pages();
    for entry in fs::read_dir(directory.path().join("new")).unwrap() {
        let path = entry.unwrap().path();
        let mut man = Command::new("man");
        man.args(["--warnings", "--encoding=UTF-8", "--local-file"]).arg(&path);
        let Ok(shown) = man.env("MANROFFSEQ", "").env("MANWIDTH", "80").output() else {
            println!("skipped: man is not installed");
            return;
        };
        let complaints = String::from_utf8_lossy(&shown.stderr);
        assert!(shown.status.success() && complaints.is_empty(), "{path:?}: {complaints}");
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(text.contains("postrider 0."), "{path:?} has no version: {text}");
    }
}

/// What bash offers after these words, the last of which is begun.
fn offered(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let (word, before) = (words[words.len() - 1], words[words.len() - 2]);
    let program = env!("CARGO_BIN_EXE_postrider");
    let script = format!(
        "source <({program} completions bash); COMP_WORDS=({line}); COMP_CWORD={}
         _postrider postrider '{word}' '{before}'; echo \"${{COMPREPLY[@]}}\"",
        words.len() - 1
    );
    let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(offered("postrider deliv"), "delivery");
    assert_eq!(offered("postrider delivery ret"), "retry");
    assert_eq!(offered("postrider event list --sin"), "--since");
}

#[test]
fn there_are_completions_for_other_shells() {
    for shell in ["zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, 0, "{}", script.stderr);
        for name in COMMANDS.iter().flat_map(|command| command.split(' ')) {
            assert!(script.stdout.contains(name), "{shell}: {name}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).code, 2);
}
