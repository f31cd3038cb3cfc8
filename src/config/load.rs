//! From files and environment to a [`Config`]: read, parse, lay over one another, check, all
//! faults at once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

use figment::Figment;
use figment::value::Value;

use crate::config::Config;
use crate::config::checks;
use crate::config::endpoint::EndpointConfig;
use crate::config::fault::Code;
use crate::config::fault::ConfigErrors;
use crate::config::fault::Draft;
use crate::config::fault::Finding;
use crate::config::fault::Level;
use crate::config::layer::ENDPOINTS;
use crate::config::layer::LISTS;
use crate::config::layer::Layer;
use crate::config::layer::OfLists;
use crate::config::layer::SOURCES;
use crate::config::reader::Reader;
use crate::config::schema;
use crate::config::secret::Vault;
use crate::config::show::Origins;
use crate::config::sources::SourceConfig;
use crate::config::sources::Users;
use crate::config::text::Text;

/// The newest `config_version` that is understood.
pub const CONFIG_VERSION: u32 = 1;
/// The largest configuration file, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 20;
/// Files in `conf.d` at most.
pub const FILES_MAX: usize = 1_000;
/// Endpoints in files at most.
pub const ENDPOINTS_MAX: usize = 10_000;
/// Sources with names at most.
pub const SOURCES_MAX: usize = 1_000;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What can be used, but is probably not as intended.
    pub warnings: Vec<Finding>,
    /// Where each setting comes from.
    pub origins: Origins,
}

/// Reads the configuration file, then `conf.d/*.toml` beside it in the order of their names, then
/// the `POSTRIDER_SECTION__KEY` variables of `env`; later ones win. Secrets are read, too.
///
/// # Errors
/// [`ConfigErrors`] with every fault that was found.
pub fn load(
    path: &Path,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    let mut findings = Vec::new();
    let mut texts = Vec::new();
    for file in files(path, &mut findings) {
        match read(&file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(reason) => findings.push(unreadable(&file, &reason)),
        }
    }
    if findings.is_empty() { load_texts(&texts, env) } else { Err(ConfigErrors { findings }) }
}

/// As [`load`], with the text of files in place of the files: `(name, text)` each.
///
/// # Errors
/// [`ConfigErrors`] with every fault that was found.
pub fn load_texts(
    texts: &[(String, String)],
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    let env: BTreeMap<String, String> = env.collect();
    let mut layers = parse(texts)?;
    let (environment, strangers) = Layer::environment(env.clone().into_iter());
    layers.push(environment);
    let mut drafts: Vec<Draft> = strangers.iter().map(|name| stranger(name)).collect();
    drafts.extend(shape_faults(&mut layers));
    let figment = layers.iter().cloned().fold(Figment::new(), Figment::merge);
    let root = figment.find_value("").unwrap_or_else(|_| Value::from(figment::value::Dict::new()));
    let mut reader = Reader::new(&root, &layers);
    let config = Config::read(&mut reader, Vault::new(env));
    drafts.append(&mut reader.findings);
    let mut findings: Vec<Finding> =
        drafts.into_iter().map(|draft| draft.locate(&layers)).collect();
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.level, finding.line, finding.column);
        a.level.cmp(&b.level).then_with(|| a.file.cmp(&b.file)).then_with(|| key(a).cmp(&key(b)))
    });
    if findings.iter().any(|finding| finding.level == Level::Error) {
        return Err(ConfigErrors { findings });
    }
    Ok(Loaded { config, warnings: findings, origins: Origins::new(&layers) })
}

impl Config {
    fn read(reader: &mut Reader<'_>, vault: Vault) -> Config {
        let version: u32 = reader.value("config_version").unwrap_or(CONFIG_VERSION);
        if !(1..=CONFIG_VERSION).contains(&version) {
            let label = format!("this postrider understands version {CONFIG_VERSION}");
            reader.refuse(Code::Version, "config_version", label);
        }
        let mut config = Config::read_sections(reader);
        config.config_version = version;
        config.vault = vault;
        checks::sections(reader, &config);
        let mut names = Vec::new();
        for key in items(reader, ENDPOINTS, ENDPOINTS_MAX) {
            let endpoint = reader.inside(&key, |reader| EndpointConfig::read(reader, &config));
            if let Some(endpoint) = endpoint {
                names.push((key, endpoint.name.to_string()));
                config.endpoints.push(endpoint);
            }
        }
        checks::endpoints(reader, &config, &names);
        let (keys, users) = (items(reader, SOURCES, SOURCES_MAX), Users::default());
        let mut found = Vec::new();
        for key in keys {
            let read = |reader: &mut Reader<'_>| SourceConfig::read(reader, &config, &users);
            found.extend(reader.inside(&key, read).map(|source| (key, source)));
        }
        checks::sources(reader, &found);
        config.sources = found.into_iter().map(|(_, source)| source).collect();
        checks::http(reader, &config);
        config
    }
}

/// The keys of the items of a list, in order; none if there are too many.
fn items(reader: &mut Reader<'_>, list: &str, items_max: usize) -> Vec<String> {
    let keys = reader.raw(list).and_then(Value::as_dict).into_iter().flat_map(|table| table.keys());
    let mut numbers: Vec<usize> = keys.filter_map(|key| key.parse().ok()).collect();
    numbers.sort_unstable();
    if numbers.len() > items_max {
        reader.refuse(Code::Range, list, format!("at most {items_max} {list}s"));
        numbers.clear();
    }
    numbers.into_iter().map(|number| format!("{list}.{number}")).collect()
}

/// The configuration file and those of `conf.d` beside it.
fn files(path: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let directory = path.parent().unwrap_or(Path::new("")).join("conf.d");
    let mut more: Vec<PathBuf> = match std::fs::read_dir(&directory) {
        Ok(entries) => {
            let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
            paths.filter(|path| is_ours(path)).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            findings.push(unreadable(&directory, &error.to_string()));
            Vec::new()
        }
    };
    if more.len() > FILES_MAX {
        findings.push(unreadable(&directory, &format!("more than {FILES_MAX} files")));
        more.clear();
    }
    more.sort();
    std::iter::once(path.to_owned()).chain(more).collect()
}

/// `*.toml`, but not what editors leave behind (`.#10-billing.toml`).
fn is_ours(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
    path.extension() == Some(OsStr::new("toml")) && !hidden
}

fn read(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let mut limited = file.take(FILE_BYTES_MAX + 1);
    limited.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(format!("larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

/// The layers of all files, or the syntax errors of each.
fn parse(texts: &[(String, String)]) -> Result<Vec<Layer>, ConfigErrors> {
    let mut layers: Vec<Layer> = Vec::new();
    let mut findings = Vec::new();
    let mut firsts = OfLists::default();
    for (name, text) in texts {
        match Layer::file(name, text, firsts) {
            Ok(layer) => {
                firsts.iter_mut().zip(layer.lengths()).for_each(|(first, more)| *first += more);
                layers.push(layer);
            }
            Err(error) => {
                let title = "this is not TOML".to_owned();
                let draft = Draft::error(Code::Syntax, "", title, error.message);
                let mut finding = draft.locate(&[]);
                finding.point(name, &Text::new(text), error.span);
                findings.push(finding);
            }
        }
    }
    if findings.is_empty() { Ok(layers) } else { Err(ConfigErrors { findings }) }
}

/// Keys that nobody knows and tables that are none, each in its own layer.
fn shape_faults(layers: &mut [Layer]) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (index, layer) in layers.iter_mut().enumerate() {
        for list in LISTS {
            if layer.is_environment() && layer.data.remove(list).is_some() {
                let title = format!("{list}s cannot be set from the environment");
                let help = "put them into a file of conf.d";
                let draft = Draft::error(Code::UnknownKey, list, title, String::new());
                drafts.push(draft.help(help).in_layer(index));
            }
        }
        let misfits = schema::misfits(&layer.data, &Config::SHAPE);
        drafts.extend(misfits.iter().map(|misfit| checks::misfit(misfit).in_layer(index)));
    }
    drafts
}

fn stranger(name: &str) -> Draft {
    let title = format!("the variable {name} is ignored");
    let label = "it is not of the form POSTRIDER_SECTION__KEY".to_owned();
    Draft::warning(Code::UnknownKey, "", title, label)
}

fn unreadable(path: &Path, reason: &str) -> Finding {
    let title = format!("cannot read {}", path.display());
    Draft::error(Code::Unreadable, "", title, reason.to_owned()).locate(&[])
}
