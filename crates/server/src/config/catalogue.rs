//! Every setting, in one list: its variable, its key in the file, what it takes, its default, and what it means.
//!
//! The reader of the file, the tables in the documentation, the example file and the JSON Schema all derive from it.

mod settings;
mod tables;

pub(super) use self::settings::SECTIONS;
pub(super) use self::tables::{
    CONDITION, HEADER, HEADER_WORDS, PROFILE, REALM, ROUTE, SERVICE, TABLES, TOP_LEVEL,
};

/// Settings that belong together, under a title of their own.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    /// Where they are described, in Markdown; often empty.
    pub(super) meaning: &'static str,
    pub(super) rows: &'static [Row],
}

/// One row of the README's table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) settings: &'static [Entry],
    /// The default as the table says it, in Markdown.
    pub(super) default: &'static str,
    /// What the settings mean, in Markdown.
    pub(super) meaning: &'static str,
}

/// One setting.
#[derive(Debug)]
pub(super) struct Entry {
    /// The variable. The key of the file is the same in lower case.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) scope: Scope,
    pub(super) written: Written,
    /// One line, with unit and consequence. Empty where the row says it.
    pub(super) doc: &'static str,
}

/// One key of a table of the file that is no setting of the environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A value of it, in TOML.
    pub(super) sample: &'static str,
    pub(super) doc: &'static str,
}

/// What a setting says in the example file, in TOML.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written {
    /// Its default, which has an effect only beside other settings.
    Beside(&'static str),
    /// Its default.
    Default(&'static str),
    /// Something that it could say; without it there is no such value.
    Sample(&'static str),
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Conditions on the user's row, or the name of a preset.
    Active,
    /// Host and port, or a Unix socket.
    Address,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A condition.
    Condition,
    /// One condition, or a list of them.
    Conditions,
    /// A whole number.
    Count,
    /// The path of a file.
    File,
    /// The headers of a profile.
    Headers,
    /// One host, or a list of them.
    Hosts,
    /// One text, or a list of them.
    List,
    /// Milliseconds.
    Millis,
    /// Networks or addresses.
    Networks,
    /// A port.
    Port,
    /// A text, a number, `true` or `false`.
    Scalar,
    /// One scalar, or a list of them.
    Scalars,
    /// Seconds.
    Seconds,
    /// Shown to nobody; may come from a file of its own.
    Secret,
    /// Several secrets, apart by commas or as a list.
    SecretList,
    /// A URL with a password in it; may come from a file of its own.
    SecretUrl,
    /// `true` or `false`.
    Switch,
    /// Tables, each under a name or in a list.
    Tables,
    /// Any text.
    Text,
    /// A URL, or a path.
    Url,
    /// One URL, or a list of them.
    Urls,
}

/// Whose setting it is, which says who may have another, and who shares that of the top level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Says how the database is reached. A realm has its own, or shares all of the top level's.
    Database,
    /// Says what the one service of the top level is and how it is reached.
    Front,
    /// Of the process, for all realms.
    Process,
    /// Of one app that issues sessions.
    Realm,
    /// Says how Redis is reached. A realm has its own, or shares all of the top level's.
    Redis,
    /// How stores are used. A realm may have another.
    Stores,
}

impl Entry {
    /// Its key in the file.
    pub(super) fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

impl Written {
    /// The value, in TOML.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Beside(text) | Self::Default(text) | Self::Sample(text) => text,
        }
    }
}

impl Kind {
    /// Whether the value is shown to nobody, and may stand in a file of its own.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretList | Self::SecretUrl)
    }

    /// Whether `${VARIABLE}` is replaced in it: secrets and addresses.
    pub(super) fn takes_variables(self) -> bool {
        self.is_secret()
            || matches!(
                self,
                Self::Address | Self::File | Self::Hosts | Self::Networks | Self::Url | Self::Urls
            )
    }

    /// What it must be, for the sentence "it must be …".
    pub(super) fn words(self) -> String {
        match self {
            Self::Active => "a list of conditions, or the name of a preset in quotes".to_owned(),
            Self::Address => "an address in quotes".to_owned(),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Condition => "a table with a condition".to_owned(),
            Self::Conditions => "a condition, or a list of conditions".to_owned(),
            Self::Count => "a whole number".to_owned(),
            Self::File => "a path in quotes".to_owned(),
            Self::Headers => "a table of header names".to_owned(),
            Self::Hosts => "one host in quotes, or a list of them".to_owned(),
            Self::List => "one text in quotes, or a list of them".to_owned(),
            Self::Millis => "a whole number of milliseconds".to_owned(),
            Self::Networks => "one network in quotes, or a list of them".to_owned(),
            Self::Port => "a port".to_owned(),
            Self::Scalar => "text in quotes, a number, `true` or `false`".to_owned(),
            Self::Scalars => {
                "text in quotes, a number, `true` or `false`, or a list of these".to_owned()
            }
            Self::Seconds => "a whole number of seconds".to_owned(),
            Self::Secret => "text in quotes".to_owned(),
            Self::SecretList => "one text in quotes, or a list of them".to_owned(),
            Self::SecretUrl | Self::Url => "a URL in quotes".to_owned(),
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Tables => "tables".to_owned(),
            Self::Text => "text in quotes".to_owned(),
            Self::Urls => "one URL in quotes, or a list of them".to_owned(),
        }
    }
}

impl Scope {
    /// Whether `[realm.NAME]` may have its own.
    pub(super) fn is_of_realms(self) -> bool {
        match self {
            Self::Database | Self::Realm | Self::Redis | Self::Stores => true,
            Self::Front | Self::Process => false,
        }
    }
}

/// Every setting.
pub(super) fn entries() -> impl Iterator<Item = &'static Entry> {
    let rows = SECTIONS.iter().flat_map(|section| section.rows);
    rows.flat_map(|row| row.settings)
}

/// The setting of a variable.
pub(super) fn entry(name: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.name == name)
}

/// The settings that can also come from a file, `NAME_FILE`: secrets, and what may hold one.
pub(super) fn is_from_files(name: &str) -> bool {
    entry(name).is_some_and(|entry| entry.kind.is_secret())
}

/// The setting that a key of the file stands for, and the variable; of a secret's `_file` too.
pub(super) fn of_key(key: &str) -> Option<(&'static Entry, String)> {
    let is_lower = !key.bytes().any(|byte| byte.is_ascii_uppercase());
    let name = key.to_ascii_uppercase();
    let found = is_lower.then(|| match entry(&name) {
        Some(entry) => Some(entry),
        None => entry(name.strip_suffix("_FILE")?).filter(|entry| entry.kind.is_secret()),
    });
    Some((found.flatten()?, name))
}

/// The keys of settings, those of secrets with their `_file` too.
pub(super) fn file_keys(counts: impl Fn(&Entry) -> bool) -> impl Iterator<Item = String> {
    entries()
        .filter(move |entry| counts(entry))
        .flat_map(|entry| {
            let file = entry
                .kind
                .is_secret()
                .then(|| format!("{}_file", entry.key()));
            [entry.key()].into_iter().chain(file)
        })
}
