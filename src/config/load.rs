//! From flags, variables and a file to [`Settings`], with every mistake gathered and every value's origin kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::find;
use super::{KEYS, Key, Settings, mask};

/// How the name of every variable begins.
pub const VARIABLE_PREFIX: &str = "FARTHING_";
/// Names the file itself, so it cannot be a key of it.
const CONFIG_VARIABLE: &str = "FARTHING_CONFIG";

/// One setting that was given as a flag.
#[derive(Debug, Clone)]
pub struct Override {
    /// The key that it sets, as `section.name`.
    pub key: &'static str,
    /// The flag, for messages.
    pub flag: &'static str,
    /// Its value.
    pub value: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file, at that line (from 1).
    File(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Settings, where each of them came from, and what an operator should hear about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings in force.
    pub settings: Settings,
    /// Sentences for the operator; none of them stops anything.
    pub warnings: Vec<String>,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where the value of `section.name` came from.
    pub fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::Default)
    }

    /// The configuration in force as a TOML file, secrets masked, each key with where it came from.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for key in KEYS {
            if key.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = key.section;
                // Writing to a String cannot fail; the same holds below.
                let _ = writeln!(text, "{gap}[{section}]");
            }
            let _ = match (key.show)(&self.settings) {
                Some(value) => writeln!(text, "{} = {value} # {}", key.name, self.origin(&key.path())),
                None => writeln!(text, "# {} is not set", key.name),
            };
        }
        text
    }
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The file is no TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The parser's reason.
        reason: String,
    },
    /// A key or section of the file that does not exist.
    #[error("{origin}: unknown {what} \"{name}\"; did you mean \"{nearest}\"?")]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// `key` or `section`.
        what: &'static str,
        /// Its name in the file.
        name: String,
        /// The nearest one that exists.
        nearest: String,
    },
    /// A value that its key does not allow.
    #[error("{origin}: {value} is not allowed for {key}; allowed: {allowed}")]
    BadValue {
        /// Where it was given.
        origin: Origin,
        /// The key.
        key: String,
        /// The value, masked where it may hold a secret.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Two values that do not go together.
    #[error("{0}")]
    Conflict(String),
}

/// Every mistake that was found, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Loads the settings from flags, the environment and the file that `config` or `FARTHING_CONFIG` names.
///
/// # Errors
/// All mistakes together.
pub fn load(
    config: Option<&Path>,
    flags: &[Override],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    // An empty variable counts as one that is not set, which is what compose files and shells mean by it.
    let variables: BTreeMap<String, String> = environment
        .into_iter()
        .filter(|(name, value)| name.starts_with(VARIABLE_PREFIX) && !value.is_empty())
        .collect();
    let from_environment = variables.get(CONFIG_VARIABLE).map(PathBuf::from);
    let file = config.map(Path::to_path_buf).or(from_environment);

    let mut loading = Loading::default();
    if let Some(path) = file {
        loading.file(&path);
    }
    loading.environment(&variables);
    for flag in flags {
        if let Some(key) = find(flag.key) {
            loading.set(key, &flag.value, Origin::Flag(flag.flag));
        }
    }
    loading.finish()
}

#[derive(Default)]
struct Loading {
    settings: Settings,
    origins: BTreeMap<String, Origin>,
    warnings: Vec<String>,
    errors: Vec<ConfigError>,
}

impl Loading {
    fn file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let reason = error.to_string();
                self.errors.push(ConfigError::Unreadable { path: path.to_path_buf(), reason });
                return;
            }
        };
        let origin = |offset: usize| Origin::File(path.to_path_buf(), line_of(&text, offset));
        let table = match DeTable::parse(&text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = line_of(&text, error.span().map_or(0, |span| span.start));
                let reason = error.message().to_owned();
                self.errors.push(ConfigError::Syntax { path: path.to_path_buf(), line, reason });
                return;
            }
        };
        for (section, value) in &table {
            let name = section.get_ref().as_ref();
            let at = origin(section.span().start);
            match value.get_ref() {
                DeValue::Table(keys) if KEYS.iter().any(|key| key.section == name) => {
                    self.section(name, keys, &origin);
                }
                DeValue::Table(_) => self.unknown(at, "section", name, nearest(name, sections())),
                _ => self.unknown(at, "key", name, nearest_key(name)),
            }
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>, origin: &impl Fn(usize) -> Origin) {
        for (name, value) in table {
            let path = format!("{section}.{}", name.get_ref());
            let at = origin(name.span().start);
            match find(&path) {
                Some(key) => match text_of(key, value.get_ref()) {
                    Some(text) => self.set(key, &text, at),
                    None => self.refuse(key, value.get_ref().type_str().to_owned(), at),
                },
                None => self.unknown(at, "key", &path, nearest_key(&path)),
            }
        }
    }

    fn environment(&mut self, variables: &BTreeMap<String, String>) {
        let mut known = BTreeSet::from([CONFIG_VARIABLE.to_owned()]);
        for key in KEYS {
            let long = key.variable();
            if let Some(value) = variables.get(&long) {
                self.set(key, value, Origin::Variable(long.clone()));
            }
            if let Some((short, value)) = key.short_variable.and_then(|short| variables.get_key_value(short))
            {
                if variables.get(&long).is_some_and(|other| other != value) {
                    self.warnings.push(format!("{short} and {long} differ; {short} is used"));
                }
                self.set(key, value, Origin::Variable(short.clone()));
            }
            known.extend(key.short_variable.map(str::to_owned));
            known.insert(long);
        }
        for name in variables.keys().filter(|name| !known.contains(*name)) {
            let nearest = nearest(name, known.iter().cloned());
            self.warnings.push(format!("unknown variable {name} is ignored; did you mean {nearest}?"));
        }
    }

    fn set(&mut self, key: &Key, text: &str, origin: Origin) {
        if (key.set)(&mut self.settings, text) {
            self.origins.insert(key.path(), origin);
        } else {
            let value = if key.secret { mask(text) } else { format!("{text:?}") };
            self.refuse(key, value, origin);
        }
    }

    fn refuse(&mut self, key: &Key, value: String, origin: Origin) {
        self.errors.push(ConfigError::BadValue { origin, key: key.path(), value, allowed: key.allowed });
    }

    fn unknown(&mut self, origin: Origin, what: &'static str, name: &str, nearest: String) {
        self.errors.push(ConfigError::Unknown { origin, what, name: name.to_owned(), nearest });
    }

    fn finish(mut self) -> Result<Loaded, ConfigErrors> {
        let tokens = &self.settings.tokens;
        if tokens.refresh_ttl_seconds < tokens.access_ttl_seconds {
            self.errors.push(ConfigError::Conflict(format!(
                "tokens.refresh_ttl_seconds ({}) is shorter than tokens.access_ttl_seconds ({})",
                tokens.refresh_ttl_seconds, tokens.access_ttl_seconds
            )));
        }
        if self.settings.tls.certificate.is_some() != self.settings.tls.key.is_some() {
            let (given, other) =
                if self.settings.tls.key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
            self.errors.push(ConfigError::Conflict(format!("tls.{given} needs tls.{other} as well")));
        }
        if self.settings.database.migration_url.is_some() && self.settings.database.url.is_none() {
            self.warnings.push("database.migration_url does nothing without database.url".to_owned());
        }
        if self.errors.is_empty() {
            Ok(Loaded { settings: self.settings, warnings: self.warnings, origins: self.origins })
        } else {
            Err(ConfigErrors(self.errors))
        }
    }
}

/// A value of the file as the text that the same value has in the environment, a list with commas; no key takes any
/// other kind of value.
fn text_of(key: &Key, value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Array(items) if key.is_list => {
            let texts = items.iter().map(|item| item.get_ref().as_str()).collect::<Option<Vec<_>>>();
            texts.map(|texts| texts.join(", "))
        }
        _ => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
}

fn sections() -> impl Iterator<Item = String> {
    KEYS.iter().map(|key| key.section.to_owned())
}

/// A key of the same name in another section is what was meant; otherwise the nearest spelling is.
fn nearest_key(path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    let same_name = KEYS.iter().find(|key| key.name == name);
    same_name.map_or_else(|| nearest(path, KEYS.iter().map(Key::path)), Key::path)
}

fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> String {
    candidates.min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate)).unwrap_or_default()
}
