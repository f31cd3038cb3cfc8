//! What is submitted, and what becomes of it: the event.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::model::dedupe::Dedupe;
use crate::model::id::EndpointNo;
use crate::model::id::EventId;
use crate::model::record::Order;
use crate::model::time::Time;

/// The longest event type, in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;
/// What the types of postrider's own events begin with. Nobody else may use them, and they go only
/// to endpoints that name them: a pattern that begins with `*` or `**` does not cover them.
pub const OPERATIONAL_PREFIX: &str = "postrider.";
/// The longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// The name of what happened: segments of `[A-Za-z0-9_-]` joined by full stops, such as
/// `order.created` (Standard Webhooks, SW-31; the hyphen is ours).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Arc<str>);

/// A pattern over event types: `*` stands for one segment, `**` at the end for one or more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeGlob(Arc<str>);

/// Why a text is no [`EventType`] or no [`TypeGlob`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Empty, or longer than [`EVENT_TYPE_BYTES_MAX`].
    #[error("must have 1 to {EVENT_TYPE_BYTES_MAX} characters")]
    Length,
    /// Two full stops in a row, or one at an end.
    #[error("has an empty segment: write names joined by single full stops, as in order.created")]
    EmptySegment,
    /// A character that is not allowed.
    #[error("has {0:?}: only letters, digits, \"_\", \"-\" and \".\" are allowed")]
    Character(char),
    /// `**` not at the end, or a `*` inside a segment.
    #[error("\"*\" must be a whole segment, and \"**\" the last one")]
    Star,
}

fn check_segment(segment: &str) -> Result<(), TypeError> {
    if segment.is_empty() {
        return Err(TypeError::EmptySegment);
    }
    let odd = segment.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-'));
    match odd {
        Some('*') => Err(TypeError::Star),
        Some(odd) => Err(TypeError::Character(odd)),
        None => Ok(()),
    }
}

fn check_length(text: &str) -> Result<(), TypeError> {
    if text.is_empty() || text.len() > EVENT_TYPE_BYTES_MAX {
        return Err(TypeError::Length);
    }
    Ok(())
}

impl EventType {
    /// Of what says no type that could be one.
    pub fn received() -> EventType {
        EventType("received".into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether only postrider itself submits events of this type.
    pub fn is_operational(&self) -> bool {
        self.0.starts_with(OPERATIONAL_PREFIX)
    }
}

impl FromStr for EventType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<EventType, TypeError> {
        check_length(text)?;
        text.split('.').try_for_each(check_segment)?;
        Ok(EventType(text.into()))
    }
}

impl TypeGlob {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names postrider's own events.
    pub fn is_operational(&self) -> bool {
        self.0.starts_with(OPERATIONAL_PREFIX)
    }
}

impl FromStr for TypeGlob {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<TypeGlob, TypeError> {
        check_length(text)?;
        let mut segments = text.split('.').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "*" => {}
                "**" if segments.peek().is_none() => {}
                other => check_segment(other)?,
            }
        }
        Ok(TypeGlob(text.into()))
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(EventType);
as_text!(TypeGlob);
as_text!(IdempotencyKey);

/// What a submitter names its request with, so that repeating it makes no second event:
/// 1 to 255 visible ASCII characters, with or without the quotes of a structured field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

/// Why a text is no [`IdempotencyKey`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters")]
pub struct KeyError;

impl IdempotencyKey {
    /// Its text, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<IdempotencyKey, KeyError> {
        let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let text = quoted.unwrap_or(text);
        let legal = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if legal { Ok(IdempotencyKey(text.into())) } else { Err(KeyError) }
    }
}

/// What a submitter may say about an event besides type and payload; all of it is stored, shown
/// and sent on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// When it happened, where that is not when it was submitted.
    pub occurred_at: Option<Time>,
    /// Not to be delivered before this time.
    pub deliver_at: Option<Time>,
    /// Events of one key go out in order, where the endpoint asks for it.
    pub ordering_key: Option<String>,
    /// Whose event it is, for filters and lists.
    pub tenant: Option<String>,
    /// Ties events of one business transaction together.
    pub correlation_id: Option<String>,
    /// The version of the payload's schema.
    pub schema_version: Option<String>,
    /// Relays that it has passed through, as far as they say so.
    #[serde(default)]
    pub hops: u8,
    /// W3C Trace Context of the submitter.
    pub traceparent: Option<String>,
    /// Short labels to search by.
    pub tags: Vec<(String, String)>,
    /// Anything else; sent on, not searched.
    pub metadata: Vec<(String, String)>,
    /// `CloudEvents` attributes that have no place above, as the submitter gave them.
    pub cloudevents: Vec<(String, String)>,
    /// Headers of the provider whose webhook it is, to be sent on as they came.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

/// An event that was admitted. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its identity, also the `webhook-id` of every attempt.
    pub id: EventId,
    /// The name of what happened.
    pub event_type: EventType,
    /// When it was admitted.
    pub accepted_at: Time,
    /// The stable identity of who submitted it, such as `uid:1000`.
    pub source: Arc<str>,
    /// The media type of the payload, as submitted.
    pub content_type: Arc<str>,
    /// The payload, byte for byte.
    pub body: Bytes,
    /// What else the submitter said.
    pub attributes: Box<Attributes>,
    /// The endpoints that it goes to, in ascending order.
    pub targets: Vec<EndpointNo>,
    /// Those of them that get it in the order of a key, in ascending order.
    pub orders: Vec<Order>,
    /// Those of them that leave it out if it is a duplicate, in ascending order.
    pub dedupes: Vec<Dedupe>,
    /// Those of them at which a standing hold puts it aside, in ascending order.
    pub held: Vec<EndpointNo>,
}

impl Event {
    /// A number that is higher for each event that is admitted later: the microsecond of its
    /// admission. Where many are admitted in one, the next ones are given out.
    pub fn sequence(&self) -> u64 {
        self.id.sequence()
    }
}

/// One event as a submitter hands it in: checked for form, not yet admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The stable identity of the submitter, such as `uid:1000`.
    pub source: Arc<str>,
    /// The name of what happened.
    pub event_type: EventType,
    /// The media type of the payload.
    pub content_type: Arc<str>,
    /// The payload.
    pub body: Bytes,
    /// What else was said.
    pub attributes: Box<Attributes>,
    /// Deliver so long after admission, where no time is said. Kept apart from
    /// [`Attributes::deliver_at`], so that repeating the request is the same request.
    pub delay: Option<Duration>,
    /// How far the process's time is ahead of the wall clock, by which
    /// [`Attributes::deliver_at`] was said: not nothing once that clock has been set back.
    pub ahead: Duration,
    /// Only to these endpoints (by name), in place of routing by type.
    pub endpoints: Option<Vec<String>>,
    /// Repeating it makes no second event.
    pub idempotency_key: Option<IdempotencyKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types_are_dotted_names() {
        for legal in ["order.created", "a", "A_b-9.c"] {
            assert!(legal.parse::<EventType>().is_ok(), "{legal}");
        }
        assert_eq!("".parse::<EventType>(), Err(TypeError::Length));
        assert_eq!("order..x".parse::<EventType>(), Err(TypeError::EmptySegment));
        assert_eq!("order.*".parse::<EventType>(), Err(TypeError::Star));
        assert_eq!("order/x".parse::<EventType>(), Err(TypeError::Character('/')));
        assert_eq!("x".repeat(129).parse::<EventType>(), Err(TypeError::Length));
    }

    #[test]
    fn a_star_is_a_whole_segment() {
        for legal in ["*", "**", "order.*", "order.**", "*.created"] {
            assert!(legal.parse::<TypeGlob>().is_ok(), "{legal}");
        }
        for wrong in ["or*", "**.created", "order.***"] {
            assert_eq!(wrong.parse::<TypeGlob>(), Err(TypeError::Star), "{wrong}");
        }
    }

    #[test]
    fn idempotency_keys_may_be_quoted() {
        let key: IdempotencyKey = "\"order-42\"".parse().unwrap();
        assert_eq!(key.as_str(), "order-42");
        assert_eq!("order 42".parse::<IdempotencyKey>(), Err(KeyError));
        assert_eq!("\"\"".parse::<IdempotencyKey>(), Err(KeyError));
    }
}
