//! Parses `[profile.NAME]`.

use toml::Spanned as Parsed;
use toml::de::{DeString, DeValue};

use super::super::catalogue::{HEADER, HEADER_WORDS};
use super::super::problem::Problem;
use super::super::raw_tables::{RawHeader, RawProfile, RawSource, Spanned};
use super::super::words::{listed, nearest};
use super::table::FileTable;

pub(super) fn profile(name: Spanned<String>, table: &mut FileTable<'_>) -> RawProfile {
    table.report_unknown();
    let headers = headers(table);
    RawProfile {
        name,
        base: table.text("base"),
        encoding: table.text("encoding"),
        separator: table.text("separator"),
        headers,
    }
}

fn headers(table: &mut FileTable<'_>) -> Vec<(Spanned<String>, RawHeader)> {
    let Some(item) = table.item("headers") else {
        return Vec::new();
    };
    let Some(entries) = table.inner(item.value, "headers", &[]) else {
        table.report_wrong_type(&item);
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (key, value) in entries.entries() {
        let header = header(table, key, value);
        let name = table.spanned(key, key.get_ref().to_string());
        headers.extend(header.map(|header| (name, header)));
    }
    headers
}

fn header<'t>(
    table: &mut FileTable<'t>,
    key: &Parsed<DeString<'t>>,
    value: &'t Parsed<DeValue<'t>>,
) -> Option<RawHeader> {
    let place = table.place_of(value);
    if let DeValue::String(word) = value.get_ref() {
        let word = word.to_string();
        let known = HEADER_WORDS.map(str::to_owned);
        if !known.contains(&word) {
            let problem = Problem::at(
                place,
                format!(
                    "the value of a header must be a table or one of {}",
                    listed(&known)
                ),
            );
            let help = match nearest(&word, &known) {
                Some(nearest) => format!("did you mean \"{nearest}\"?"),
                None => format!(
                    "write `\"{}\" = {{ value = \"…\" }}` for a fixed text, or `{{ claim = \"…\" }}` or `{{ column = \
                     \"…\" }}`",
                    key.get_ref()
                ),
            };
            table.problems.push(problem.with_help(help));
            return None;
        }
        let source = RawSource::Word(Spanned {
            value: word,
            place: place.clone(),
        });
        return Some(RawHeader {
            source,
            encoding: None,
            separator: None,
        });
    }
    let Some(mut header) = table.inner(value, "a header", HEADER) else {
        let what =
            "the value of a header must be a table, or one of a few words in quotes".to_owned();
        let help = "such as \"email\", `{ claim = \"org.name\" }` or `{ column = \"team\" }`";
        table
            .problems
            .push(Problem::at(place, what).with_help(help));
        return None;
    };
    header.report_unknown();
    let source = source(&mut header);
    let (encoding, separator) = (header.text("encoding"), header.text("separator"));
    table.problems.append(&mut header.problems);
    Some(RawHeader {
        source: source?,
        encoding,
        separator,
    })
}

/// Reads the source of a header's value, for which there must be exactly one key.
fn source(header: &mut FileTable<'_>) -> Option<RawSource> {
    let source = header.one_of(SOURCES, "this header has no value")?;
    let unused: &[_] = match source {
        "secret_file" | "value" => &["encoding", "separator"],
        "route" => &["separator"],
        _ => &[],
    };
    for name in unused {
        let help = "the text is written unchanged: remove it";
        header.report_unused(name, source, help);
    }
    None.or_else(|| header.text("claim").map(RawSource::Claim))
        .or_else(|| header.text("column").map(RawSource::Column))
        .or_else(|| header.mark("route").map(|_| RawSource::Route))
        .or_else(|| header.text("secret_file").map(RawSource::SecretFile))
        .or_else(|| header.text("value").map(RawSource::Value))
}

const SOURCES: &[&str] = &["claim", "column", "route", "secret_file", "value"];
