//! The types of single settings: each knows its text, refuses what it cannot mean, and reads back
//! what it writes.

/// Reads a setting from its text and writes it as one; `$expected` says what was to stand there.
macro_rules! as_text {
    ($name:ident, $expected:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                use serde::de::Error;
                use serde::de::Unexpected;
                $crate::config::value::from_text(from, $expected, |text| {
                    text.parse()
                        .map_err(|_| D::Error::invalid_value(Unexpected::Str(text), &$expected))
                })
            }
        }
    };
}

pub mod choice;
pub mod duration;
pub mod net;
pub mod pace;
pub mod place;
pub mod pointer;
pub mod size;

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::Error;
use serde::de::Visitor;

pub use choice::{Durability, Idempotency, IpFamily, LogFormat};
pub use choice::{OnFailure, Ordering, RetryPlan, TlsVersion, Unmatched};
pub use duration::Dur;
pub use net::Cidr;
pub use pace::Pace;
pub use place::{HttpListener, Mode, Roots, UnixSocket};
pub use pointer::Pointer;
pub use size::Size;

/// Reads a value that is written as text, so that a number or a list in its place is reported with
/// what was expected there.
fn from_text<'de, D, T, F>(from: D, expected: &'static str, parse: F) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    F: FnOnce(&str) -> Result<T, D::Error>,
{
    struct Text<T, F, E>(&'static str, F, PhantomData<(T, E)>);

    impl<'de, T, F, E> Visitor<'de> for Text<T, F, E>
    where
        F: FnOnce(&str) -> Result<T, E>,
        E: Error,
    {
        type Value = Result<T, E>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<V: Error>(self, text: &str) -> Result<Result<T, E>, V> {
            Ok((self.1)(text))
        }
    }

    from.deserialize_str(Text(expected, parse, PhantomData))?
}
