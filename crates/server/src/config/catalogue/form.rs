//! The types of catalogue entries: settings, the rows they share in the table, and keys of tables.

/// Settings that belong together, under a title of their own.
#[derive(Debug)]
pub(in crate::config) struct Section {
    pub(in crate::config) title: &'static str,
    /// A link to the page that describes them, in Markdown; often empty.
    pub(in crate::config) meaning: &'static str,
    pub(in crate::config) rows: &'static [Row],
}

/// One row of the table of settings.
#[derive(Debug)]
pub(in crate::config) struct Row {
    pub(in crate::config) settings: &'static [Entry],
    /// The default as the table shows it, in Markdown.
    pub(in crate::config) default: &'static str,
    /// What the settings mean, in Markdown.
    pub(in crate::config) meaning: &'static str,
}

/// One setting.
#[derive(Debug)]
pub(in crate::config) struct Entry {
    /// The variable. The key in the file has the same name in lower case.
    pub(in crate::config) name: &'static str,
    pub(in crate::config) kind: Kind,
    pub(in crate::config) scope: Scope,
    pub(in crate::config) written: ExampleValue,
    /// One line, with unit and consequence. Empty if the row's `meaning` is enough.
    pub(in crate::config) doc: &'static str,
}

/// One key of a table of the file that is not a setting of the environment.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Key {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) kind: Kind,
    /// A sample value, in TOML.
    pub(in crate::config) sample: &'static str,
    pub(in crate::config) doc: &'static str,
}

/// The value of a setting in the example file, in TOML.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum ExampleValue {
    /// The default, commented out because it has an effect only together with other settings.
    Dependent(&'static str),
    /// The default, as an active line.
    Default(&'static str),
    /// A sample, commented out because the setting has no default.
    Sample(&'static str),
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Kind {
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
    /// One path of a file, or a list of them.
    Files,
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
    /// A secret, which is never shown; it may come from a file of its own.
    Secret,
    /// Several secrets, separated by commas or as a list.
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

/// The part of the configuration that a setting belongs to. This decides whether a realm may have its own value, and whether it
/// shares that of the top level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Scope {
    /// A setting of the database connection. A realm has all of its own, or shares all of the top level's.
    Database,
    /// A setting of the one service of the top level.
    Service,
    /// A setting of the process, which applies to all realms.
    Process,
    /// A setting of one app that issues sessions.
    Realm,
    /// A setting of the Redis connection. A realm has all of its own, or shares all of the top level's.
    Redis,
    /// A setting of how stores are used. A realm may have its own.
    Stores,
}

impl Entry {
    /// Its key in the file.
    pub(in crate::config) fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

impl ExampleValue {
    /// The value, in TOML.
    pub(in crate::config) fn text(self) -> &'static str {
        match self {
            Self::Dependent(text) | Self::Default(text) | Self::Sample(text) => text,
        }
    }
}

impl Kind {
    /// Whether the value is a secret, which is never shown and may be in a file of its own.
    pub(in crate::config) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretList | Self::SecretUrl)
    }

    /// Whether `${VARIABLE}` is replaced in such a value: in secrets, addresses, hosts, networks, URLs and the paths of files.
    pub(in crate::config) fn takes_variables(self) -> bool {
        self.is_secret()
            || matches!(
                self,
                Self::Address
                    | Self::File
                    | Self::Files
                    | Self::Hosts
                    | Self::Networks
                    | Self::Url
                    | Self::Urls
            )
    }

    /// The end of the sentence "it must be …", for messages about a value of another type.
    pub(in crate::config) fn words(self) -> String {
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
            Self::Files => "one path in quotes, or a list of them".to_owned(),
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
    /// Whether `[realm.NAME]` may set a value of its own.
    pub(in crate::config) fn is_of_realms(self) -> bool {
        match self {
            Self::Database | Self::Realm | Self::Redis | Self::Stores => true,
            Self::Service | Self::Process => false,
        }
    }
}

/// Makes a row in one expression.
pub(super) const fn row(
    settings: &'static [Entry],
    default: &'static str,
    meaning: &'static str,
) -> Row {
    Row {
        settings,
        default,
        meaning,
    }
}

/// Makes a setting in one expression.
pub(super) const fn entry(
    name: &'static str,
    kind: Kind,
    scope: Scope,
    written: ExampleValue,
    doc: &'static str,
) -> Entry {
    Entry {
        name,
        kind,
        scope,
        written,
        doc,
    }
}
