//! Converts Markdown to plain text.

use super::super::catalogue;

/// Converts Markdown to a sentence without links, and with the keys of the file instead of variables.
pub(super) fn sentence(markdown: &str) -> String {
    let text = plain(markdown);
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    let end = if text.ends_with(['.', '?']) { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), chars.as_str())
}

/// Converts Markdown to plain text without links, and with the keys of the file instead of variables.
pub(super) fn plain(markdown: &str) -> String {
    keys(&without_links(markdown))
}

/// Replaces each link by its text: `[words](address)` becomes `words`.
fn without_links(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once('[') {
        text.push_str(before);
        let link = after.split_once("](").and_then(|(words, after)| {
            let (_, after) = after.split_once(')')?;
            Some((words, after))
        });
        (text, rest) = match link {
            // The link's target does not exist in plain text.
            Some(("more", after)) => (text.trim_end_matches([' ', ';']).to_owned(), after),
            Some((words, after)) => (text + words, after),
            None => (text + "[", after),
        };
    }
    text + rest
}

/// Replaces the name of a setting in backticks by its key.
fn keys(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let is_code = index % 2 == 1;
        match is_code && catalogue::entry(part).is_some() {
            true => part.to_ascii_lowercase(),
            false => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// Wraps words into lines of at most this many characters.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_variables_become_plain_text() {
        assert_eq!(
            sentence("the [cache](a.md) of `REDIS_URL` and `X`; [more](b.md)"),
            "The cache of `redis_url` and `X`."
        );
        assert_eq!(sentence("`a` [b"), "`a` [b.");
        assert_eq!(wrapped("a bc d", 4), ["a bc", "d"]);
    }
}
