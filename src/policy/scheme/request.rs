//! What is looked at of a request.

use std::borrow::Cow;
use std::cell::OnceCell;

use http::HeaderMap;
use serde_json::Value;

use crate::policy::scheme::Place;
use crate::policy::scheme::check::Fault;

/// A request as it came in, and the URL that its sender called.
pub struct Request<'a> {
    method: &'a str,
    url: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
    json: OnceCell<Option<Value>>,
}

impl<'a> Request<'a> {
    /// A request. The URL is the whole of it as seen from outside, with scheme, host and query.
    pub fn new(
        method: &'a str,
        url: &'a str,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Request<'a> {
        Request { method, url, headers, body, json: OnceCell::new() }
    }

    pub(super) fn method(&self) -> &str {
        self.method
    }

    pub(super) fn url(&self) -> &str {
        self.url
    }

    /// The body, byte for byte.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The value of a header that must be there once, and not be empty.
    pub(super) fn header(&self, name: &str) -> Result<&'a [u8], Fault> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.as_bytes().trim_ascii());
        match (value, values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            (Some(_), Some(_)) => Err(Fault::Malformed(name.to_owned())),
            _ => Err(Fault::Missing(name.to_owned())),
        }
    }

    /// A text or a whole number at a pointer of a JSON body, as text.
    pub(super) fn json(&self, pointer: &str) -> Result<Cow<'_, str>, Fault> {
        let value = self.json.get_or_init(|| serde_json::from_slice(self.body).ok());
        match value.as_ref().and_then(|value| value.pointer(pointer)) {
            Some(Value::String(text)) => Ok(Cow::Borrowed(text)),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Cow::Owned(number.to_string())),
            Some(_) => Err(Fault::Malformed(pointer.to_owned())),
            None => Err(Fault::Missing(pointer.to_owned())),
        }
    }

    /// What stands at a place, and is not empty.
    pub(super) fn at(&self, place: &Place) -> Result<Cow<'_, [u8]>, Fault> {
        match place {
            Place::Header(name) => self.header(name).map(Cow::Borrowed),
            Place::Json(pointer) => match self.json(pointer)? {
                Cow::Borrowed("") => Err(Fault::Missing(pointer.clone())),
                Cow::Borrowed(text) => Ok(Cow::Borrowed(text.as_bytes())),
                Cow::Owned(text) => Ok(Cow::Owned(text.into_bytes())),
            },
        }
    }

    /// The first of these places at which something stands that is text.
    pub fn first_of(&self, places: &[Place]) -> Option<String> {
        let text = |place| String::from_utf8(self.at(place).ok()?.into_owned()).ok();
        places.iter().find_map(text)
    }
}
