//! `GET`, `POST` and `DELETE /revocations`: lists, adds and removes revocations.
//!
//! These requests require ADMIN_TOKEN. Without it every client that reaches the listener could sign all users out: on loopback,
//! every program on the machine, and any web page through a form in a browser. A browser never adds a bearer token by itself.

use std::time::Duration;

use gate::Revoked;
use http::header::{CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::explain::decoded;
use crate::clock;
use crate::config::DEFAULT_REALM;
use crate::live::Live;
use crate::revocations::{
    RevocationFields, RevocationRequest, RevocationWatch, RevokeError, read_key, time_of,
};

/// A status, the body's type, and the body.
type Reply = (StatusCode, &'static str, String);

/// Answers a request to list, add or remove revocations.
pub(super) async fn answer(live: &Live, request: Request<Incoming>) -> Reply {
    if live.admin_token.is_none() {
        let why = "set ADMIN_TOKEN: revocations are available only with a token";
        return message(StatusCode::FORBIDDEN, why);
    }
    if request.headers().contains_key(ORIGIN) {
        return message(
            StatusCode::FORBIDDEN,
            "web pages may not access revocations",
        );
    }
    let Some(watch) = &live.revocations else {
        let why = "set REVOCATION_STORE to the store of the revocations; without it, nothing can be revoked";
        return message(StatusCode::NOT_FOUND, why);
    };
    match *request.method() {
        Method::GET => list(watch).await,
        Method::POST => add(live, watch, request).await,
        Method::DELETE => remove(live, watch, request.uri().query().unwrap_or_default()).await,
        _ => message(StatusCode::METHOD_NOT_ALLOWED, "GET, POST and DELETE only"),
    }
}

async fn list(watch: &RevocationWatch) -> Reply {
    match watch.list().await {
        Ok(entries) => {
            let shown: Vec<_> = entries.iter().map(RevocationFields::of).collect();
            json(StatusCode::OK, &json!({ "revocations": shown }))
        }
        Err(error) => failed(&error),
    }
}

/// The JSON body of a request to revoke.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationBody {
    user: Option<String>,
    session: Option<String>,
    all_before: Option<String>,
    realm: Option<String>,
    reason: Option<String>,
    by: Option<String>,
}

async fn add(live: &Live, watch: &RevocationWatch, request: Request<Incoming>) -> Reply {
    let is_json = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    };
    if !request.headers().get(CONTENT_TYPE).is_some_and(is_json) {
        let why = "send JSON, with Content-Type: application/json";
        return message(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    let body = Limited::new(request.into_body(), LONGEST_BODY).collect();
    let Ok(Ok(body)) = timeout(LONGEST_SENDING, body).await else {
        let why = "the body did not arrive in time, or is longer than 16 KiB";
        return message(StatusCode::BAD_REQUEST, why);
    };
    let body: RevocationBody = match serde_json::from_slice(&body.to_bytes()) {
        Ok(body) => body,
        Err(error) => {
            return message(
                StatusCode::BAD_REQUEST,
                &format!("invalid request: {error}"),
            );
        }
    };
    let wanted = match to_request(live, body) {
        Ok(wanted) => wanted,
        Err(what) => return message(StatusCode::UNPROCESSABLE_ENTITY, &what),
    };
    match watch.add(wanted).await {
        Ok(entry) => json(StatusCode::CREATED, &json!(RevocationFields::of(&entry))),
        Err(error) => failed(&error),
    }
}

fn to_request(live: &Live, body: RevocationBody) -> Result<RevocationRequest, String> {
    let all_before = body.all_before.as_deref();
    let before = all_before.map(|text| time_of(text, clock::now()));
    let before = before.transpose();
    let before = before.map_err(|what| format!("`all_before`: {what}"))?;
    let names = "`user`, `session` and `all_before`";
    Ok(RevocationRequest {
        realm: realm(live, body.realm)?,
        what: read_key(body.user, body.session, before.is_some(), names)?,
        before,
        by: body.by.unwrap_or_else(|| "admin listener".to_owned()),
        source: "admin",
        reason: body.reason.unwrap_or_default(),
    })
}

async fn remove(live: &Live, watch: &RevocationWatch, query: &str) -> Reply {
    let (realm, what) = match parse_deletion(live, query) {
        Ok(meant) => meant,
        Err(what) => return message(StatusCode::UNPROCESSABLE_ENTITY, &what),
    };
    match watch.remove(&realm, &what).await {
        Ok(true) => json(StatusCode::OK, &json!({ "removed": true })),
        Ok(false) => message(StatusCode::NOT_FOUND, "there is no such revocation"),
        Err(error) => failed(&error),
    }
}

/// The parameters of a deletion: `user`, `session` or `all=true`; and `realm`.
fn parse_deletion(live: &Live, query: &str) -> Result<(String, Revoked), String> {
    let (mut user, mut session, mut all, mut of_realm) = (None, None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "all" => &mut all,
            "realm" => &mut of_realm,
            "session" => &mut session,
            "user" => &mut user,
            _ => return Err("the parameters are `user`, `session`, `all` and `realm`".to_owned()),
        };
        if place.replace(decoded(value)).is_some() {
            return Err(format!("`{name}` is given twice"));
        }
    }
    let all = match all.as_deref() {
        None => false,
        Some("true") => true,
        Some(_) => return Err("`all` can only be `true`".to_owned()),
    };
    let names = "`user=`, `session=` and `all=true`";
    Ok((realm(live, of_realm)?, read_key(user, session, all, names)?))
}

/// The realm of this name, or the default one.
fn realm(live: &Live, name: Option<String>) -> Result<String, String> {
    let name = name.unwrap_or_else(|| DEFAULT_REALM.to_owned());
    let mut names = live.gate.realms.iter().map(|realm| &*realm.name);
    match names.any(|known| known == name) {
        true => Ok(name),
        false => Err(format!("there is no realm `{}`", name.escape_debug())),
    }
}

fn failed(error: &RevokeError) -> Reply {
    let status = match error {
        RevokeError::Request(_) => StatusCode::UNPROCESSABLE_ENTITY,
        RevokeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    message(status, &error.to_string())
}

fn message(status: StatusCode, what: &str) -> Reply {
    (status, "text/plain; charset=utf-8", format!("{what}\n"))
}

fn json(status: StatusCode, body: &serde_json::Value) -> Reply {
    (status, "application/json", format!("{body}\n"))
}

/// The largest body, in bytes.
const LONGEST_BODY: usize = 16 << 10;
const LONGEST_SENDING: Duration = Duration::from_secs(10);
