//! What a new configuration changes, and what of that only a restart can bring about.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::config::Config;
use crate::config::EndpointConfig;
use crate::config::SourceConfig;
use crate::config::schema::Shape;

/// Keys and tables that are read once, at start. Sockets are bound and the store is open then.
const AT_START: [&str; 6] = [
    "listen",
    "storage.path",
    "storage.durability",
    "storage.cache",
    "storage.ballast",
    "log.format",
];

/// The difference between two configurations, in dotted keys and names of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Settings that hold from now on.
    pub applied: Vec<String>,
    /// Settings that hold after the next start.
    pub needs_restart: Vec<String>,
    /// Endpoints that are new.
    pub added: Vec<String>,
    /// Endpoints that are defined otherwise than before, or sign with other secrets. One that only
    /// follows a change of `[retry]` or `[delivery]` is among them.
    pub changed: Vec<String>,
    /// Endpoints that are gone.
    pub removed: Vec<String>,
    /// Sources that are new, defined otherwise than before, or gone.
    pub sources: Vec<String>,
}

impl Changes {
    /// From what holds now to what was read.
    pub fn between(old: &Config, new: &Config) -> Changes {
        let mut changes = Changes::default();
        for ((table, shape, before), (_, _, after)) in old.tables().iter().zip(new.tables()) {
            let Shape::Table(keys) = shape else { continue };
            for (key, _) in keys.iter().filter(|(key, _)| before.get(key) != after.get(key)) {
                let path = format!("{table}.{key}");
                let at_start = AT_START.iter().any(|name| name == table || *name == path);
                let list = if at_start { &mut changes.needs_restart } else { &mut changes.applied };
                list.push(path);
            }
        }
        let (before, after) = (&old.sources, &new.sources);
        let (old, new) = (by_name(old), by_name(new));
        for (name, endpoint) in &new {
            match old.get(name) {
                None => changes.added.push((*name).to_owned()),
                Some(before) if before != endpoint => changes.changed.push((*name).to_owned()),
                Some(_) => {}
            }
        }
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        changes.removed.extend(gone.map(|name| (*name).to_owned()));
        changes.sources = sources_between(before, after);
        changes
    }
}

fn sources_between(old: &[SourceConfig], new: &[SourceConfig]) -> Vec<String> {
    let missing = |one: &SourceConfig, others: &[SourceConfig]| {
        !others.iter().any(|other| other.name == one.name && other.is_same(one))
    };
    let gone = old.iter().filter(|source| missing(source, new));
    let come = new.iter().filter(|source| missing(source, old));
    let names: BTreeSet<_> = gone.chain(come).map(|source| source.name.to_string()).collect();
    names.into_iter().collect()
}

fn by_name(config: &Config) -> BTreeMap<&str, &EndpointConfig> {
    config.endpoints.iter().map(|endpoint| (&*endpoint.name, endpoint)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_texts;

    fn config(text: &str) -> Config {
        let texts = [("config.toml".to_owned(), text.to_owned())];
        load_texts(&texts, std::iter::empty()).unwrap().config
    }

    #[test]
    fn settings_are_told_from_those_that_need_a_restart() {
        let new = config(
            "[listen]\nmax_connections = 7\n[storage]\ncache = \"32MiB\"\n\
             min_free_disk = \"2GiB\"\n[delivery]\nmax_in_flight = 3\n",
        );
        let changes = Changes::between(&Config::default(), &new);
        assert_eq!(changes.applied, ["storage.min_free_disk", "delivery.max_in_flight"]);
        assert_eq!(changes.needs_restart, ["listen.max_connections", "storage.cache"]);
        assert_eq!(Changes::between(&new, &new), Changes::default());
    }

    #[test]
    fn endpoints_are_told_apart_by_name() {
        let endpoint = |name: &str, path: &str| {
            format!("[[endpoint]]\nname = \"{name}\"\nurl = \"https://a.example/{path}\"\n")
        };
        let old = config(&[endpoint("a", "1"), endpoint("b", "1"), endpoint("c", "1")].concat());
        let new = config(&[endpoint("d", "1"), endpoint("c", "2"), endpoint("a", "1")].concat());
        let changes = Changes::between(&old, &new);
        assert_eq!(changes.added, ["d"]);
        assert_eq!(changes.changed, ["c"]);
        assert_eq!(changes.removed, ["b"]);
        assert_eq!(changes.applied, [] as [&str; 0]);
    }

    #[test]
    fn sources_that_differ_are_named() {
        let source = |name: &str, more: &str| format!("[[source]]\nname = \"{name}\"\n{more}\n");
        let (one, two) = ("unix_user = 1", "unix_user = 2");
        let old = config(&[source("a", one), source("b", two)].concat());
        let moved = config(&["\n\n".to_owned(), source("b", two), source("a", one)].concat());
        assert_eq!(Changes::between(&old, &moved), Changes::default(), "only their places");
        let new = config(&[source("a", "unix_user = 3"), source("c", two)].concat());
        assert_eq!(Changes::between(&old, &new).sources, ["a", "b", "c"]);
    }

    #[test]
    fn a_change_of_a_table_reaches_the_endpoints_that_inherit_it() {
        let endpoint = "[[endpoint]]\nname = \"a\"\nurl = \"https://a.example/\"\n";
        let new = config(&format!("[retry]\njitter = 0.5\n{endpoint}"));
        let changes = Changes::between(&config(endpoint), &new);
        assert_eq!(changes.applied, ["retry.jitter"]);
        assert_eq!(changes.changed, ["a"]);
    }
}
