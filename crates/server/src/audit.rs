//! One line per decision, written when its exchange ends; of one that may last for hours another one when it begins.
//!
//! A line is formatted into a buffer of the runtime that made the decision; an [`Output`] carries full buffers to
//! standard output. So no request waits for a slow reader, no lock is contended, and no system call is made per
//! line. A buffer is bounded: what does not fit is counted and reported, never dropped in silence.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use session::UnixTime;

use crate::clock::{self, timestamp};
use crate::config::LogFormat;
use crate::metrics::Metrics;
use crate::output::{Buffer, Loss, Output};
use crate::refusals::{RecentRefusals, Remembered};
use crate::revocations::RevocationChange;

/// One decision. Neither the token, nor a cookie, nor a secret, nor the query has a place here.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// When the request arrived.
    pub(crate) ts: UnixTime,
    /// The id that the client and the upstream see too.
    pub(crate) request_id: &'a str,
    /// The front that asked: `proxy`, or the kind of host.
    pub(crate) mode: &'static str,
    /// `allow` or `deny`.
    pub(crate) outcome: &'static str,
    /// The stable code of the reason.
    pub(crate) reason: &'static str,
    /// The name of the route that governed the request.
    pub(crate) rule: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// Without its query, which may hold secrets.
    pub(crate) path: &'a str,
    pub(crate) client_ip: IpAddr,
    pub(crate) peer_ip: IpAddr,
    /// The session's subject, once the session was opened.
    pub(crate) user_id: Option<&'a str>,
    /// The session's id, where lines name sessions.
    pub(crate) session_id: Option<&'a str>,
    /// Whether that is a guest, who has never signed up.
    pub(crate) anonymous: bool,
    /// The id of the user who acts as that one.
    pub(crate) impersonated_by: Option<&'a str>,
    /// What kind of credential the request carried: `authjs5`, `authjs-signed`, `better-auth`, `bypass`, `db`, `jwt`,
    /// `nextauth4` or `none`.
    pub(crate) cred: &'static str,
    /// The format of the session, once it was opened.
    pub(crate) format: Option<&'static str>,
    /// The store that was asked for the session, where one was.
    pub(crate) session_check: Option<&'static str>,
    /// The store that knew the user, or `skipped`.
    pub(crate) user_check: &'static str,
    /// From the request's head to the end of the exchange, or until now.
    pub(crate) duration_us: u64,
    /// Of that, the time until the decision.
    pub(crate) decision_us: u64,
    /// The time until the answer's head had left.
    pub(crate) head_us: u64,
    /// Bytes of the request's body that the upstream's connection has taken.
    pub(crate) bytes_in: u64,
    /// Bytes of the answer's body that the client's connection has taken.
    pub(crate) bytes_out: u64,
    /// Whether the browser was told of a redirect loop instead of being sent to sign in once more.
    pub(crate) redirect_loop: bool,
    /// What became of the exchange with the upstream, when it failed.
    pub(crate) upstream: Option<&'static str>,
    /// The server to which it went last, of several.
    pub(crate) server: Option<&'a str>,
    /// The status that the client got.
    pub(crate) status: u16,
    /// How the exchange ended; `None` when it has not.
    pub(crate) ended: Option<&'static str>,
    /// `start` or `end` of an exchange that has a line for each.
    pub(crate) event: Option<&'static str>,
}

/// Where one runtime writes its lines.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    buffer: Arc<Buffer>,
    /// `None` for no lines at all.
    format: Option<LogFormat>,
    /// Those of all runtimes.
    refusals: Arc<RecentRefusals>,
    terms: AuditTerms,
}

/// What is told to those who write lines, and by whom lines are written that no runtime writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditTerms {
    /// Whether lines name sessions, by their ids.
    pub(crate) names_sessions: Arc<AtomicBool>,
    /// Where the process writes, once lines are written.
    pub(crate) of_process: Arc<OnceLock<Audit>>,
}

impl Audit {
    /// Lines that nobody reads.
    #[cfg(test)]
    pub(crate) fn unread() -> Self {
        Self {
            buffer: Buffer::new(Arc::default()),
            format: Some(LogFormat::Json),
            refusals: Arc::default(),
            terms: AuditTerms::default(),
        }
    }

    /// What was written.
    #[cfg(test)]
    pub(crate) fn written(&self) -> String {
        String::from_utf8(self.buffer.text()).unwrap()
    }

    /// Keeps a refusal in memory for a while, whether or not lines are written.
    pub(crate) fn remember(&self, refusal: Remembered) {
        self.refusals.remember(refusal);
    }

    /// Whether lines name sessions, by their ids.
    pub(crate) fn names_sessions(&self) -> bool {
        self.terms.names_sessions.load(Ordering::Relaxed)
    }

    /// Writes a line about a revocation.
    pub(crate) fn revoked(&self, change: &RevocationChange) {
        if let Some(format) = self.format {
            let now = clock::now();
            self.buffer.add(|text| change.write(text, now, format));
        }
    }

    /// Writes a line, or counts it when the buffer is full.
    pub(crate) fn record(&self, entry: &Entry<'_>) {
        if let Some(watcher) = WATCHER.get() {
            watcher(entry);
        }
        let Some(format) = self.format else {
            return;
        };
        self.buffer.add(|text| match format {
            LogFormat::Json => write_json(text, entry),
            LogFormat::Text => write_text(text, entry),
        });
    }
}

/// Shows every entry to somebody beside the log, from now on. There can be one watcher in a process: the demo, which tells of its
/// last refusal.
pub(crate) fn watch(watcher: impl Fn(&Entry<'_>) + Send + Sync + 'static) {
    // A second one is never set.
    let _ = WATCHER.set(Box::new(watcher));
}

type Watcher = dyn Fn(&Entry<'_>) + Send + Sync;

static WATCHER: OnceLock<Box<Watcher>> = OnceLock::new();

/// Starts the thread that carries lines to standard output, with one buffer for each of so many runtimes and one for the
/// process. Without a format nothing is written. What is refused goes into `refusals` too.
pub(crate) fn start(
    runtimes: usize,
    format: Option<LogFormat>,
    metrics: &Metrics,
    refusals: &Arc<RecentRefusals>,
    terms: &AuditTerms,
) -> io::Result<(Output, Vec<Audit>)> {
    let mut audits: Vec<Audit> = (0..=runtimes)
        .map(|_| Audit {
            buffer: Buffer::new(metrics.audit_lost()),
            format,
            refusals: Arc::clone(refusals),
            terms: terms.clone(),
        })
        .collect();
    let buffers = audits
        .iter()
        .map(|audit| Arc::clone(&audit.buffer))
        .collect();
    if let Some(last) = audits.pop() {
        // Lines are started once.
        let _ = terms.of_process.set(last);
    }
    let output = Output::start("audit", io::stdout(), buffers, next_pause, report)?;
    Ok((output, audits))
}

fn report(loss: Loss) {
    match loss {
        Loss::Dropped(dropped) => tracing::error!(
            dropped,
            "audit lines were dropped: standard output is read too slowly"
        ),
        Loss::Unwritable(error) => {
            tracing::error!(%error, "audit lines cannot be written, and are lost until they can");
        }
    }
}

/// How long to wait for the next lines, after a pause in which the fullest buffer collected so many bytes: as long as one is
/// likely to collect what stays in its core's cache. Otherwise the log of a busy gate pushes everybody else's data out
/// of it, and its buffers take new memory each time.
fn next_pause(last: Duration, fullest: usize) -> Duration {
    let fullest = u32::try_from(fullest.max(1)).unwrap_or(u32::MAX);
    let next = last.saturating_mul(CACHED_BUFFER) / fullest;
    next.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// One JSON object. Written field by field, because names and most values are codes of ours that need no escaping: that
/// takes a sixth of the instructions that a derived serialiser does, on every request.
fn write_json(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let Entry {
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

/// A line that is being written. Each field comes with its name, ready to be written: with the quotation mark that begins its
/// value, where that is a text.
struct JsonLine<'o>(&'o mut Vec<u8>);

impl JsonLine<'_> {
    fn start(&mut self, ts: UnixTime) {
        self.0.extend_from_slice(b"{\"ts\":\"");
        write_timestamp(self.0, ts);
        self.0.push(b'"');
    }

    /// A word of ours, which is letters, digits, hyphens and underscores; nothing when there is none.
    fn code(&mut self, name: &'static str, code: Option<&'static str>) {
        if let Some(code) = code {
            self.plain(name, code);
        }
    }

    /// Anything else, escaped where it has to be.
    fn text(&mut self, name: &'static str, text: &str) {
        let mut bytes = text.bytes();
        if bytes.all(|byte| IS_PLAIN[usize::from(byte)]) {
            self.plain(name, text);
        } else {
            // It writes both quotation marks itself.
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

/// Which bytes stand for themselves in a text of JSON, and are visible.
static IS_PLAIN: [bool; 256] = {
    let mut is_plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        is_plain[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    is_plain
};

/// RFC 3339 in UTC, to the millisecond. The part that changes once a second is made once a second.
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

/// For people: time, outcome, status, request, route, who and how long, and how it ended if not as it should. Values from the
/// request are quoted where they could break the line.
// Apart from the other format, whose code every request of most gates runs through.
#[inline(never)]
fn write_text(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let time = timestamp(entry.ts).strftime("%H:%M:%S");
    let Entry {
        outcome,
        method,
        host,
        path,
        status,
        reason,
        ..
    } = entry;
    let (host, path) = (host.escape_debug(), path.escape_debug());
    let route = entry.rule.map_or_else(String::new, |rule| {
        format!(" route=\"{}\"", rule.escape_debug())
    });
    let method = method.escape_debug();
    let user = entry.user_id.unwrap_or("-").escape_debug();
    let guest = if entry.anonymous { " (guest)" } else { "" };
    let by = entry.impersonated_by.map_or_else(String::new, |id| {
        format!(" impersonated_by={}", id.escape_debug())
    });
    #[expect(clippy::cast_precision_loss, reason = "a duration for people")]
    let millis = entry.duration_us as f64 / 1000.0;
    let ended = match (entry.event, entry.ended) {
        (Some("start"), _) => " goes on",
        (_, None | Some("whole")) => "",
        (_, Some(ended)) => &format!(" {ended}"),
    };
    // Writing to memory cannot fail.
    let _ = writeln!(
        out,
        "{time} {outcome:5} {status} {method} {host}{path}{route} user={user}{guest}{by} reason={reason} {millis:.1}ms{ended}"
    );
}

/// How often lines are carried out. A reader sees them this much later at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// In bytes, of a buffer when it is carried out.
const CACHED_BUFFER: u32 = 32 << 10;

/// In bytes. Most lines are shorter, so that the buffer's room is looked at once a line.
const USUAL_LINE: usize = 640;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn entry<'a>(path: &'a str, user: &'a str) -> Entry<'a> {
        Entry {
            ts: UnixTime::from_millis(1_900_000_000_123),
            request_id: "id",
            mode: "proxy",
            outcome: "allow",
            reason: "session",
            rule: Some("session"),
            method: "GET",
            host: "a",
            path,
            client_ip: Ipv4Addr::LOCALHOST.into(),
            peer_ip: Ipv4Addr::LOCALHOST.into(),
            user_id: Some(user),
            session_id: None,
            anonymous: false,
            impersonated_by: None,
            cred: "authjs5",
            format: Some("authjs-v5"),
            session_check: None,
            user_check: "memory",
            duration_us: 1500,
            decision_us: 12,
            head_us: 1500,
            bytes_in: 0,
            bytes_out: 2,
            redirect_loop: false,
            upstream: None,
            server: None,
            status: 200,
            ended: Some("whole"),
            event: None,
        }
    }

    #[test]
    fn no_value_breaks_its_line() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let audit = Audit {
                format: Some(format),
                ..Audit::unread()
            };
            audit.record(&entry("/a\"b\n\u{2028}\u{1b}[0m", "x\r\nallow"));
            let text = audit.buffer.text();
            assert_eq!(memchr::memchr_iter(b'\n', &text).count(), 1);
            assert!(!text.contains(&0x1b) && !text.contains(&b'\r'));
        }
    }

    #[test]
    fn a_line_is_json_with_a_time_in_utc() {
        let audit = Audit::unread();
        audit.record(&entry("/a", "u"));
        let line: serde_json::Value = serde_json::from_slice(&audit.buffer.text()).unwrap();
        assert_eq!(line["ts"], "2030-03-17T17:46:40.123Z");
        assert_eq!(line["user_id"], "u");
    }

    #[test]
    fn a_line_says_of_guests_and_of_those_who_act_for_others_that_they_are() {
        let lines = |format, anonymous, impersonated_by| {
            let audit = Audit {
                format: Some(format),
                ..Audit::unread()
            };
            audit.record(&Entry {
                anonymous,
                impersonated_by,
                ..entry("/a", "u")
            });
            let text = audit.buffer.text();
            String::from_utf8(text).unwrap()
        };
        let usual = lines(LogFormat::Json, false, None);
        assert!(!usual.contains("anonymous") && !usual.contains("impersonated"));
        let guest = lines(LogFormat::Json, true, None);
        assert!(guest.contains(r#","user_id":"u","anonymous":true,"cred""#));
        let acting = lines(LogFormat::Json, false, Some("a\"\n1"));
        assert!(acting.contains(r#","user_id":"u","impersonated_by":"a\"\n1","cred""#));
        let text = lines(LogFormat::Text, true, Some("a\n1"));
        assert!(text.contains(r"user=u (guest) impersonated_by=a\n1 reason="));
    }

    #[test]
    fn a_line_for_people_has_host_and_route() {
        let audit = Audit {
            format: Some(LogFormat::Text),
            ..Audit::unread()
        };
        audit.record(&Entry {
            host: "wiki.example\u{202e}",
            rule: Some("pages of \"wiki\""),
            ..entry("/a", "u")
        });
        let text = String::from_utf8(audit.buffer.text()).unwrap();
        let expected = r#"GET wiki.example\u{202e}/a route="pages of \"wiki\"" user=u"#;
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn the_busier_a_buffer_the_sooner_it_is_carried_out() {
        let millis = Duration::from_millis;
        assert_eq!(next_pause(millis(20), 0), millis(20));
        assert_eq!(next_pause(millis(20), 320 << 10), millis(2));
        assert_eq!(next_pause(millis(2), 32 << 10), millis(2));
        assert_eq!(next_pause(millis(2), 16 << 10), millis(4));
        assert_eq!(next_pause(millis(4), 2 << 20), millis(1));
        assert_eq!(next_pause(millis(1), usize::MAX), millis(1));
        assert_eq!(next_pause(millis(1), 0), millis(20));
    }
}
