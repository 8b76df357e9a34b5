//! Duplicate keys and tables: the parser reports the second place, and this module finds the first.

use std::ops::Range;

/// The parser's message about a duplicate.
pub(super) const MESSAGE: &str = "duplicate key";

/// The first place of a key or table, if the parser's `message` says that it is a duplicate at `span`.
pub(super) fn first_place(text: &str, span: &Range<usize>, message: &str) -> Option<Range<usize>> {
    if message != MESSAGE {
        return None;
    }
    let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next()?;
    let before = &text[..line_start];
    match line.trim_start().starts_with('[') {
        true => same_table(before, line),
        false => same_key(before, text.get(span.clone())?),
    }
}

/// The first line that begins the same table.
fn same_table(before: &str, line: &str) -> Option<Range<usize>> {
    let plain = |line: &str| {
        let name = line.split('#').next().unwrap_or_default();
        name.split_whitespace().collect::<String>()
    };
    let wanted = plain(line);
    lines(before).find_map(|(start, line)| {
        let name = line.trim();
        let start = start + line.len() - line.trim_start().len();
        (plain(line) == wanted).then_some(start..start + name.len())
    })
}

/// An earlier line in the same table that begins with the same key.
fn same_key(before: &str, key: &str) -> Option<Range<usize>> {
    let lines: Vec<_> = lines(before).collect();
    let in_table = lines.into_iter().rev();
    let mut in_table = in_table.take_while(|(_, line)| !line.starts_with('['));
    in_table.find_map(|(start, line)| {
        let rest = line.trim_start().strip_prefix(key)?;
        let start = start + line.len() - line.trim_start().len();
        let is_key = rest.trim_start().starts_with('=');
        is_key.then_some(start..start + key.len())
    })
}

/// The lines of a text, each with its offset.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let begins = start;
        start += line.len();
        (begins, line.trim_end_matches(['\n', '\r']))
    })
}
