//! TOML and environment, read once, checked whole: a [`Config`] means what it says.
//!
//! Settings come in layers, the later ones winning: the defaults of [`sections`], the
//! configuration file, `conf.d/*.toml` beside it in the order of their names, and variables
//! `POSTRIDER_SECTION__KEY`. Files may each add endpoints and sources. Every key is read by itself,
//! so that all faults are reported at once, each with its file, line and column ([`ConfigErrors`]).
//!
//! Invariants: a `Config` exists only if nothing was wrong; a key that does nothing does not exist;
//! secrets are in no `Debug`, no error and no output of [`show()`].

pub mod value;
pub mod schema;
pub mod text;
pub mod layer;
pub mod fault;
pub mod render;
mod reader;
pub mod sections;
mod retry;
mod breaker;
mod targets;
pub mod secret;
pub mod header;
pub mod endpoint;
pub mod sources;
pub mod checks;
pub mod load;
pub mod show;
mod change;

use crate::config::reader::Reader;
use crate::config::schema::Shape;
use crate::config::secret::Vault;
use crate::config::sections::Alerts;
use crate::config::sections::Breaker;
use crate::config::sections::Delivery;
use crate::config::sections::Egress;
use crate::config::sections::Ingest;
use crate::config::sections::Listen;
use crate::config::sections::Log;
use crate::config::sections::Retention;
use crate::config::sections::Retry;
use crate::config::sections::Storage;
use crate::config::sections::Targets;
use crate::config::sections::Tls;

pub use change::Changes;
pub use checks::STOP_TIMEOUT;
pub use endpoint::EndpointConfig;
pub use fault::{Code, ConfigErrors, Finding, Level};
pub use load::{CONFIG_VERSION, Loaded, load, load_texts};
pub use secret::{Secret, SecretRef};
pub use show::{Origin, Origins, show};
pub use sources::SourceConfig;

macro_rules! config {
    ($($(#[$doc:meta])* $name:ident: $section:ident,)*) => {
        /// All settings.
        #[derive(Clone, Debug)]
        pub struct Config {
            /// The version of the format.
            pub config_version: u32,
            $($(#[$doc])* pub $name: $section,)*
            /// The endpoints that stand in files, in the order of files.
            pub endpoints: Vec<EndpointConfig>,
            /// The sources that have names, in the order of files.
            pub sources: Vec<SourceConfig>,
            pub(crate) vault: Vault,
        }

        impl Config {
            /// Its tables and keys.
            pub const SHAPE: Shape = Shape::Table(&[
                ("config_version", Shape::Value),
                $((stringify!($name), $section::SHAPE),)*
                (layer::ENDPOINTS, Shape::List(&EndpointConfig::SHAPE)),
                (layer::SOURCES, Shape::List(&SourceConfig::SHAPE)),
            ]);

            fn read_sections(reader: &mut Reader<'_>) -> Config {
                Config {
                    config_version: CONFIG_VERSION,
                    $($name: reader.inside(stringify!($name), |reader| {
                        $section::read(reader, &$section::default())
                    }),)*
                    endpoints: Vec::new(),
                    sources: Vec::new(),
                    vault: Vault::default(),
                }
            }

            /// Every table with its keys and values, as JSON, in the order of the example file.
            fn tables(&self) -> Vec<(&'static str, &'static Shape, serde_json::Value)> {
                vec![$((
                    stringify!($name),
                    &$section::SHAPE,
                    serde_json::to_value(&self.$name).unwrap_or_default(),
                ),)*]
            }
        }

        impl Default for Config {
            /// What holds where nothing is configured; no endpoints, no sources.
            fn default() -> Config {
                Config {
                    config_version: CONFIG_VERSION,
                    $($name: $section::default(),)*
                    endpoints: Vec::new(),
                    sources: Vec::new(),
                    vault: Vault::default(),
                }
            }
        }
    };
}

config! {
    /// Where postrider listens.
    listen: Listen,
    /// The durable outbox.
    storage: Storage,
    /// Accepting events.
    ingest: Ingest,
    /// How long what has ended is kept.
    retention: Retention,
    /// Sending.
    delivery: Delivery,
    /// When a failed delivery is tried again.
    retry: Retry,
    /// When an endpoint that fails is left alone.
    breaker: Breaker,
    /// What endpoints are expected to keep.
    targets: Targets,
    /// What postrider may connect to.
    egress: Egress,
    /// TLS towards endpoints.
    tls: Tls,
    /// What postrider tells of itself, as events.
    alerts: Alerts,
    /// What postrider says of itself.
    log: Log,
}
