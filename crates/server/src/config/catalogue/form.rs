//! What a setting, and a key of a table, is made of.

/// Settings that belong together, under a title of their own.
#[derive(Debug)]
pub(in crate::config) struct Section {
    pub(in crate::config) title: &'static str,
    /// Where they are described, in Markdown; often empty.
    pub(in crate::config) meaning: &'static str,
    pub(in crate::config) rows: &'static [Row],
}

/// One row of the table of settings.
#[derive(Debug)]
pub(in crate::config) struct Row {
    pub(in crate::config) settings: &'static [Entry],
    /// The default as the table says it, in Markdown.
    pub(in crate::config) default: &'static str,
    /// What the settings mean, in Markdown.
    pub(in crate::config) meaning: &'static str,
}

/// One setting.
#[derive(Debug)]
pub(in crate::config) struct Entry {
    /// The variable. The key of the file is the same in lower case.
    pub(in crate::config) name: &'static str,
    pub(in crate::config) kind: Kind,
    pub(in crate::config) scope: Scope,
    pub(in crate::config) written: ExampleValue,
    /// One line, with unit and consequence. Empty where the row says it.
    pub(in crate::config) doc: &'static str,
}

/// One key of a table of the file that is no setting of the environment.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Key {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) kind: Kind,
    /// A value of it, in TOML.
    pub(in crate::config) sample: &'static str,
    pub(in crate::config) doc: &'static str,
}

/// What a setting says in the example file, in TOML.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum ExampleValue {
    /// Its default, which has an effect only beside other settings.
    Dependent(&'static str),
    /// Its default.
    Default(&'static str),
    /// Something that it could say; without it there is no such value.
    Sample(&'static str),
}

/// What a value may be.
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
pub(in crate::config) enum Scope {
    /// Says how the database is reached. A realm has its own, or shares all of the top level's.
    Database,
    /// Says what the one service of the top level is and how it is reached.
    Service,
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
    /// Whether the value is shown to nobody, and may stand in a file of its own.
    pub(in crate::config) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretList | Self::SecretUrl)
    }

    /// Whether `${VARIABLE}` is replaced in it: secrets and addresses.
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

    /// What it must be, for the sentence "it must be …".
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
    /// Whether `[realm.NAME]` may have its own.
    pub(in crate::config) fn is_of_realms(self) -> bool {
        match self {
            Self::Database | Self::Realm | Self::Redis | Self::Stores => true,
            Self::Service | Self::Process => false,
        }
    }
}

/// A row, in one expression.
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

/// A setting, in one expression.
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
