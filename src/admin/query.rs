//! Query parameters, strictly: each is taken once by the handler that knows it, a repeated one or
//! one that nobody took is a fault, and all faults are answered at once.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::Error as WordError;
use serde::de::value::StrDeserializer;
use url::form_urlencoded;

use crate::admin::backend::Window;
use crate::admin::cursor;
use crate::admin::refusal::Refusal;
use crate::model::Code;
use crate::model::DeliveryState;
use crate::model::view::Fault;
use crate::model::view::Problem;

/// The rows of a page where the caller does not say.
pub(crate) const PAGE_ROWS_DEFAULT: usize = 50;
/// The rows of a page, at most.
pub(crate) const PAGE_ROWS_MAX: usize = 500;
/// The bytes of a query, at most.
const QUERY_BYTES_MAX: usize = 4_096;

/// The parameters of one request that nobody has taken yet, and the faults so far.
#[derive(Debug)]
pub(crate) struct Query {
    left: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Query {
    /// The query part of a request's target.
    pub(crate) fn parse(query: Option<&str>) -> Result<Query, Refusal> {
        let query = query.unwrap_or_default();
        if query.len() > QUERY_BYTES_MAX {
            let detail = format!("the query has more than {QUERY_BYTES_MAX} bytes");
            return Err(Refusal::new(Code::MalformedRequest, detail));
        }
        let pairs = form_urlencoded::parse(query.as_bytes());
        let left = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Ok(Query { left, faults: Vec::new() })
    }

    /// Takes the text of a parameter.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        if values.len() > 1 {
            self.fault(name, "repeated", "may be given once only");
        }
        values.pop()
    }

    /// Takes every value of a parameter that may be repeated.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|p| p.0 == name);
        self.left = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// Takes a parameter that has a text form.
    pub(crate) fn parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        match self.text(name)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, "value", error);
                None
            }
        }
    }

    /// Takes a parameter whose values are the words of an enumeration.
    pub(crate) fn word<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        let reader: StrDeserializer<'_, WordError> = text.as_str().into_deserializer();
        match T::deserialize(reader) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, "value", error);
                None
            }
        }
    }

    /// Takes a state of deliveries.
    pub(crate) fn state(&mut self, name: &str) -> Option<DeliveryState> {
        let state = self.word(name);
        if state == Some(DeliveryState::Unknown) {
            self.fault(name, "value", "no delivery is in this state");
        }
        state
    }

    /// Takes `limit` and `cursor`; to be called before any filter is taken, because the filters
    /// are what the cursor is bound to.
    pub(crate) fn window(&mut self) -> Result<(Window, Filters), Refusal> {
        let limit = self.parsed("limit").unwrap_or(PAGE_ROWS_DEFAULT);
        if !(1..=PAGE_ROWS_MAX).contains(&limit) {
            self.fault("limit", "range", format!("must be 1 to {PAGE_ROWS_MAX}"));
        }
        let cursor = self.text("cursor");
        let filters = Filters::of(&self.left);
        let after = cursor.map(|cursor| cursor::read(filters.checksum, &cursor).ok_or_else(other));
        Ok((Window { limit, after: after.transpose()? }, filters))
    }

    /// Notes a fault of a parameter.
    pub(crate) fn fault(&mut self, name: &str, code: &str, detail: impl Display) {
        self.faults.push(Fault::new(format!("?{name}"), code, detail.to_string()));
    }

    /// Refuses the request if there was a fault, or if a parameter is left.
    pub(crate) fn finish(mut self) -> Result<(), Refusal> {
        for (name, _) in std::mem::take(&mut self.left) {
            self.fault(&name, "unknown", "no such parameter here");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::invalid(self.faults).into()) }
    }
}

fn other() -> Refusal {
    Refusal::new(Code::BadCursor, "use next_cursor as it was given, with the same filters")
}

/// The filters of a list, as a cursor and a link to the next page need them.
#[derive(Debug)]
pub(crate) struct Filters {
    pairs: Vec<(String, String)>,
    checksum: u32,
}

impl Filters {
    fn of(pairs: &[(String, String)]) -> Filters {
        let mut pairs = pairs.to_vec();
        pairs.sort();
        let mut hasher = crc32fast::Hasher::new();
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            hasher.update(&text.len().to_be_bytes());
            hasher.update(text.as_bytes());
        }
        Filters { pairs, checksum: hasher.finalize() }
    }

    /// The cursor for a position of this list.
    pub(crate) fn cursor(&self, position: &[u8]) -> String {
        cursor::write(self.checksum, position)
    }

    /// The query of the page that begins at `cursor`.
    pub(crate) fn next_query(&self, limit: usize, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.pairs);
        query.append_pair("limit", &limit.to_string()).append_pair("cursor", cursor);
        query.finish()
    }
}
