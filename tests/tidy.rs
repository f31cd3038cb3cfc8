//! Rules about the source that no compiler knows. Each is a test of a few lines, so that it is
//! plain what it holds.
#![expect(clippy::expect_used, reason = "where a file cannot be read, there is nothing to hold")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Modules in their order: a module sees those of lower rank, and itself; equals do not see each
/// other.
const RANKS: [(&str, u8); 10] = [
    ("model", 0),
    ("policy", 1),
    ("engine", 2),
    ("config", 3),
    ("store", 4),
    ("courier", 4),
    ("intake", 4),
    ("admin", 4),
    ("daemon", 5),
    ("cli", 6),
];

/// What decides touches nothing.
const CORE: [&str; 3] = ["model", "policy", "engine"];
const WORLD: [&str; 9] = [
    "tokio::",
    "hyper::",
    "hyper_util::",
    "sled::",
    "rustls::",
    "std::net",
    "std::fs",
    "std::process",
    "std::thread",
];

/// Files that may start tasks although they are not the hub, each with its reason.
const SPAWNERS: [(&str, &str); 2] = [
    ("src/cli/demo/process.rs", "the demo runs the daemon as a process, to kill it"),
    ("src/store/checkpoint.rs", "the store is synced beside the writer, which waits for it later"),
];

/// The longest file, in lines.
const FILE_LINES_MAX: usize = 400;
/// The longest line, in characters.
const LINE_CHARS_MAX: usize = 100;

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// `store` for `src/store/writer.rs`.
    fn module(&self) -> &str {
        let part = self.path.strip_prefix("src").ok().and_then(|path| path.iter().next());
        let part = part.and_then(|part| part.to_str()).unwrap_or_default();
        part.trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests") || self.path.ends_with("tests.rs")
    }

    /// Numbered lines of code that is shipped: no comments, no tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let shipped = self.text.split("\n#[cfg(test)]\nmod tests {\n").next().unwrap_or_default();
        let shipped = if self.is_test() { "" } else { shipped };
        let lines = shipped.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// All files below a directory that a reader of the repository sees.
fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of the project") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if ["target", ".git", "Cargo.lock"].contains(&name) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The Rust files of `src` and `tests`.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(Path::new("src"), &mut paths);
    walk(Path::new("tests"), &mut paths);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file");
        Source { path, text }
    };
    let sources: Vec<Source> = paths.into_iter().map(read).collect();
    assert!(sources.len() > 10, "run from the top of the project");
    sources
}

fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn modules_see_only_what_is_below_them() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("src")) {
        let Some(own) = rank(source.module()) else { continue };
        for (number, line) in source.text.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for after in line.split("crate::").skip(1) {
                let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                let seen = after.get(..end.unwrap_or(after.len())).unwrap_or_default();
                let allowed = rank(seen).is_none_or(|rank| rank < own) || seen == source.module();
                if !allowed {
                    broken.push(format!("{} sees {seen}", source.at(number + 1)));
                }
            }
        }
    }
    assert_none(&broken, "a module sees one that is not below it");
}

#[test]
fn every_module_has_a_rank() {
    let sources = sources();
    let modules = sources.iter().filter(|source| source.path.starts_with("src"));
    let unranked = modules.map(Source::module).filter(|module| rank(module).is_none());
    let unranked: Vec<&str> = unranked.filter(|module| !["lib", "main"].contains(module)).collect();
    assert!(unranked.is_empty(), "not in the order of modules: {unranked:?}");
}

#[test]
fn the_core_touches_nothing() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| CORE.contains(&source.module())) {
        for (number, line) in source.code() {
            for thing in WORLD.iter().filter(|thing| line.contains(*thing)) {
                broken.push(format!("{} has {thing}", source.at(number)));
            }
        }
    }
    assert_none(&broken, "model, policy and engine decide and do nothing else");
}

#[test]
fn one_place_flushes_and_only_the_store_knows_sled() {
    let mut broken = Vec::new();
    for source in sources() {
        for (number, line) in source.code() {
            let store = source.module() == "store";
            let checkpoint = source.path == Path::new("src/store/checkpoint.rs");
            if (store && !checkpoint && line.contains(".flush()"))
                || (!store && line.contains("sled::"))
            {
                broken.push(format!("{} {}", source.at(number), line.trim()));
            }
        }
    }
    assert_none(&broken, "one place flushes, one module knows sled");
}

#[test]
fn only_the_hub_starts_tasks_and_threads() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.module() != "daemon") {
        if SPAWNERS.iter().any(|(path, _)| source.path == Path::new(path)) {
            continue;
        }
        for (number, line) in source.code() {
            if line.contains("spawn(") || line.contains("spawn_blocking(") {
                broken.push(format!("{} {}", source.at(number), line.trim()));
            }
        }
    }
    assert_none(&broken, "tasks and threads are started by the daemon, or listed with a reason");
}

#[test]
fn files_and_lines_are_short() {
    let mut broken = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{} has {lines} lines", source.path.display()));
        }
        for (number, line) in source.text.lines().enumerate() {
            if line.chars().count() > LINE_CHARS_MAX {
                broken.push(format!("{} is too long", source.at(number + 1)));
            }
        }
    }
    assert_none(&broken, "400 lines of 100 characters");
}

#[test]
fn sources_are_ascii() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("src")) {
        for (number, line) in source.text.lines().enumerate().filter(|(_, line)| !line.is_ascii()) {
            broken.push(format!("{} {line}", source.at(number + 1)));
        }
    }
    assert_none(&broken, "write other characters as \\u{...}");
}

#[test]
fn nothing_is_left_to_do() {
    // in two parts each, so that this file holds none of them
    let markers = ["TO\u{44}O", "FIX\u{4d}E", "XX\u{58}", "todo\u{21}(", "unimplemented\u{21}("];
    let mut broken = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if markers.iter().any(|marker| line.contains(marker)) {
                broken.push(format!("{} {}", source.at(number + 1), line.trim()));
            }
        }
    }
    assert_none(&broken, "leftover markers");
}

#[test]
fn tests_stand_at_the_end_of_their_file() {
    let mut broken = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, _) in lines.iter().enumerate().filter(|(_, line)| line.contains("#[cfg(test)]"))
        {
            let rest = lines.get(index + 1..).unwrap_or_default();
            let opened = rest.first() == Some(&"mod tests {");
            let closed = rest.iter().position(|line| *line == "}") == Some(rest.len() - 1);
            let declared = rest.first() == Some(&"mod tests;");
            if !(declared || (opened && closed)) && source.path != Path::new("tests/tidy.rs") {
                broken.push(source.at(index + 1));
            }
        }
    }
    assert_none(
        &broken,
        "#[cfg(test)] is only for `mod tests`, and one with a body stands at the end",
    );
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let names =
        ["/wor\u{6b}/", "../share\u{64}", "/hom\u{65}/", "/roo\u{74}/", "registr\u{79}/src"];
    let mut paths = Vec::new();
    walk(Path::new("."), &mut paths);
    let mut broken = Vec::new();
    for path in paths {
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
        for (number, line) in text.lines().enumerate() {
            if names.iter().any(|name| line.contains(name)) {
                broken.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert_none(&broken, "paths of one machine mean nothing on another");
}
