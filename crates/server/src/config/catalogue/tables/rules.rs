//! The keys of header profiles and conditions.

use super::super::form::Kind::{
    Choice, Condition, Conditions, File, Headers, List, Networks, Scalar, Scalars, Secret, Switch,
    Text,
};
use super::super::form::{Key, Kind};
use super::key;

/// The keys of `[profile.NAME]`.
pub(in crate::config) const PROFILE: &[Key] = &[
    key(
        "base",
        Text,
        "\"remote-user\"",
        "the built-in profile whose headers it inherits",
    ),
    key(
        "encoding",
        ENCODING,
        "\"percent\"",
        "the encoding of characters that are not ASCII",
    ),
    key(
        "separator",
        Text,
        "\",\"",
        "the separator between the entries of a list",
    ),
    key(
        "headers",
        Headers,
        "{ \"X-Team\" = { column = \"team\" }, \"X-Login\" = \"email\" }",
        "the names of the headers, and the value of each",
    ),
];

/// The keys of a header of a profile.
pub(in crate::config) const HEADER: &[Key] = &[
    key(
        "claim",
        Text,
        "\"org.name\"",
        "a claim of the session; dots lead into nested claims",
    ),
    key("column", Text, "\"team\"", "a column of the user's row"),
    key("route", Switch, "true", "`true`: the name of the route"),
    key(
        "secret_file",
        File,
        "\"/run/secrets/header\"",
        "the content of a file, without its final newline",
    ),
    key("value", Secret, "\"text\"", "a fixed text"),
    key(
        "encoding",
        ENCODING,
        "\"latin-1\"",
        "the encoding, if it differs from the profile's",
    ),
    key(
        "separator",
        Text,
        "\" \"",
        "the separator, if it differs from the profile's",
    ),
];

/// The words that a header may have as its value instead of a table.
pub(in crate::config) const HEADER_WORDS: [&str; 4] = ["subject", "email", "name", "groups"];

/// The keys of a condition.
pub(in crate::config) const CONDITION: &[Key] = &[
    key(
        "claim",
        Text,
        "\"org.plan\"",
        "a claim of the session; dots lead into nested claims",
    ),
    key("column", Text, "\"role\"", "a column of the user's row"),
    key("equals", Scalar, "\"admin\"", "it equals this value"),
    key(
        "one_of",
        Scalars,
        "[\"team\", \"business\"]",
        "it equals one of these values",
    ),
    key(
        "contains",
        Scalars,
        "\"admin\"",
        "it is a list that contains one of these values",
    ),
    key(
        "present",
        Switch,
        "true",
        "it exists and is not null; `false`: it does not exist or is null",
    ),
    key(
        "empty",
        Switch,
        "true",
        "it is null, absent, or an empty text or list; `false`: it is none of these",
    ),
    key("past", Switch, "true", "it is a time in the past"),
    key("future", Switch, "true", "it is a time in the future"),
    key("separator", Text, "\",\"", "splits a text into a list"),
    key(
        "all",
        Conditions,
        "[{ claim = \"plan\", present = true }]",
        "all of these conditions are met",
    ),
    key(
        "any",
        Conditions,
        "[{ network = \"10.0.0.0/8\" }]",
        "at least one of these conditions is met",
    ),
    key(
        "not",
        Condition,
        "{ claim = \"session.impersonatedBy\", present = true }",
        "this condition is not met",
    ),
    key(
        "organization_role",
        List,
        "[\"owner\", \"admin\"]",
        "the user has one of these roles in the session's active organization (Better Auth)",
    ),
    key(
        "certificate",
        List,
        "[\"CN=billing,O=Example\"]",
        "the client presented a certificate with one of these names: its subject, or `DNS:`, `URI:` or `email:` and an \
         alternative name",
    ),
    key(
        "network",
        Networks,
        "[\"10.0.0.0/8\"]",
        "the client's address is in one of these networks",
    ),
    key(
        "max_age",
        Text,
        "\"12h\"",
        "the session is not older than this; units are `s`, `m`, `h` and `d`",
    ),
    key("methods", List, "[\"GET\"]", "the method is one of these"),
];

const ENCODING: Kind = Choice(&["percent", "quoted-printable", "base64", "latin-1"]);
