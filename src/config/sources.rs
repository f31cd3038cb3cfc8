//! One source: who it is, what it may submit, and how fast.
//!
//! A source is known by its identity, which its events keep and which its idempotency keys belong
//! to: of a local program the user it runs as (`uid:1000`), of a provider its name
//! (`webhook:stripe`). A local program's name is for people, and may change.

mod provider;

pub use provider::ProviderConfig;
pub use provider::TypeRule;

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use figment::value::Value;

use crate::config::Config;
use crate::config::endpoint::fields;
use crate::config::endpoint::flow;
use crate::config::fault::Code;
use crate::config::fault::Draft;
use crate::config::reader::Reader;
use crate::config::schema::Shape;
use crate::config::value::Dur;
use crate::config::value::Pace;
use crate::config::value::Size;
use crate::config::value::pace;
use crate::model::Rate;
use crate::model::TypeGlob;
use crate::model::event::OPERATIONAL_PREFIX;

/// Names that stand for something else wherever sources are named: postrider itself, and, in
/// metrics, all sources that have no name.
const RESERVED: [&str; 2] = ["postrider", "local"];
/// Where the users of this machine are listed.
const USERS: &str = "/etc/passwd";

/// A source with a name.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Its name, unique, of the characters of an endpoint's.
    pub name: Arc<str>,
    /// Where it is defined: `file:line`.
    pub place: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Who it is.
    pub origin: Origin,
    /// It may submit events of these types, but none of postrider's own.
    pub types: Vec<TypeGlob>,
    /// Its largest payload, where that is less than `ingest.max_payload`.
    pub max_payload: Option<Size>,
    /// How fast it may submit, where that is not said by `ingest.max_rate`.
    pub rate: Option<Rate>,
    /// It is silent when no event came in from it for so long.
    pub silent_after: Option<Duration>,
    /// What was given.
    pub(crate) definition: serde_json::Value,
}

/// Who a source is.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A local program.
    User {
        /// The user that it runs as, as it is written.
        name: String,
        /// The number of that user.
        uid: u32,
    },
    /// A provider whose webhooks come in.
    Provider(Box<ProviderConfig>),
}

/// The users of this machine, read once, and only if a user is named.
#[derive(Debug, Default)]
pub(crate) struct Users(OnceCell<String>);

impl Users {
    fn uid(&self, name: &str) -> Option<u32> {
        let lines = self.0.get_or_init(|| std::fs::read_to_string(USERS).unwrap_or_default());
        let mut fields = lines.lines().map(|line| line.split(':'));
        let found =
            fields.find_map(|mut user| (user.next() == Some(name)).then(|| user.nth(1)).flatten());
        found?.parse().ok()
    }
}

impl SourceConfig {
    /// Its keys.
    pub const SHAPE: Shape = Shape::Table(&[
        ("name", Shape::Value),
        ("unix_user", Shape::Value),
        ("path", Shape::Value),
        ("verify", Shape::Value),
        ("secret", Shape::Value),
        ("secrets", Shape::Value),
        ("tolerance", Shape::Value),
        ("external_url", Shape::Value),
        ("event_type", Shape::Value),
        ("type_prefix", Shape::Value),
        ("verify_token", Shape::Value),
        ("description", Shape::Value),
        ("types", Shape::Value),
        ("max_payload", Shape::Value),
        ("rate", Shape::Value),
        ("burst", Shape::Value),
        ("silent_after", Shape::Value),
    ]);

    /// What its events keep of it.
    pub fn identity(&self) -> Arc<str> {
        match &self.origin {
            Origin::User { uid, .. } => identity(*uid),
            Origin::Provider(_) => format!("webhook:{}", self.name).into(),
        }
    }

    /// The user that it runs as, by number, if it is a local program.
    pub fn uid(&self) -> Option<u32> {
        match self.origin {
            Origin::User { uid, .. } => Some(uid),
            Origin::Provider(_) => None,
        }
    }

    /// What there is to know of it as a provider, if it is one.
    pub fn provider(&self) -> Option<&ProviderConfig> {
        match &self.origin {
            Origin::User { .. } => None,
            Origin::Provider(provider) => Some(provider),
        }
    }

    /// Whether it is defined alike, wherever that stands.
    pub(crate) fn is_same(&self, other: &SourceConfig) -> bool {
        let secrets = |source: &SourceConfig| {
            source.provider().map(|one| (one.secrets.clone(), one.verify_token.clone()))
        };
        self.definition == other.definition
            && self.uid() == other.uid()
            && secrets(self) == secrets(other)
    }

    /// Reads the source that the reader stands at. Faults are noted; nothing is returned where it
    /// could not even be told from another.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        config: &Config,
        users: &Users,
    ) -> Option<SourceConfig> {
        let name = fields::name(reader, "a source");
        if let Some(name) = name.as_deref().filter(|name| RESERVED.contains(name)) {
            reader.refuse(Code::Value, "name", format!("\"{name}\" is taken by postrider itself"));
        }
        let origin = origin(reader, config, users, name.as_deref());
        let description = fields::description(reader);
        let types = fields::types(reader);
        for index in types.iter().enumerate().filter(|(_, t)| t.is_operational()).map(|(i, _)| i) {
            let label = format!("types that begin with \"{OPERATIONAL_PREFIX}\" are postrider's");
            reader.refuse(Code::Value, &format!("types.{index}"), label);
        }
        let max_payload = max_payload(reader, config.ingest.max_payload);
        let rate = rate(reader);
        let silent_after = reader.bounded("silent_after", Dur::ZERO, Dur::days(365));
        Some(SourceConfig {
            name: name?.into(),
            place: reader.place(),
            description,
            origin: origin?,
            types,
            max_payload,
            rate,
            silent_after: silent_after.and_then(Dur::unless_zero),
            definition: fields::definition(reader),
        })
    }
}

/// What the events of a local program keep of it.
pub fn identity(uid: u32) -> Arc<str> {
    format!("uid:{uid}").into()
}

/// A provider where there is a path, else a local program.
fn origin(
    reader: &mut Reader<'_>,
    config: &Config,
    users: &Users,
    name: Option<&str>,
) -> Option<Origin> {
    let is_provider = reader.raw("path").is_some();
    if is_provider && reader.raw("unix_user").is_some() {
        let label = "a source has either a `path` or a `unix_user`";
        reader.refuse(Code::Conflict, "unix_user", label);
    }
    if is_provider {
        let provider = ProviderConfig::read(reader, config, name.unwrap_or_default())?;
        return Some(Origin::Provider(Box::new(provider)));
    }
    for key in provider::KEYS.into_iter().skip(1) {
        if reader.raw(key).is_some() {
            flow::needless(reader, key, "path = \"/webhooks/...\"");
        }
    }
    let (name, uid) = user(reader, users)?;
    Some(Origin::User { name, uid })
}

/// The user, by name or number.
fn user(reader: &mut Reader<'_>, users: &Users) -> Option<(String, u32)> {
    if fields::is_missing(reader, "a source", "unix_user") {
        return None;
    }
    let text = match reader.raw("unix_user")? {
        Value::Num(_, number) => number.to_i128().unwrap_or(-1).to_string(),
        _ => reader.value("unix_user")?,
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let uid = if is_number { text.parse().ok() } else { users.uid(&text) };
    if uid.is_none() {
        let path = reader.path("unix_user");
        let label = format!("this machine has no user \"{text}\"");
        let help = format!("write its number if it is not in {USERS}");
        reader.note(Draft::invalid(Code::Value, &path, label).help(help));
    }
    Some((text, uid?))
}

fn max_payload(reader: &mut Reader<'_>, most: Size) -> Option<Size> {
    let size: Size = reader.value("max_payload")?;
    if size.get() == 0 {
        let label = "nothing could be submitted; leave it out for no limit of its own".to_owned();
        reader.refuse(Code::Value, "max_payload", label);
    }
    if size > most {
        let label = format!("{size} is more than ingest.max_payload ({most}) allows");
        reader.refuse(Code::Conflict, "max_payload", label);
    }
    Some(size)
}

/// The rate; without a burst, a second's worth may come at once.
fn rate(reader: &mut Reader<'_>) -> Option<Rate> {
    let burst = reader.bounded("burst", 1, pace::COUNT_MAX);
    if reader.raw("rate").is_none() && reader.raw("burst").is_some() {
        flow::needless(reader, "burst", "rate = \"500/s\"");
    }
    let pace: Pace = reader.value("rate")?;
    let seconds = pace.per().as_secs().max(1);
    let second = u64::from(pace.count()).div_ceil(seconds);
    let second = u32::try_from(second).unwrap_or(u32::MAX);
    Some(Rate { count: pace.count(), per: pace.per(), burst: burst.unwrap_or(second) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_texts;

    fn load(text: &str) -> Vec<SourceConfig> {
        let texts = [("config.toml".to_owned(), text.to_owned())];
        load_texts(&texts, std::iter::empty()).unwrap().config.sources
    }

    #[test]
    fn a_source_is_read_whole() {
        let sources = load(
            "\n[[source]]\nname = \"shop\"\nunix_user = \"root\"\ntypes = [\"order.*\"]\n\
             max_payload = \"64KiB\"\nrate = \"500/s\"\nburst = 1000\nsilent_after = \"1h\"\n\
             [[source]]\nname = \"cron\"\nunix_user = 1000\nrate = \"100/m\"\n\
             silent_after = \"0\"\n",
        );
        let [shop, cron] = sources.as_slice() else { panic!("{sources:?}") };
        assert_eq!((&*shop.name, &*shop.identity()), ("shop", "uid:0"));
        assert_eq!(shop.place.as_deref(), Some("config.toml:2"));
        let rate = Rate { count: 500, per: Duration::from_secs(1), burst: 1_000 };
        assert_eq!((shop.rate, shop.max_payload), (Some(rate), Some(Size::kib(64))));
        assert_eq!(shop.silent_after, Some(Duration::from_secs(3_600)));
        assert_eq!((&*cron.identity(), cron.silent_after), ("uid:1000", None));
        let rate = Rate { count: 100, per: Duration::from_secs(60), burst: 2 };
        assert_eq!(cron.rate, Some(rate), "a second's worth, rounded up");
        assert_eq!(cron.types, ["**".parse().unwrap()], "everything");
    }
}
