//! What all `list` commands share: filters as query parameters, and pages that follow one another.

use clap::Args;
use http::Uri;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::options::Format;
use crate::cli::output::Context;
use crate::cli::output::Row;
use crate::model::Time;
use crate::model::view::Page;

/// Rows that one request asks for, at most: the API's limit.
const PAGE_ROWS_MAX: usize = 500;
/// Rows that are held in memory, at most, for output that needs all of them at once.
const HELD_ROWS_MAX: usize = 100_000;

/// How many rows, and where they begin.
#[derive(Clone, Debug, Args)]
pub(super) struct Paging {
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50, conflicts_with = "all")]
    limit: usize,

    /// Show all
    #[arg(long)]
    all: bool,

    /// Go on where an earlier list ended (with the same filters, and absolute times)
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// Query parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The same with this parameter, if it has a value.
    pub(super) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Params {
        self.0.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// The same with this parameter once for each value.
    pub(super) fn with_each(mut self, name: &'static str, values: &[String]) -> Params {
        self.0.extend(values.iter().map(|value| (name, value.clone())));
        self
    }

    /// The same, with the times resolved.
    pub(super) fn between(self, since: Option<Time>, until: Option<Time>) -> Params {
        self.with("since", since).with("until", until)
    }

    /// The target of a request for this path.
    fn target(&self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.0);
        format!("{path}?{}", query.finish())
    }
}

/// Reads a list and writes it, page by page where the format allows.
pub(super) fn show<R: Row + DeserializeOwned>(
    context: &Context,
    client: &Client,
    path: &str,
    params: &Params,
    paging: &Paging,
) -> anyhow::Result<()> {
    let streams = matches!(context.format, Format::Jsonl | Format::Plain | Format::Id);
    let mut left = if paging.all { usize::MAX } else { paging.limit };
    let mut cursor = paging.cursor.clone();
    let mut held: Vec<R> = Vec::new();
    loop {
        let limit = left.min(PAGE_ROWS_MAX);
        let params = params.clone().with("limit", Some(limit)).with("cursor", cursor.take());
        let page: Page<R> = client.get(params.target(path))?;
        left = left.saturating_sub(page.data.len());
        cursor = page.next_cursor.clone();
        if streams {
            context.list(&page.data, &page)?;
        } else {
            held.extend(page.data);
        }
        if cursor.is_none() || left == 0 {
            break;
        }
        if held.len() >= HELD_ROWS_MAX {
            let message = format!("more than {HELD_ROWS_MAX} rows: use --output jsonl or plain");
            return Err(Failure::new(Exit::Usage, message).into());
        }
    }
    let page = Page { data: held, next_cursor: cursor };
    if !streams {
        if page.data.is_empty() && context.format != Format::Json {
            context.say("Nothing matches.");
        } else {
            context.list(&page.data, &page)?;
        }
    }
    if let (Some(cursor), Format::Table | Format::Wide) = (&page.next_cursor, context.format) {
        context.say(&format!("There is more:  --cursor {cursor}  (or --all)"));
    }
    Ok(())
}

/// A segment of a path, with everything escaped that would end it.
pub(super) fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// The path of a thing with this id or name, and of what is done to it.
///
/// # Errors
/// If the id is empty or can be no part of a path.
pub(super) fn path_of(collection: &str, id: &str, rest: &str) -> anyhow::Result<String> {
    let path = format!("/v1/{collection}/{}{rest}", segment(id));
    let legal = !id.is_empty() && id != "." && id != ".." && path.parse::<Uri>().is_ok();
    if legal {
        Ok(path)
    } else {
        Err(Failure::new(Exit::Usage, format!("{id:?} is not an id or a name")).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_typed_leaves_its_place_in_the_target() {
        assert_eq!(path_of("events", "a/b?c", "").unwrap(), "/v1/events/a%2Fb%3Fc");
        assert!(path_of("endpoints", "..", "/pause").is_err());
        assert!(path_of("endpoints", "", "").is_err());
        let params = Params::default().with("type", Some("a&b=c")).with("state", None::<String>);
        assert_eq!(params.target("/v1/events"), "/v1/events?type=a%26b%3Dc");
    }
}
