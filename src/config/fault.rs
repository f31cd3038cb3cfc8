//! What is wrong with a configuration: each fault with its place, all at once.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::config::layer::Layer;
use crate::config::layer::Written;
use crate::config::text::Text;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The configuration cannot be used.
    Error,
    /// It can, but probably not as intended.
    Warning,
}

/// What kind of mistake a finding is: a stable word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A file could not be read.
    Unreadable,
    /// Not TOML.
    Syntax,
    /// Written for a newer postrider.
    Version,
    /// A key that means nothing.
    UnknownKey,
    /// A value of the wrong type.
    Type,
    /// A value that is not allowed.
    Value,
    /// A value outside its limits.
    Range,
    /// A key that must be there.
    Missing,
    /// Two settings that do not go together.
    Conflict,
    /// A name that was used before.
    Duplicate,
    /// A URL that must not be called.
    Url,
    /// A secret that cannot be had or used.
    Secret,
    /// Something that works, but is less safe than it should be.
    Unsafe,
}

impl Code {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::Unreadable => "unreadable",
            Code::Syntax => "syntax",
            Code::Version => "version",
            Code::UnknownKey => "unknown-key",
            Code::Type => "type",
            Code::Value => "value",
            Code::Range => "range",
            Code::Missing => "missing",
            Code::Conflict => "conflict",
            Code::Duplicate => "duplicate",
            Code::Url => "url",
            Code::Secret => "secret",
            Code::Unsafe => "unsafe",
        }
    }
}

/// A fault that knows its key and not yet its place.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) level: Level,
    pub(crate) code: Code,
    /// The key, by dotted path; empty for none.
    pub(crate) path: String,
    /// Points at the key and not at its value.
    pub(crate) at_key: bool,
    pub(crate) title: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
    /// In which layer to look; the last one that sets the key if not said.
    pub(crate) layer: Option<usize>,
}

impl Draft {
    pub(crate) fn error(code: Code, path: &str, title: String, label: String) -> Draft {
        Draft {
            level: Level::Error,
            code,
            path: path.to_owned(),
            at_key: false,
            title,
            label,
            help: None,
            layer: None,
        }
    }

    pub(crate) fn warning(code: Code, path: &str, title: String, label: String) -> Draft {
        Draft { level: Level::Warning, ..Draft::error(code, path, title, label) }
    }

    /// For a value that cannot be what it is.
    pub(crate) fn invalid(code: Code, path: &str, label: String) -> Draft {
        Draft::error(code, path, format!("invalid value for `{}`", shown(path)), label)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Draft {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn at_key(mut self) -> Draft {
        self.at_key = true;
        self
    }

    pub(crate) fn in_layer(mut self, layer: usize) -> Draft {
        self.layer = Some(layer);
        self
    }

    /// The whole fault as one sentence.
    pub(crate) fn message(&self) -> String {
        if self.label.is_empty() {
            return self.title.clone();
        }
        format!("{}: {}", self.title, self.label)
    }

    /// The fault with its place.
    pub(crate) fn locate(self, layers: &[Layer]) -> Finding {
        let message = self.message();
        let mut finding = Finding {
            level: self.level,
            code: self.code,
            file: None,
            line: None,
            column: None,
            variable: None,
            key: shown(&self.path),
            message,
            help: self.help,
            title: self.title,
            label: self.label,
            snippet: None,
        };
        let Some((layer, path)) = find(layers, &self.path, self.layer) else { return finding };
        match &layer.written {
            Written::Environment { .. } => {
                finding.variable = layer.variable(path).map(str::to_owned);
            }
            Written::File { name, text, spots } => {
                if let Some(spot) = spots.get(path) {
                    let header = self.at_key || path != self.path;
                    let span = if header { &spot.key } else { &spot.value };
                    finding.point(name, text, span.clone());
                }
            }
        }
        finding
    }
}

/// The layer that sets a key, or else the table around it, which may be the whole of a list item.
fn find<'a, 'p>(
    layers: &'a [Layer],
    path: &'p str,
    only: Option<usize>,
) -> Option<(&'a Layer, &'p str)> {
    let mut path = path;
    loop {
        let mut candidates = layers.iter().enumerate().rev();
        let hit = candidates
            .find(|(index, layer)| only.is_none_or(|only| only == *index) && layer.sets(path));
        if let Some((_, layer)) = hit {
            return Some((layer, path));
        }
        path = path.rsplit_once('.')?.0;
    }
}

/// A dotted path as people write it: `endpoint[1].types[0]`.
pub(crate) fn shown(path: &str) -> String {
    let mut text = String::new();
    for part in path.split('.') {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if number {
            text.push_str(&format!("[{part}]"));
        } else {
            let dot = if text.is_empty() { "" } else { "." };
            text.push_str(&format!("{dot}{part}"));
        }
    }
    text
}

/// One thing that is wrong, or probably wrong, with a configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What kind of mistake it is.
    pub code: Code,
    /// The file that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The environment variable that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// The key, as in `endpoint[1].types[0]`.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    pub(crate) title: String,
    #[serde(skip)]
    pub(crate) label: String,
    #[serde(skip)]
    pub(crate) snippet: Option<Snippet>,
}

/// The text around a fault, free of secrets.
#[derive(Clone, Debug)]
pub(crate) struct Snippet {
    /// The whole file.
    pub(crate) text: Text,
    /// What is underlined, in bytes.
    pub(crate) span: Range<usize>,
}

impl Finding {
    /// Sets the place.
    pub(crate) fn point(&mut self, name: &str, text: &Text, span: Range<usize>) {
        let (line, column) = text.position(span.start);
        self.file = Some(name.to_owned());
        self.line = Some(line);
        self.column = Some(column);
        self.snippet = Some(Snippet { text: text.clone(), span });
    }
}

/// Why a configuration cannot be used: every fault that was found, and the warnings beside them.
#[derive(Clone, thiserror::Error)]
#[error("{}", self.render(false))]
pub struct ConfigErrors {
    pub(crate) findings: Vec<Finding>,
}

impl ConfigErrors {
    /// All of them, errors first, in the order of files and lines.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// For a terminal: each with the line that it is in, and then how many they are.
    pub fn render(&self, color: bool) -> String {
        super::render::render(&self.findings, color)
    }
}

impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}
