//! An audit line in JSON.

use std::cell::RefCell;
use std::net::IpAddr;

use session::UnixTime;

use super::AuditEntry;
use crate::clock::timestamp;

/// Writes one JSON object, field by field: names and most values are fixed codes that need no escaping. That takes a sixth
/// of the instructions of a derived serializer, on every request.
pub(super) fn write(out: &mut Vec<u8>, entry: &AuditEntry<'_>) {
    let AuditEntry {
        ts,
        request_id,
        mode,
        outcome,
        reason,
        rule,
        method,
        host,
        path,
        client_ip,
        peer_ip,
        user_id,
        session_id,
        anonymous,
        impersonated_by,
        cred,
        format,
        session_check,
        user_check,
        duration_us,
        decision_us,
        head_us,
        bytes_in,
        bytes_out,
        redirect_loop,
        upstream,
        server,
        status,
        ended,
        event,
    } = entry;
    out.reserve(USUAL_LINE);
    let mut line = JsonLine(out);
    line.start(*ts);
    line.text(",\"request_id\":\"", request_id);
    line.code(",\"mode\":\"", Some(mode));
    line.code(",\"outcome\":\"", Some(outcome));
    line.code(",\"reason\":\"", Some(reason));
    if let Some(rule) = rule {
        line.text(",\"rule\":\"", rule);
    }
    line.text(",\"method\":\"", method);
    line.text(",\"host\":\"", host);
    line.text(",\"path\":\"", path);
    line.address(",\"client_ip\":\"", *client_ip);
    line.address(",\"peer_ip\":\"", *peer_ip);
    if let Some(user_id) = user_id {
        line.text(",\"user_id\":\"", user_id);
    }
    if let Some(session_id) = session_id {
        line.text(",\"session_id\":\"", session_id);
    }
    if *anonymous {
        line.0.extend_from_slice(b",\"anonymous\":true");
    }
    if let Some(id) = impersonated_by {
        line.text(",\"impersonated_by\":\"", id);
    }
    line.code(",\"cred\":\"", Some(cred));
    line.code(",\"format\":\"", *format);
    line.code(",\"session_check\":\"", *session_check);
    line.code(",\"user_check\":\"", Some(user_check));
    line.number(",\"duration_us\":", *duration_us);
    line.number(",\"decision_us\":", *decision_us);
    line.number(",\"head_us\":", *head_us);
    line.number(",\"bytes_in\":", *bytes_in);
    line.number(",\"bytes_out\":", *bytes_out);
    if *redirect_loop {
        line.0.extend_from_slice(b",\"redirect_loop\":true");
    }
    line.code(",\"upstream\":\"", *upstream);
    if let Some(server) = server {
        line.text(",\"server\":\"", server);
    }
    line.number(",\"status\":", u64::from(*status));
    line.code(",\"ended\":\"", *ended);
    line.code(",\"event\":\"", *event);
    out.extend_from_slice(b"}\n");
}

/// A line that is being written. Each field's name is passed with all punctuation, up to the quotation mark that begins a text.
struct JsonLine<'o>(&'o mut Vec<u8>);

impl JsonLine<'_> {
    fn start(&mut self, ts: UnixTime) {
        self.0.extend_from_slice(b"{\"ts\":\"");
        write_timestamp(self.0, ts);
        self.0.push(b'"');
    }

    /// Writes a fixed code of letters, digits, hyphens and underscores, if there is one.
    fn code(&mut self, name: &'static str, code: Option<&'static str>) {
        if let Some(code) = code {
            self.plain(name, code);
        }
    }

    /// Writes a text, escaped where necessary.
    fn text(&mut self, name: &'static str, text: &str) {
        let mut bytes = text.bytes();
        if bytes.all(|byte| IS_PLAIN[usize::from(byte)]) {
            self.plain(name, text);
        } else {
            // `serde_json` writes both quotation marks itself.
            let name = name.strip_suffix('"').unwrap_or(name);
            self.0.extend_from_slice(name.as_bytes());
            // Writing to memory cannot fail, here and below.
            let _ = serde_json::to_writer(&mut *self.0, text);
        }
    }

    fn plain(&mut self, name: &'static str, text: &str) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.0.extend_from_slice(name.as_bytes());
        let _ = serde_json::to_writer(&mut *self.0, &number);
    }

    fn address(&mut self, name: &'static str, address: IpAddr) {
        self.0.extend_from_slice(name.as_bytes());
        let _ = gate::write_address(self.0, address);
        self.0.push(b'"');
    }
}

/// The visible bytes that need no escaping in JSON.
static IS_PLAIN: [bool; 256] = {
    let mut is_plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        is_plain[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    is_plain
};

/// Writes a time in UTC as in RFC 3339, to the millisecond. Everything but the milliseconds is formatted once a second.
fn write_timestamp(out: &mut Vec<u8>, time: UnixTime) {
    thread_local! {
        static SECOND: RefCell<(UnixTime, String)> = const { RefCell::new((UnixTime::from_secs(0), String::new())) };
    }
    SECOND.with_borrow_mut(|(second, text)| {
        let now = UnixTime::from_secs(time.secs());
        if *second != now || text.is_empty() {
            *text = timestamp(now).strftime("%Y-%m-%dT%H:%M:%S").to_string();
            *second = now;
        }
        out.extend_from_slice(text.as_bytes());
    });
    let digit = |place: u64| b'0' + u8::try_from(time.millis() / place % 10).unwrap_or_default();
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
}

/// The room reserved for a line, in bytes. Most lines are shorter, so the buffer grows at most once for a line.
const USUAL_LINE: usize = 640;
