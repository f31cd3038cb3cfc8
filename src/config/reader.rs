//! Reads settings one key at a time, so that one that is wrong hides no other: each fault is noted,
//! and reading goes on with the default in its place.

use std::fmt::Display;

use figment::Figment;
use figment::error::Actual;
use figment::error::Kind;
use figment::providers::Serialized;
use figment::value::Dict;
use figment::value::Value;
use serde::de::DeserializeOwned;

use crate::config::fault::Code;
use crate::config::fault::Draft;
use crate::config::layer::Layer;

/// The key that a text from the environment is given while it is read.
const WRAPPED: &str = "(variable)";

/// What is read, from where, and what was found wrong with it.
pub(crate) struct Reader<'a> {
    root: &'a Value,
    layers: &'a [Layer],
    prefix: String,
    /// Everything found wrong so far.
    pub(crate) findings: Vec<Draft>,
}

impl<'a> Reader<'a> {
    /// A reader at the top of the settings that these layers make together.
    pub(crate) fn new(root: &'a Value, layers: &'a [Layer]) -> Reader<'a> {
        Reader { root, layers, prefix: String::new(), findings: Vec::new() }
    }

    /// Reads a table below this one.
    pub(crate) fn inside<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let path = self.path(key);
        let outer = std::mem::replace(&mut self.prefix, path);
        let result = read(self);
        self.prefix = outer;
        result
    }

    /// The dotted path of a key of this table; of the table itself for an empty key.
    pub(crate) fn path(&self, key: &str) -> String {
        match (self.prefix.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}.{key}", self.prefix),
        }
    }

    /// What stands at a key, if anything.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a Value> {
        let value = self.root.find_ref(&self.path(key))?;
        (!matches!(value, Value::Empty(..))).then_some(value)
    }

    /// The table that is being read.
    pub(crate) fn table(&self) -> Option<&'a Dict> {
        self.raw("").and_then(Value::as_dict)
    }

    /// The file that a key stands in, if it stands in one.
    pub(crate) fn file_of(&self, path: &str) -> Option<&'a str> {
        let layer = self.layers.iter().rev().find(|layer| layer.spot(path).is_some())?;
        layer.file_name()
    }

    /// Where the table that is being read begins: `file:line`, if it stands in a file.
    pub(crate) fn place(&self) -> Option<String> {
        self.layers.iter().rev().find_map(|layer| layer.place(&self.prefix))
    }

    /// Notes a fault.
    pub(crate) fn note(&mut self, draft: Draft) {
        self.findings.push(draft);
    }

    /// Notes that the value of a key is not allowed.
    pub(crate) fn refuse(&mut self, code: Code, key: &str, label: impl Into<String>) {
        let draft = Draft::invalid(code, &self.path(key), label.into());
        self.note(draft);
    }

    /// The value of a key, or nothing if it is not set or cannot be read; the latter is noted.
    pub(crate) fn value<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.raw(key)?;
        let path = self.path(key);
        // the environment is the last layer: what it sets, nothing else does
        let from_environment =
            self.layers.last().is_some_and(|last| last.variable(&path).is_some());
        let result = match value {
            // a variable is always text: numbers and truth values are read out of it here
            Value::String(_, text) if from_environment => {
                Figment::from(Serialized::default(WRAPPED, text)).extract_inner_lossy(WRAPPED)
            }
            value => value.deserialize(),
        };
        result.map_err(|error| self.wrong_type(&path, &error)).ok()
    }

    /// The value of a key, if it lies between two limits, which it may reach.
    pub(crate) fn bounded<T>(&mut self, key: &str, min: T, max: T) -> Option<T>
    where
        T: DeserializeOwned + PartialOrd + Display,
    {
        let value: T = self.value(key)?;
        if min <= value && value <= max {
            return Some(value);
        }
        self.refuse(Code::Range, key, format!("must be from {min} to {max}, found {value}"));
        None
    }

    fn wrong_type(&mut self, path: &str, error: &figment::Error) {
        // what came out of the environment was wrapped, and has no parts
        let below = error.path.iter().skip_while(|part| *part == WRAPPED);
        let path = below.fold(path.to_owned(), |path, part| format!("{path}.{part}"));
        let (code, label) = explain(&error.kind);
        self.note(Draft::invalid(code, &path, label));
    }
}

/// A deserialization error in our words.
fn explain(kind: &Kind) -> (Code, String) {
    match kind {
        Kind::InvalidType(found, expected) => {
            (Code::Type, format!("expected {}, found {}", noun(expected), actual(found)))
        }
        Kind::InvalidValue(found, expected) => {
            (Code::Value, format!("expected {}, found {}", noun(expected), actual(found)))
        }
        Kind::UnknownVariant(found, words) => {
            (Code::Value, format!("expected {}, found \"{found}\"", one_of(words)))
        }
        Kind::UnknownField(found, words) => {
            (Code::UnknownKey, format!("unknown key \"{found}\", expected {}", one_of(words)))
        }
        Kind::MissingField(name) => (Code::Missing, format!("the key `{name}` is missing")),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => {
            (Code::Range, "the number is out of range".to_owned())
        }
        Kind::Message(message) => (Code::Value, message.clone()),
        other => (Code::Value, other.to_string()),
    }
}

/// What serde calls a type, in words of the configuration.
fn noun(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u8" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string" => "text in quotes",
        "a sequence" => "a list",
        "a map" => "a table",
        other => other,
    }
}

fn actual(found: &Actual) -> String {
    match found {
        Actual::Str(text) => format!("\"{text}\""),
        Actual::Bool(truth) => truth.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "nothing".to_owned(),
    }
}
