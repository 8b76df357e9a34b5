//! The initial inputs of the fuzz targets: the vectors of the session crate, and a few messages.

mod wire;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::step::root;

/// Writes the inputs of each target that has any into a folder of its own below `folder`.
///
/// The targets have a fixed secret, so their inputs are the claims of sessions, which they seal again with that secret.
///
/// # Errors
/// When the vectors cannot be read, or a file cannot be written.
pub(crate) fn plant(folder: &Path) -> Result<()> {
    let texts = [
        ("requests", &REQUESTS[..]),
        ("answers", &ANSWERS),
        ("routes", &ROUTES),
    ];
    let texts = texts.into_iter().map(|(target, messages)| {
        let messages = messages.iter().map(|message| message.as_bytes());
        (target, messages.collect())
    });
    let bytes = wire::INPUTS.map(|(target, messages)| (target, messages.to_vec()));
    let all: Vec<(&str, Vec<&[u8]>)> = texts.chain(bytes).collect();
    for (target, messages) in all {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, message) in messages.iter().enumerate() {
            std::fs::write(folder.join(number.to_string()), message)?;
        }
    }
    let vectors = std::fs::read(root().join("crates/session/tests/data/sessions.json"))?;
    let vectors: Vec<Map<String, Value>> = serde_json::from_slice(&vectors)?;
    for (number, vector) in vectors.iter().enumerate() {
        let write = |target: &str, seed: &str| -> Result<()> {
            let folder = folder.join(target);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(number.to_string()), seed)?;
            Ok(())
        };
        let text = |name: &str| vector.get(name).and_then(Value::as_str);
        let cookie = text("cookie_header").context("a vector without cookies")?;
        let format = text("format").context("a vector without a format")?;
        write("cookies", cookie)?;
        for pair in cookie.split("; ") {
            let (_, value) = pair.split_once('=').unwrap_or_default();
            match (value.matches('.').count(), format) {
                (4, _) => write("jwe", value)?,
                (2, "better-auth-jwt") => write("better_auth_jwt", value)?,
                (1, "better-auth-signed-token") => write("better_auth_token", value)?,
                (0, "better-auth-compact") => write("better_auth_compact", value)?,
                _ => {}
            }
        }
        let Some(claims) = vector.get("claims").and_then(Value::as_object) else {
            continue;
        };
        let now = vector.get("now").and_then(Value::as_i64);
        let claims = moved_to_fixed_time(claims, now.context("a vector without a time")?);
        let mut session = claims.clone();
        let end = session.remove("expiresAt").unwrap_or_default();
        let [claims, session] = [claims, session].map(|members| Value::from(members).to_string());
        let (seal, header) = match format {
            "authjs-v5" => ("a", ""),
            "authjs-v5-a256gcm" => ("g", ""),
            "better-auth-compact" => ("c", &*end.to_string()),
            "better-auth-jwe" => ("e", ""),
            "better-auth-jwt" => ("j", r#"{"alg":"HS256"}"#),
            "nextauth-v4" => ("n", r#"{"alg":"dir","enc":"A256GCM"}"#),
            _ => continue,
        };
        let inside = if seal == "c" { &session } else { &claims };
        match seal {
            "c" => write("better_auth_compact", &format!("{header}\n{inside}"))?,
            "j" => write("better_auth_jwt", &format!("{header}\n{inside}"))?,
            "n" => {
                write("claims", inside)?;
                let claims = inside.replacen('{', r#"{"iss":"i","aud":"a","#, 1);
                write("jwt", &format!("{}\n{claims}", r#"{"alg":"HS256"}"#))?;
            }
            _ => {}
        }
        let name = match seal {
            "a" | "g" => "authjs.session-token",
            "n" => "next-auth.session-token",
            _ => "better-auth.session_token=$; better-auth.session_data",
        };
        // In turn: a whole cookie, a cookie in chunks, a Bearer value.
        let chunk = name.rsplit(' ').next().unwrap_or_default();
        let (cookie, authorization) = match number % 3 {
            0 => (format!("theme=dark; {name}=@"), ""),
            1 => (format!("{name}.0=<; {chunk}.1=>"), ""),
            _ => (String::new(), "Bearer @"),
        };
        let lines = [seal, header, inside, &cookie, authorization];
        write("differential", &lines.join("\n"))?;
    }
    Ok(())
}

/// The claims as the targets need them: with times moved to the fixed time of the targets, and with the targets' token if they
/// contain a Better Auth session.
fn moved_to_fixed_time(claims: &Map<String, Value>, now: i64) -> Map<String, Value> {
    let move_by = |name: &str| match name {
        "exp" | "iat" | "nbf" => NOW - now,
        "expiresAt" => (NOW - now) * 1000,
        _ => 0,
    };
    let moved = claims.iter().map(|(name, value)| {
        let mut value = match value.as_i64() {
            Some(time) => Value::from(time + move_by(name)),
            None => value.clone(),
        };
        if let (Value::Object(session), "session") = (&mut value, name.as_str()) {
            session.insert("token".to_owned(), TOKEN.into());
        }
        (name.clone(), value)
    });
    moved.collect()
}

// The first byte is the size of the pieces in which the rest arrives.
const REQUESTS: [&str; 4] = [
    "\x07GET /a?b HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\n\r\n",
    "\x01POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGET * HTTP/1.0\r\n\r\n",
    "\x03\r\nPUT http://a/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0\r\nA: b\r\n\r\n",
    "\x20GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close, x\r\n\r\n",
];
const ANSWERS: [&str; 3] = [
    "\x07HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "\x01HTTP/1.1 404 Not Found\nTransfer-Encoding: chunked\n\n2\r\nab\r\n0\r\n\r\n",
    "\x03HTTP/1.0 304\r\nConnection: keep-alive\r\nDate: x\r\n\r\n",
];

// The first byte selects the host and the method.
const ROUTES: [&str; 6] = [
    "\x00/a/b/x",
    "\x01/a/x/c",
    "\x02/a%2fb/%2e%2e/admin/",
    "\x03//a/..;x=1/admin",
    "\x04///host/admin\\..\\b#c",
    "\x05/%252e%252e/%c0%ae/\u{ff0e}\u{ff0e}/b/",
];

// As in `fuzz/src/case.rs`.
const NOW: i64 = 1_893_456_000;
const TOKEN: &str = "0123456789abcdefghijklmnopqrstuv";
