//! Requests, as a strict upstream reads them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{Record, Shared};
use crate::latin::{excerpt, folded, is_token, text, values};

/// Serves one connection to its end.
pub(super) fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut wire = Wire {
        stream,
        buffer: Vec::new(),
    };
    for number in 0.. {
        let Some(head) = wire.head()? else {
            if !wire.buffer.is_empty() {
                shared.add(Record {
                    number,
                    head: text(&wire.buffer),
                    garbage: true,
                    ..Record::default()
                });
            }
            return Ok(());
        };
        let record = Record {
            number,
            ..parsed(&head)
        };
        let at = shared.add(record.clone());
        if !exchange(&mut wire, &record, at, shared)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads the body, and answers. Returns whether the connection can be used again.
fn exchange(wire: &mut Wire<'_>, record: &Record, at: usize, shared: &Shared) -> io::Result<bool> {
    if record.garbage {
        wire.stream.write_all(
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )?;
        return Ok(false);
    }
    if !record.all("expect").is_empty() {
        wire.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = match framing(record) {
        Framing::Chunked => wire.chunked()?,
        Framing::Length(length) => wire.length(length)?,
        Framing::None => wire.length(0)?,
    };
    let complete = body.complete;
    shared.update(at, |kept| {
        kept.anomalies.extend(body.anomalies);
        kept.raw_body = text(&body.raw);
        kept.body = text(&body.decoded);
        kept.complete = complete;
    });
    let reply = shared.reply_to(&record.head);
    if !complete || !reply.send(wire.stream, record)? {
        return Ok(false);
    }
    if reply.switches(record) {
        loop {
            let tunneled = text(&std::mem::take(&mut wire.buffer));
            shared.update(at, |kept| kept.tunnel.push_str(&tunneled));
            if !wire.fill()? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The unread bytes of a connection.
struct Wire<'a> {
    stream: &'a TcpStream,
    buffer: Vec<u8>,
}

/// A body, and everything in its framing that is not canonical.
#[derive(Default)]
struct Body {
    raw: Vec<u8>,
    decoded: Vec<u8>,
    complete: bool,
    anomalies: Vec<String>,
}

enum Framing {
    Chunked,
    Length(usize),
    None,
}

impl Wire<'_> {
    /// Waits for more bytes. Returns whether any arrived.
    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 1 << 14];
        // A reset ends the connection too.
        let length = self.stream.read(&mut piece).unwrap_or(0);
        self.buffer.extend_from_slice(&piece[..length]);
        Ok(length > 0)
    }

    /// Reads a head with the empty line at its end; `None` if the connection ends before.
    fn head(&mut self) -> io::Result<Option<String>> {
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                return Ok(Some(text(&self.take(end + 4))));
            }
            if self.buffer.len() > LONGEST_HEAD || !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Reads this many bytes, or fewer if the connection ends.
    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length && self.fill()? {}
        Ok(self.take(length))
    }

    /// Reads a line with its end, or less if the connection ends.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Ok(self.take(end + 1));
            }
            if !self.fill()? {
                return Ok(self.take(usize::MAX));
            }
        }
    }

    fn length(&mut self, length: usize) -> io::Result<Body> {
        let raw = self.exactly(length)?;
        Ok(Body {
            complete: raw.len() == length,
            decoded: raw.clone(),
            raw,
            anomalies: Vec::new(),
        })
    }

    fn chunked(&mut self) -> io::Result<Body> {
        let mut body = Body::default();
        while let Some(size) = self.chunk_size(&mut body)? {
            if size == 0 {
                self.trailers(&mut body)?;
                break;
            }
            let data = self.exactly(size)?;
            body.raw.extend_from_slice(&data);
            body.decoded.extend_from_slice(&data);
            let end = self.exactly(2)?;
            body.raw.extend_from_slice(&end);
            if end != b"\r\n" {
                body.note("no CRLF after the data of a chunk");
                break;
            }
        }
        Ok(body)
    }

    /// Reads the next chunk's size; `None` if it is malformed, or the connection ends.
    fn chunk_size(&mut self, body: &mut Body) -> io::Result<Option<usize>> {
        let line = self.line()?;
        body.raw.extend_from_slice(&line);
        if !line.ends_with(b"\n") {
            return Ok(None);
        }
        if !line.ends_with(b"\r\n") {
            body.note("a chunk size line ends in a bare LF");
        }
        let line = text(&line);
        let line = line.trim_matches(['\r', '\n']);
        let (size, extension) = line.split_once(';').unzip();
        if extension.is_some() {
            body.note("a chunk extension");
        }
        let size = size.unwrap_or(line);
        let digits = size.chars().all(|char| char.is_ascii_hexdigit());
        let parsed = usize::from_str_radix(size, 16).ok().filter(|_| digits);
        if parsed.is_none() {
            body.note(format!("chunk size {}", excerpt(size, 20)));
        }
        Ok(parsed)
    }

    fn trailers(&mut self, body: &mut Body) -> io::Result<()> {
        loop {
            let line = self.line()?;
            body.raw.extend_from_slice(&line);
            match line.as_slice() {
                b"\r\n" => break,
                b"\n" => {
                    body.note("the trailers end in a bare LF");
                    break;
                }
                ended if !ended.ends_with(b"\n") => return Ok(()),
                trailer => body.note(format!("a trailer: {}", excerpt(text(trailer).trim(), 50))),
            }
        }
        body.complete = true;
        Ok(())
    }
}

impl Body {
    fn note(&mut self, anomaly: impl Into<String>) {
        self.anomalies.push(anomaly.into());
    }
}

/// Parses the head of a request, and notes everything in it that is not canonical.
fn parsed(head: &str) -> Record {
    let mut record = Record {
        head: head.to_owned(),
        ..Record::default()
    };
    let lines = head.trim_end_matches("\r\n");
    let bare = lines.replace("\r\n", "");
    for (char, name) in [('\n', "a bare LF"), ('\r', "a bare CR"), ('\0', "NUL")] {
        if bare.contains(char) {
            record.anomalies.push(format!("{name} in the head"));
        }
    }
    let mut lines = lines.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let parts: Vec<_> = first.split(' ').collect();
    let [method, target, version] = parts.as_slice() else {
        return garbage(record, first);
    };
    if !version.starts_with("HTTP/1.") {
        return garbage(record, first);
    }
    (*method).clone_into(&mut record.method);
    (*target).clone_into(&mut record.target);
    (*version).clone_into(&mut record.version);
    if !is_token(method) {
        record
            .anomalies
            .push("a method that is not a token".to_owned());
    }
    if target.chars().any(|char| char <= ' ' || char == '\x7f') {
        record
            .anomalies
            .push("control characters in the target".to_owned());
    }
    for line in lines {
        field(line, &mut record);
    }
    note_framing(&mut record);
    record
}

fn garbage(record: Record, first: &str) -> Record {
    Record {
        garbage: true,
        target: first.to_owned(),
        ..record
    }
}

fn field(line: &str, record: &mut Record) {
    if line.starts_with([' ', '\t']) {
        record.anomalies.push("a folded header line".to_owned());
        return;
    }
    let Some((name, value)) = line.split_once(':') else {
        record
            .anomalies
            .push("a header line without a colon".to_owned());
        return;
    };
    if !is_token(name) {
        let shown = excerpt(name, 40);
        record
            .anomalies
            .push(format!("a header name that is not a token: {shown}"));
    }
    let value = value.trim_matches([' ', '\t']);
    record.fields.push((name.to_owned(), value.to_owned()));
}

fn note_framing(record: &mut Record) {
    let mut found = Vec::new();
    let lengths = values(&record.fields, "content-length");
    let codings = values(&record.fields, "transfer-encoding");
    if lengths.len() > 1 {
        found.push("several Content-Length".to_owned());
    }
    if let Some(length) = lengths.first().filter(|length| !is_length(length)) {
        found.push(format!("Content-Length {}", excerpt(length, 30)));
    }
    let chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
    if codings.len() > 1 || !codings.iter().all(chunked) {
        found.push(format!(
            "Transfer-Encoding {}",
            excerpt(&codings.join(" | "), 40)
        ));
    }
    if !codings.is_empty() && !lengths.is_empty() {
        found.push("both Content-Length and Transfer-Encoding".to_owned());
    }
    if !codings.is_empty() && record.version == "HTTP/1.0" {
        found.push("Transfer-Encoding in HTTP/1.0".to_owned());
    }
    for (name, _) in &record.fields {
        let is_framing = |name: &str| ["content-length", "transfer-encoding"].contains(&name);
        if is_framing(&folded(name)) && !is_framing(&name.to_ascii_lowercase()) {
            found.push(format!("{}, which reads like framing", excerpt(name, 40)));
        }
    }
    record.anomalies.extend(found);
}

fn framing(record: &Record) -> Framing {
    let codings = record
        .all("transfer-encoding")
        .join(",")
        .to_ascii_lowercase();
    if codings.contains("chunked") {
        return Framing::Chunked;
    }
    match record.all("content-length").first() {
        Some(length) => Framing::Length(length.parse().unwrap_or(0)),
        None => Framing::None,
    }
}

fn is_length(text: &str) -> bool {
    (1..=18).contains(&text.len()) && text.chars().all(|char| char.is_ascii_digit())
}

/// The idle timeout, longer than any case waits.
const IDLE: Duration = Duration::from_secs(90);

const LONGEST_HEAD: usize = 4 << 20;
