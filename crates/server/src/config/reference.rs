//! What the catalogue says, for people and programs: the tables of the documentation, an example file, a JSON Schema.

mod example;
mod markdown;
mod plain;
mod schema;

pub(crate) use self::example::example;
pub(crate) use self::markdown::{keys, settings};
pub(crate) use self::schema::schema;

use super::catalogue::{
    CONDITION, Entry, HEADER, Key, Kind, LISTENER, PROFILE, ROUTE, Row, SERVICE, TOP_LEVEL,
};

/// A table of the file, or what stands as a table in a value.
struct Described {
    /// How it is called.
    title: &'static str,
    /// What it is, in a sentence.
    about: &'static str,
    keys: &'static [Key],
}

/// Every table but that of a realm, whose keys are those of the environment.
const DESCRIBED: &[Described] = &[
    Described {
        title: "[[route]]",
        about: "One rule: which requests it is about, who may enter, and where they go. The most specific route counts; their \
                order does not. Once there is a route, what none matches is refused.",
        keys: ROUTE,
    },
    Described {
        title: "[[listener]]",
        about: "One more address on which requests are taken, beside `listen`, which has no default any more then.",
        keys: LISTENER,
    },
    Described {
        title: "[service.NAME]",
        about: "Where requests go.",
        keys: SERVICE,
    },
    Described {
        title: "[profile.NAME]",
        about: "Which headers tell a service who is calling.",
        keys: PROFILE,
    },
    Described {
        title: "a header",
        about: "What a header of a profile says: one of the words \"subject\", \"email\", \"name\", \"groups\", or a table with \
                exactly one of the first five keys.",
        keys: HEADER,
    },
    Described {
        title: "a condition",
        about: "What `require` and `active` hold. A claim or a column has exactly one test; everything else stands alone.",
        keys: CONDITION,
    },
];

/// Keys of the top level that are neither settings of the environment nor tables.
fn of_top_level() -> impl Iterator<Item = &'static Key> {
    TOP_LEVEL.iter().filter(|key| key.kind != Kind::Tables)
}

/// What a setting means, in a sentence: its own line, or that of its row, and the unit.
fn meaning(row: &Row, entry: &Entry) -> String {
    let meaning = plain::sentence(match entry.doc {
        "" => row.meaning,
        doc => doc,
    });
    let unit = match entry.kind == Kind::Millis {
        true => " In milliseconds.",
        false if entry.kind == Kind::Seconds && !meaning.starts_with("Seconds") => " In seconds.",
        false => "",
    };
    meaning + unit
}

#[cfg(test)]
mod tests;
