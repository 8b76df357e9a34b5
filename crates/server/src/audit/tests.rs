use std::net::Ipv4Addr;

use session::UnixTime;

use super::*;

fn entry<'a>(path: &'a str, user: &'a str) -> AuditEntry<'a> {
    AuditEntry {
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
fn values_cannot_break_the_line() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let audit = Audit {
            format: Some(format),
            ..Audit::without_output()
        };
        audit.record(&entry("/a\"b\n\u{2028}\u{1b}[0m", "x\r\nallow"));
        let text = audit.buffer.text();
        assert_eq!(memchr::memchr_iter(b'\n', &text).count(), 1);
        assert!(!text.contains(&0x1b) && !text.contains(&b'\r'));
    }
}

#[test]
fn a_line_is_json_with_a_time_in_utc() {
    let audit = Audit::without_output();
    audit.record(&entry("/a", "u"));
    let line: serde_json::Value = serde_json::from_slice(&audit.buffer.text()).unwrap();
    assert_eq!(line["ts"], "2030-03-17T17:46:40.123Z");
    assert_eq!(line["user_id"], "u");
}

#[test]
fn line_marks_guests_and_impersonation() {
    let lines = |format, anonymous, impersonated_by| {
        let audit = Audit {
            format: Some(format),
            ..Audit::without_output()
        };
        audit.record(&AuditEntry {
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
fn text_line_has_host_and_route() {
    let audit = Audit {
        format: Some(LogFormat::Text),
        ..Audit::without_output()
    };
    audit.record(&AuditEntry {
        host: "wiki.example\u{202e}",
        rule: Some("pages of \"wiki\""),
        ..entry("/a", "u")
    });
    let text = String::from_utf8(audit.buffer.text()).unwrap();
    let expected = r#"GET wiki.example\u{202e}/a route="pages of \"wiki\"" user=u"#;
    assert!(text.contains(expected), "{text}");
}

#[test]
fn fuller_buffer_is_written_sooner() {
    let millis = Duration::from_millis;
    assert_eq!(next_pause(millis(20), 0), millis(20));
    assert_eq!(next_pause(millis(20), 320 << 10), millis(2));
    assert_eq!(next_pause(millis(2), 32 << 10), millis(2));
    assert_eq!(next_pause(millis(2), 16 << 10), millis(4));
    assert_eq!(next_pause(millis(4), 2 << 20), millis(1));
    assert_eq!(next_pause(millis(1), usize::MAX), millis(1));
    assert_eq!(next_pause(millis(1), 0), millis(20));
}
