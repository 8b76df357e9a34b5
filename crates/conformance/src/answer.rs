//! Responses, as a lenient client reads them.

use crate::latin::values;

/// A response to one request.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    /// Whether it is complete, up to its declared end.
    pub(crate) complete: bool,
}

impl Response {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }
}

/// Returns the final responses in the data received so far. `methods` are the requests' methods, in order.
pub(crate) fn answers(data: &str, methods: &[&str], ended: bool) -> Vec<Response> {
    let (mut found, mut rest) = (Vec::new(), data);
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let Some((status, fields)) = head_of(head) else {
            break;
        };
        if (100..200).contains(&status) && status != 101 {
            rest = after;
            continue;
        }
        let method = methods.get(found.len()).copied().unwrap_or("GET");
        let (body, complete, after) = body(status, method, &fields, after, ended);
        found.push(Response {
            status,
            fields,
            body,
            complete,
        });
        rest = after;
        if !complete {
            break;
        }
    }
    found
}

fn head_of(head: &str) -> Option<(u16, Vec<(String, String)>)> {
    let mut lines = head.split("\r\n");
    let first = lines.next()?.strip_prefix("HTTP/")?;
    let status = first.split(' ').nth(1)?.parse().ok()?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.to_owned(), value.trim().to_owned())
    };
    Some((status, lines.map(field).collect()))
}

/// Returns the body, whether it is complete, and the data that follows it.
fn body<'a>(
    status: u16,
    method: &str,
    fields: &[(String, String)],
    data: &'a str,
    ended: bool,
) -> (String, bool, &'a str) {
    if method == "HEAD" || status == 204 || status == 304 {
        return (String::new(), true, data);
    }
    if status == 101 {
        return (data.to_owned(), true, "");
    }
    let codings = values(fields, "transfer-encoding").join(",");
    if codings.to_ascii_lowercase().contains("chunked") {
        return chunked(data);
    }
    let length = values(fields, "content-length");
    let Some(length) = length.first() else {
        return (data.to_owned(), ended, "");
    };
    let length = length.parse().unwrap_or(0);
    match split(data, length) {
        Some((body, after)) => (body.to_owned(), true, after),
        None => (data.to_owned(), false, ""),
    }
}

fn chunked(mut data: &str) -> (String, bool, &str) {
    let mut body = String::new();
    loop {
        let Some((size, after)) = data.split_once("\r\n") else {
            return (body, false, data);
        };
        let size = size.split(';').next().unwrap_or_default();
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            return (body, false, data);
        };
        if size == 0 {
            // Trailers end with an empty line, which may be the first one.
            let end = match after.strip_prefix("\r\n") {
                Some(rest) => Some(rest),
                None => after.split_once("\r\n\r\n").map(|(_, rest)| rest),
            };
            return match end {
                Some(rest) => (body, true, rest),
                None => (body, false, data),
            };
        }
        let Some((chunk, after)) = split(after, size) else {
            return (body, false, data);
        };
        body.push_str(chunk);
        let Some(after) = after.strip_prefix("\r\n") else {
            return (body, false, data);
        };
        data = after;
    }
}

/// Splits after this many characters; `None` when there are fewer.
fn split(text: &str, length: usize) -> Option<(&str, &str)> {
    // Most of it is ASCII, where characters are bytes.
    if text.is_ascii() {
        return text.split_at_checked(length);
    }
    match text.char_indices().nth(length) {
        Some((at, _)) => Some(text.split_at(at)),
        None if text.chars().count() == length => Some((text, "")),
        None => None,
    }
}
