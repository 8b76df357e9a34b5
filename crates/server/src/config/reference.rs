//! Renders the catalogue: the tables of the documentation, an example file, and a JSON Schema.

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

/// A table of the file, or a table inside a value, such as a condition.
struct Described {
    /// Its name, as in `[[route]]`.
    title: &'static str,
    /// What it is for, in a sentence or two.
    about: &'static str,
    keys: &'static [Key],
}

/// Every table except that of a realm, whose keys are settings of the environment.
const DESCRIBED: &[Described] = &[
    Described {
        title: "[[route]]",
        about: "One rule: which requests it matches, who may enter, and where they go. The most specific matching route \
             applies; their order does not matter. If the file has routes, requests that match none of them are refused.",
        keys: ROUTE,
    },
    Described {
        title: "[[listener]]",
        about: "Another address on which the gate accepts requests. If there is one, `listen` has no default.",
        keys: LISTENER,
    },
    Described {
        title: "[service.NAME]",
        about: "A service to which routes send requests.",
        keys: SERVICE,
    },
    Described {
        title: "[profile.NAME]",
        about: "The headers that tell a service who is calling.",
        keys: PROFILE,
    },
    Described {
        title: "a header",
        about: "The value of a header in a profile: one of the words \"subject\", \"email\", \"name\", \"groups\", or a \
             table with exactly one of the first five keys.",
        keys: HEADER,
    },
    Described {
        title: "a condition",
        about: "An entry of `require` and `active`. A claim or a column is combined with exactly one test; every other \
             key is used alone.",
        keys: CONDITION,
    },
];

/// Keys of the top level that are neither settings of the environment nor tables.
fn of_top_level() -> impl Iterator<Item = &'static Key> {
    TOP_LEVEL.iter().filter(|key| key.kind != Kind::Tables)
}

/// The description of a setting as a sentence, with its unit: its own, or that of its row.
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
