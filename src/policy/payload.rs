//! What rules ask of a payload: what stands at a place of it, and what it is as a whole.

use ring::digest;
use serde_json::Value;

/// The payload of one event, read as JSON when it is first asked for.
#[derive(Debug)]
pub struct Payload<'a> {
    body: &'a [u8],
    value: Option<Option<Value>>,
    hash: Option<[u8; 16]>,
}

impl<'a> Payload<'a> {
    /// These bytes, not read yet.
    pub fn new(body: &'a [u8]) -> Payload<'a> {
        Payload { body, value: None, hash: None }
    }

    /// What stands at a JSON pointer (RFC 6901); `None` where nothing does, or where the payload
    /// is not JSON.
    pub(super) fn at(&mut self, pointer: &str) -> Option<&Value> {
        let body = self.body;
        let value = self.value.get_or_insert_with(|| serde_json::from_slice(body).ok());
        value.as_ref()?.pointer(pointer)
    }

    /// The key that stands at a JSON pointer: a text or a number; anything else is none.
    pub(super) fn key_at(&mut self, pointer: &str) -> Option<String> {
        match self.at(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The hash of all its bytes.
    pub(super) fn hash(&mut self) -> [u8; 16] {
        let body = self.body;
        *self.hash.get_or_insert_with(|| hash(&[body]))
    }
}

/// The first half of SHA-256 over the parts, each with its length before it, so that no two lists
/// of parts run together into the same bytes.
pub fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut half = [0; 16];
    for (to, from) in half.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    half
}
