//! The reference implementation: what the JavaScript libraries would read in a request, written from the description of the formats and not
//! from the session crate.
//!
//! It is as lax as the libraries are: the first of two cookies, the last of two members, any spelling of base64. Only one thing
//! must never happen: that the session crate opens what this module does not, or reads another user in it.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use session::CacheStrategy;
use sha2::{Sha256, Sha512};

use crate::keys::{self, Key, lax_base64};
use crate::{App, Identity, Kind, Outcome, Request};

/// Reads the request as the application's own library would.
pub fn open(app: &App, request: &Request) -> Outcome {
    // The parser of Auth.js v5 leaves quotes where they are.
    let unquote = matches!(app.kind, Kind::BetterAuth | Kind::NextAuth);
    let cookies = Cookies::parse(&request.cookie, unquote);
    let value = cookies.value(&app.cookie_name).or_else(|| bearer(request));
    let value = value.unwrap_or_default();
    let session = |claims: Option<Map<String, Value>>| claims.and_then(identity);
    match app.kind {
        Kind::AuthJsDatabase => Outcome {
            token: Some(value).filter(|value| !value.is_empty()),
            session: None,
        },
        Kind::AuthJs => Outcome {
            token: None,
            session: session(decrypt(
                &value,
                |header| authjs_key(app, header),
                request.now,
            )),
        },
        Kind::NextAuth => Outcome {
            token: None,
            session: session(decrypt(
                &value,
                |header| nextauth_key(app, header),
                request.now,
            )),
        },
        Kind::BetterAuth => {
            let token = signed_token(app, &value);
            let data = cookies.value(&app.data_name);
            let session = token.as_ref().zip(data);
            let session = session.and_then(|(token, data)| cached(app, token, &data, request.now));
            Outcome { token, session }
        }
    }
}

/// The pairs of a `Cookie` header, without quotes and percent-encoding.
struct Cookies(Vec<(String, String)>);

impl Cookies {
    fn parse(header: &[u8], unquote: bool) -> Self {
        let header: String = header.iter().copied().map(char::from).collect();
        let blank = [' ', '\t'];
        let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(name, value)| {
            let value = value.trim_matches(blank);
            let quoted = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            let value = quoted.filter(|_| unquote).unwrap_or(value);
            (name.trim_matches(blank).to_owned(), decode_uri(value))
        });
        Self(pairs.collect())
    }

    /// The value of the cookie with this name, joined with its chunks. Empty values are ignored.
    fn value(&self, name: &str) -> Option<String> {
        let mut parts: Vec<(i64, &str)> = Vec::new();
        for (own, value) in &self.0 {
            let number = match own.strip_prefix(name) {
                Some("") => Some(-1),
                Some(suffix) => suffix
                    .strip_prefix('.')
                    .filter(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
                    .and_then(|number| number.parse().ok()),
                None => None,
            };
            let seen = |number: &i64| parts.iter().any(|(other, _)| other == number);
            if let Some(number) = number.filter(|number| !seen(number) && !value.is_empty()) {
                parts.push((number, value));
            }
        }
        parts.sort_unstable();
        let value: String = parts.into_iter().map(|(_, value)| value).collect();
        Some(value).filter(|value| !value.is_empty())
    }
}

fn bearer(request: &Request) -> Option<String> {
    let header = request.authorization.as_ref()?;
    let header: String = header.iter().copied().map(char::from).collect();
    let mut words = header.split(' ');
    // The library demands the capital letter. RFC 9110 §11.1 does not, and neither does the gate.
    let is_bearer = words.next()?.eq_ignore_ascii_case("Bearer");
    is_bearer.then(|| words.next().map(decode_uri))?
}

/// Decodes as `decodeURIComponent` does; returns the text itself when that fails.
fn decode_uri(text: &str) -> String {
    let decoded = || {
        let mut pieces = text.split('%');
        let mut bytes = pieces.next()?.as_bytes().to_vec();
        for piece in pieces {
            let digits = piece
                .get(..2)
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            bytes.extend_from_slice(&piece.as_bytes()[2..]);
        }
        String::from_utf8(bytes).ok()
    };
    decoded().unwrap_or_else(|| text.to_owned())
}

/// The claims of a compact JWE under `dir`; `None` when it does not open, or is not valid at `now`.
fn decrypt(
    token: &str,
    key_for: impl FnOnce(&Map<String, Value>) -> Option<Vec<Key>>,
    now: u64,
) -> Option<Map<String, Value>> {
    let segments: Vec<&str> = token.split('.').collect();
    let [header_text, "", iv, text, tag] = segments[..] else {
        return None;
    };
    let header: Map<String, Value> = serde_json::from_slice(&lax_base64(header_text)).ok()?;
    if header.get("alg")? != "dir" || header.contains_key("crit") || header.contains_key("zip") {
        return None;
    }
    let [iv, text, tag] = [iv, text, tag].map(lax_base64);
    let keys = key_for(&header)?;
    let claims = keys
        .iter()
        .find_map(|key| key.open(header_text, &iv, &text, &tag))?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    let repeated = ["iss", "sub", "aud"]
        .into_iter()
        .filter(|name| header.contains_key(*name));
    for name in repeated {
        if !same(header.get(name)?, claims.get(name)?) {
            return None;
        }
    }
    in_time(&claims, now, 15.0).then_some(claims)
}

fn authjs_key(app: &App, header: &Map<String, Value>) -> Option<Vec<Key>> {
    let len = match header.get("enc")?.as_str()? {
        "A256CBC-HS512" => 64,
        "A256GCM" => 32,
        _ => return None,
    };
    let mut keys = app
        .secrets
        .iter()
        .map(|secret| Key::authjs(secret, &app.salt, len));
    let key = match header.get("kid") {
        None => keys.next(),
        Some(kid) => keys.find(|key| match len {
            64 => *kid == key.kid::<Sha512>(),
            _ => *kid == key.kid::<Sha256>(),
        }),
    };
    Some(vec![key?])
}

fn nextauth_key(app: &App, header: &Map<String, Value>) -> Option<Vec<Key>> {
    (header.get("enc")? == "A256GCM").then(|| vec![Key::nextauth(&app.secrets[0])])
}

fn better_auth_keys(app: &App, header: &Map<String, Value>) -> Option<Vec<Key>> {
    if header.get("enc")? != "A256CBC-HS512" {
        return None;
    }
    let keys = app.secrets.iter().map(|secret| Key::better_auth(secret));
    match header.get("kid") {
        None => Some(keys.collect()),
        Some(kid) => Some(vec![
            keys.into_iter().find(|key| *kid == key.kid::<Sha256>())?,
        ]),
    }
}

fn signed_token(app: &App, value: &str) -> Option<String> {
    let (token, signature) = value.rsplit_once('.')?;
    let good = lax_base64(signature) == keys::sign(&app.secrets[0], token.as_bytes());
    good.then(|| token.to_owned())
}

/// Better Auth's cached session, in any of the three strategies.
fn cached(app: &App, token: &str, data: &str, now: u64) -> Option<Identity> {
    let now_millis = (now * 1000) as f64;
    let strategy = match data.matches('.').count() {
        0 => CacheStrategy::Compact,
        2 => CacheStrategy::Jwt,
        _ => CacheStrategy::Jwe,
    };
    if app.strategy.is_some_and(|only| only != strategy) {
        return None;
    }
    let payload = match strategy {
        CacheStrategy::Compact => compact(app, data)
            .filter(|cache| number(cache, "expiresAt").is_some_and(|end| end >= now_millis))?,
        CacheStrategy::Jwt => jwt(app, data).filter(|claims| in_time(claims, now, 0.0))?,
        CacheStrategy::Jwe => decrypt(data, |header| better_auth_keys(app, header), now)
            .filter(|claims| number(claims, "exp").is_none_or(|exp| exp * 1000.0 >= now_millis))?,
    };
    let (session, user) = (payload.get("session")?, payload.get("user")?);
    let text = |object: &Value, name: &str| object.get(name)?.as_str().map(str::to_owned);
    number(&payload, "updatedAt")?;
    let version = match payload.get("version") {
        None => "1",
        Some(Value::String(version)) if version.is_empty() => "1",
        Some(version) => version.as_str()?,
    };
    text(session, "id")?;
    session.get("userId")?;
    let ends = date(session.get("expiresAt")?.as_str()?)?;
    let current = session.get("token")? == token && version == app.version && ends >= now * 1000;
    current.then_some(Identity {
        subject: text(user, "id")?,
        email: Some(text(user, "email")?),
        name: Some(text(user, "name")?),
        ends,
        claims: payload,
    })
}

/// Verifies the strategy `compact`. The library serializes the parsed session again and signs that. This function signs the
/// session's own bytes, as `RawValue` finds them.
fn compact(app: &App, data: &str) -> Option<Map<String, Value>> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Compact<'c> {
        #[serde(borrow)]
        session: &'c RawValue,
        #[serde(borrow)]
        expires_at: &'c RawValue,
        signature: String,
    }
    let data = lax_base64(data);
    let compact: Compact<'_> = serde_json::from_slice(&data).ok()?;
    let (members, end) = (
        compact.session.get().strip_suffix('}')?,
        compact.expires_at.get(),
    );
    let signed = format!(r#"{members},"expiresAt":{end}}}"#);
    if lax_base64(&compact.signature) != keys::sign(&app.secrets[0], signed.as_bytes()) {
        return None;
    }
    serde_json::from_str(&signed).ok()
}

fn jwt(app: &App, data: &str) -> Option<Map<String, Value>> {
    let (signed, signature) = data.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Map<String, Value> = serde_json::from_slice(&lax_base64(header)).ok()?;
    let good = header.get("alg")? == "HS256"
        && lax_base64(signature) == keys::sign(&app.secrets[0], signed.as_bytes());
    serde_json::from_slice(&lax_base64(claims))
        .ok()
        .filter(|_| good)
}

/// The session in the claims of Auth.js or NextAuth. A gate demands `sub` and `exp`, so the reference implementation does as well.
fn identity(claims: Map<String, Value>) -> Option<Identity> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let subject = match claims.get("sub")? {
        Value::String(id) => id.clone(),
        // Which numbers are accepted as ids is the gate's own rule. The text of an integer is the same for every implementation.
        id => id.as_i64()?.to_string(),
    };
    Some(Identity {
        subject,
        email: text("email"),
        name: text("name"),
        ends: (number(&claims, "exp")? * 1000.0) as u64,
        claims,
    })
}

/// `jose`'s rules about times: numbers, compared in whole seconds.
fn in_time(claims: &Map<String, Value>, now: u64, tolerance: f64) -> bool {
    let times = ["exp", "nbf", "iat"];
    let numbers = times
        .iter()
        .all(|name| claims.get(*name).is_none_or(Value::is_number));
    let now = now as f64;
    numbers
        && number(claims, "exp").is_none_or(|exp| exp > now - tolerance)
        && number(claims, "nbf").is_none_or(|nbf| nbf <= now + tolerance)
}

fn number(claims: &Map<String, Value>, name: &str) -> Option<f64> {
    claims.get(name).and_then(Value::as_f64)
}

/// Whether two values are equal as in JavaScript, where all numbers are floats.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// The milliseconds since the epoch of `YYYY-MM-DDThh:mm:ss[.f…]Z`; 0 for a date before the epoch.
fn date(text: &str) -> Option<u64> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_at_checked(19)?;
    let part = |range: std::ops::Range<usize>| whole.get(range)?.parse::<i64>().ok();
    let [year, month, day] = [part(0..4)?, part(5..7)?, part(8..10)?];
    let [hour, minute, second] = [part(11..13)?, part(14..16)?, part(17..19)?];
    let february = if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) {
        29
    } else {
        28
    };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month_index = usize::try_from(month - 1).ok()?;
    let exists =
        (1..=*lengths.get(month_index)?).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let fraction = if fraction.is_empty() { "." } else { fraction };
    let millis = format!("{:0<3}", fraction.strip_prefix('.')?);
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let days = (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
        + lengths[..month_index].iter().sum::<i64>()
        + day
        - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let millis = seconds * 1000 + millis.get(..3)?.parse::<i64>().ok()?;
    exists.then(|| u64::try_from(millis).unwrap_or(0))
}
