//! Where settings are written: files and the environment. Each is one layer; `figment` lays them
//! over one another, and each remembers where its keys stand.
//!
//! The tables of `[[endpoint]]` and `[[source]]` are numbered across all files and kept as a table
//! of tables (`endpoint.3.url`), because layers replace lists: every file may add some of its own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use figment::Metadata;
use figment::Profile;
use figment::Provider;
use figment::value::Dict;
use figment::value::Map;
use figment::value::Value;
use toml_edit::Document;
use toml_edit::Item;
use toml_edit::TableLike;

use crate::config::text::Text;

/// Where events go.
pub const ENDPOINTS: &str = "endpoint";
/// Where events come from.
pub const SOURCES: &str = "source";
/// The lists that every file may add to.
pub const LISTS: [&str; 2] = [ENDPOINTS, SOURCES];
/// A number for each of [`LISTS`].
pub type OfLists = [usize; LISTS.len()];
/// What a variable begins with that is a setting.
pub const ENVIRONMENT_PREFIX: &str = "POSTRIDER_";
/// Variables with our prefix that are no settings.
const OTHER_VARIABLES: [&str; 7] = [
    "POSTRIDER_CONFIG",
    "POSTRIDER_SOCKET",
    "POSTRIDER_INGEST_SOCKET",
    "POSTRIDER_URL",
    "POSTRIDER_TOKEN_FILE",
    "POSTRIDER_SECRET",
    "POSTRIDER_TIMEOUT",
];

/// Where a key stands in its file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The key; of an item of a list, the item; of a table, its header.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// Where a layer is written.
#[derive(Clone, Debug)]
pub enum Written {
    /// A file.
    File {
        /// Its path, as it is shown.
        name: Arc<str>,
        /// Its text.
        text: Text,
        /// Where its keys stand, by dotted path.
        spots: BTreeMap<String, Spot>,
    },
    /// The environment.
    Environment {
        /// The variable that sets a key, by dotted path.
        variables: BTreeMap<String, String>,
    },
}

/// Settings from one place.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Where they are written.
    pub written: Written,
    /// What they say.
    pub data: Dict,
}

/// Why a text is no TOML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes.
    pub span: Range<usize>,
}

impl Layer {
    /// A file's settings. The items of its [`LISTS`] are numbered from `firsts`.
    ///
    /// # Errors
    /// [`SyntaxError`] if it is no TOML.
    pub fn file(name: &str, text: &str, firsts: OfLists) -> Result<Layer, SyntaxError> {
        let document = Document::parse(text).map_err(|error| SyntaxError {
            message: error.message().to_owned(),
            span: error.span().unwrap_or(0..0),
        })?;
        let mut walk = Walk { spots: BTreeMap::new(), firsts };
        let data = walk.table(document.as_table(), "");
        let spots = walk.spots;
        Ok(Layer {
            written: Written::File { name: name.into(), text: Text::new(text), spots },
            data,
        })
    }

    /// The settings of `POSTRIDER_SECTION__KEY` variables, all of them texts: what a text means is
    /// for its reader to say. The names of variables with our prefix that are no settings and that
    /// nobody knows are handed back.
    pub fn environment(vars: impl Iterator<Item = (String, String)>) -> (Layer, Vec<String>) {
        let mut data = Dict::new();
        let mut variables = BTreeMap::new();
        let mut strangers = Vec::new();
        for (name, value) in vars {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let Some((section, key)) = rest.split_once("__") else {
                if !OTHER_VARIABLES.contains(&name.as_str()) {
                    strangers.push(name);
                }
                continue;
            };
            let (section, key) = (section.to_lowercase(), key.to_lowercase().replace("__", "."));
            let table = data.entry(section.clone()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, table) = table {
                table.insert(key.clone(), Value::from(value));
            }
            variables.insert(format!("{section}.{key}"), name);
        }
        strangers.sort();
        (Layer { written: Written::Environment { variables }, data }, strangers)
    }

    /// Where a key stands in this layer, if it is a file.
    pub fn spot(&self, path: &str) -> Option<&Spot> {
        match &self.written {
            Written::File { spots, .. } => spots.get(path),
            Written::Environment { .. } => None,
        }
    }

    /// The variable that sets a key in this layer, if it is the environment.
    pub fn variable(&self, path: &str) -> Option<&str> {
        match &self.written {
            Written::File { .. } => None,
            Written::Environment { variables } => variables.get(path).map(String::as_str),
        }
    }

    /// The name of the file, if it is one.
    pub fn file_name(&self) -> Option<&str> {
        match &self.written {
            Written::File { name, .. } => Some(name),
            Written::Environment { .. } => None,
        }
    }

    /// `file:line` of a key, if it stands in this layer and that is a file.
    pub fn place(&self, path: &str) -> Option<String> {
        let Written::File { name, text, spots } = &self.written else { return None };
        let (line, _) = text.position(spots.get(path)?.key.start);
        Some(format!("{name}:{line}"))
    }

    /// Whether this is the environment.
    pub fn is_environment(&self) -> bool {
        matches!(self.written, Written::Environment { .. })
    }

    /// Whether a key is set in this layer.
    pub fn sets(&self, path: &str) -> bool {
        self.spot(path).is_some() || self.variable(path).is_some()
    }

    /// How many items each of the [`LISTS`] has.
    pub fn lengths(&self) -> OfLists {
        LISTS.map(|list| self.data.get(list).and_then(Value::as_dict).map_or(0, Dict::len))
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        match &self.written {
            Written::File { name, .. } => Metadata::named(name.to_string()),
            Written::Environment { .. } => Metadata::named("environment"),
        }
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.data.clone()))
    }
}

/// One pass over a document: its values for `figment`, and where they stand.
struct Walk {
    spots: BTreeMap<String, Spot>,
    firsts: OfLists,
}

impl Walk {
    fn table(&mut self, table: &dyn TableLike, path: &str) -> Dict {
        let mut dict = Dict::new();
        for (name, item) in table.iter() {
            let at = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let key = table.key(name).and_then(toml_edit::Key::span);
            let value = item.span().or_else(|| key.clone()).unwrap_or(0..0);
            let key = key.unwrap_or_else(|| value.clone());
            self.spots.insert(at.clone(), Spot { key, value });
            dict.insert(name.to_owned(), self.item(item, &at));
        }
        dict
    }

    fn item(&mut self, item: &Item, path: &str) -> Value {
        match item {
            Item::Value(value) => self.value(value, path),
            Item::Table(table) => Value::from(self.table(table, path)),
            Item::ArrayOfTables(tables) => {
                let first = self.first_of(path);
                let mut list = Vec::new();
                for (index, table) in (first..).zip(tables.iter()) {
                    let at = self.mark(path, index, table.span());
                    list.push((index, Value::from(self.table(table, &at))));
                }
                numbered_or_list(list, path)
            }
            Item::None => Value::from(Dict::new()),
        }
    }

    fn value(&mut self, value: &toml_edit::Value, path: &str) -> Value {
        match value {
            toml_edit::Value::String(text) => Value::from(text.value().as_str()),
            toml_edit::Value::Integer(number) => Value::from(*number.value()),
            toml_edit::Value::Float(number) => Value::from(*number.value()),
            toml_edit::Value::Boolean(truth) => Value::from(*truth.value()),
            toml_edit::Value::Datetime(time) => Value::from(time.value().to_string()),
            toml_edit::Value::InlineTable(table) => Value::from(self.table(table, path)),
            toml_edit::Value::Array(items) => {
                let first = self.first_of(path);
                let mut list = Vec::new();
                for (index, item) in (first..).zip(items.iter()) {
                    let at = self.mark(path, index, item.span());
                    list.push((index, self.value(item, &at)));
                }
                numbered_or_list(list, path)
            }
        }
    }

    fn first_of(&self, path: &str) -> usize {
        let found = LISTS.iter().zip(self.firsts).find(|(list, _)| **list == path);
        found.map_or(0, |(_, first)| first)
    }

    /// Remembers where an item of a list stands, and says what its path is.
    fn mark(&mut self, path: &str, index: usize, span: Option<Range<usize>>) -> String {
        let at = format!("{path}.{index}");
        let span = span.unwrap_or(0..0);
        self.spots.insert(at.clone(), Spot { key: span.clone(), value: span });
        at
    }
}

/// Only [`LISTS`] are numbered across files; any other list is a list.
fn numbered_or_list(items: Vec<(usize, Value)>, path: &str) -> Value {
    if LISTS.contains(&path) {
        let numbered = items.into_iter().map(|(index, item)| (index.to_string(), item));
        return Value::from(numbered.collect::<Dict>());
    }
    Value::from(items.into_iter().map(|(_, item)| item).collect::<Vec<_>>())
}
