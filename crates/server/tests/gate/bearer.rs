//! Machines and APIs: signed tokens of a configured issuer, also while its keys change.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use harness::{Certificates, Echo, Gate, GateCommand, Mint, Request, mint};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::{gate, sqlite};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "orders-api";
const SECRET: &str = "bearer-secret-0c2mB7vXq9TzR4sLkW8nYd1JhF5gPa3E";

/// A key of the issuer.
pub(crate) struct Key {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    pub(crate) fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let pair = pair.expect("a key pair can be made");
        Self { kid, pair }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": x, "y": y })
    }

    fn sign(&self, claims: &Value) -> Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.to_owned());
        let pkcs8 = self.pair.to_pkcs8v1()?;
        Ok(encode(
            &header,
            claims,
            &EncodingKey::from_ec_der(pkcs8.as_ref()),
        )?)
    }

    /// Returns a valid token.
    pub(crate) fn token(&self) -> Result<String> {
        self.sign(&claims())
    }
}

fn jwks(keys: &[&Key]) -> String {
    let jwks: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": jwks }).to_string()
}

fn claims() -> Value {
    let now = mint::now();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "billing-job", "email": "billing@example.com",
        "iat": now, "exp": now + 300
    })
}

fn signed_by_secret(claims: &Value) -> Result<String> {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Ok(encode(&Header::default(), claims, &key)?)
}

/// The issuer's server. It gives every request the same answer, and counts them.
pub(crate) struct Publisher {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<String>>,
    fetches: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Publisher {
    async fn start(keys: &[&Key]) -> Result<Self> {
        Self::start_with(keys, None).await
    }

    pub(crate) async fn start_with(keys: &[&Key], tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answer = Arc::new(Mutex::new(String::new()));
        let fetches = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let shared = (Arc::clone(&answer), Arc::clone(&fetches));
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust the certificate or disconnects is no error of this server.
                let _ = match &tls {
                    None => answer_request(stream, &shared).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => answer_request(stream, &shared).await,
                        Err(error) => Err(error.into()),
                    },
                };
            }
        });
        let publisher = Self {
            address,
            answer,
            fetches,
            _tasks: tasks,
        };
        publisher.publish(&jwks(keys));
        Ok(publisher)
    }

    fn publish(&self, body: &str) {
        self.answer_with("200 OK", "Content-Type: application/json", body);
    }

    fn answer_with(&self, status: &str, field: &str, body: &str) {
        let length = body.len();
        *self.answer.lock().expect("no panic while the lock is held") =
            format!("HTTP/1.1 {status}\r\n{field}\r\nContent-Length: {length}\r\n\r\n{body}");
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }
}

async fn answer_request(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    (answer, fetches): &(Arc<Mutex<String>>, Arc<AtomicUsize>),
) -> Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    fetches.fetch_add(1, Ordering::SeqCst);
    let answer = answer
        .lock()
        .expect("no panic while the lock is held")
        .clone();
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// Returns the command of a gate that accepts the issuer's tokens.
pub(crate) fn gate_with_issuer(echo: &Echo) -> GateCommand {
    gate(&echo.url())
        .env("BEARER_ISSUER", ISSUER)
        .env("BEARER_AUDIENCE", AUDIENCE)
}

/// Starts a gate that accepts the issuer's tokens, and waits until it has fetched the published keys.
async fn gate_with_keys(echo: &Echo, publisher: &Publisher) -> Result<Gate> {
    let command = gate_with_issuer(echo).env("BEARER_JWKS", publisher.url());
    let gate = command.start().await?;
    wait_for_refreshes(&gate, "ok", 1.0).await?;
    Ok(gate)
}

/// Waits until the gate has counted this many attempts to fetch the keys.
async fn wait_for_refreshes(gate: &Gate, result: &str, times: f64) -> Result<()> {
    let label = format!("result=\"{result}\"");
    harness::poll("the keys to be fetched", async || {
        let name = "sessiongate_jwks_refreshes_total";
        let count = gate.metric(name, [label.as_str()]).await.ok()?;
        (count >= times).then_some(())
    })
    .await
}

fn with_bearer(token: &str) -> Request {
    Request::get("/orders").header("Authorization", format!("Bearer {token}"))
}

/// The status of a request with this token, and its audit line.
async fn status_and_audit_line(gate: &Gate, token: &str) -> Result<(u16, Value)> {
    let answer = gate.send(&with_bearer(token)).await?;
    let id = answer.header("x-request-id").context("an id")?.to_owned();
    let line = gate
        .wait_for_audit(|line| line["request_id"] == id.as_str())
        .await?;
    Ok((answer.status, line))
}

/// Returns the status of a request with this token, and the reason in its audit line.
pub(crate) async fn outcome(gate: &Gate, token: &str) -> Result<(u16, String)> {
    let (status, line) = status_and_audit_line(gate, token).await?;
    Ok((
        status,
        line["reason"].as_str().unwrap_or_default().to_owned(),
    ))
}

fn session() -> (u16, String) {
    (200, "session".to_owned())
}

fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

#[tokio::test]
async fn a_token_signed_with_a_published_key_enters_with_its_identity() -> Result<()> {
    let (echo, key) = (Echo::start().await?, Key::new("2030-01"));
    let publisher = Publisher::start(&[&key]).await?;
    let gate = gate_with_issuer(&echo)
        .env("BEARER_JWKS", publisher.url())
        .start()
        .await?;
    // No wait is needed: the first token waits for the keys.
    let (status, line) = status_and_audit_line(&gate, &key.token()?).await?;
    assert_eq!(status, 200, "{line}");
    assert_eq!(
        (&line["cred"], &line["user_id"]),
        (&json!("jwt"), &json!("billing-job"))
    );
    let seen = echo.only();
    assert_eq!(seen.headers.get("x-user-id"), Some("billing-job"));
    assert_eq!(
        seen.headers.get("x-user-email"),
        Some("billing@example.com")
    );
    assert_eq!(seen.headers.get("x-user-name"), Some(""));
    Ok(())
}

#[tokio::test]
async fn a_token_with_wrong_claims_or_signature_is_refused() -> Result<()> {
    let (echo, key) = (Echo::start().await?, Key::new("2030-01"));
    let publisher = Publisher::start(&[&key]).await?;
    let gate = gate_with_keys(&echo, &publisher).await?;
    let past = mint::now() - 60;
    for (name, value, reason) in [
        ("aud", json!("billing-api"), "wrong_audience"),
        ("aud", json!(null), "wrong_audience"),
        (
            "iss",
            json!("https://issuer.example.attacker"),
            "wrong_issuer",
        ),
        ("iss", json!(null), "wrong_issuer"),
        ("exp", json!(past), "expired"),
        ("sub", json!(""), "missing_subject"),
    ] {
        let mut claims = claims();
        claims[name] = value;
        let outcome = outcome(&gate, &key.sign(&claims)?).await?;
        assert_eq!(outcome, refused(401, reason), "{claims}");
    }
    let impostor = Key::new("2030-01").token()?;
    assert_eq!(
        outcome(&gate, &impostor).await?,
        refused(401, "rejected_signature")
    );
    let by_hmac = signed_by_secret(&claims())?;
    assert_eq!(
        outcome(&gate, &by_hmac).await?,
        refused(401, "unsupported_algorithm")
    );
    assert!(echo.seen().is_empty());
    assert_eq!(publisher.fetches(), 1, "none of these causes a fetch");
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() -> Result<()> {
    let (echo, old, new) = (Echo::start().await?, Key::new("old"), Key::new("new"));
    let publisher = Publisher::start(&[&old]).await?;
    let gate = gate_with_keys(&echo, &publisher).await?;
    assert_eq!(outcome(&gate, &old.token()?).await?, session());
    assert_eq!(publisher.fetches(), 1);
    publisher.publish(&jwks(&[&new]));
    assert_eq!(outcome(&gate, &new.token()?).await?, session());
    assert_eq!(publisher.fetches(), 2);
    // The withdrawn key is no longer valid.
    assert_eq!(
        outcome(&gate, &old.token()?).await?,
        refused(401, "unknown_key")
    );
    Ok(())
}

#[tokio::test]
async fn a_new_key_is_fetched_despite_tokens_with_invented_keys() -> Result<()> {
    let (echo, old, new) = (Echo::start().await?, Key::new("old"), Key::new("new"));
    let publisher = Publisher::start(&[&old]).await?;
    let gate = gate_with_keys(&echo, &publisher).await?;
    // Each key name uses up a budget of its own.
    for name in ["guess-1", "guess-2"] {
        let guess = Key::new(name).token()?;
        for _ in 0..3 {
            let unknown = refused(401, "unknown_key");
            assert_eq!(outcome(&gate, &guess).await?, unknown, "{name}");
        }
    }
    assert_eq!(
        publisher.fetches(),
        3,
        "once at start-up, and once for each name"
    );
    publisher.publish(&jwks(&[&new]));
    assert_eq!(outcome(&gate, &new.token()?).await?, session());
    assert_eq!(publisher.fetches(), 4);
    Ok(())
}

#[tokio::test]
async fn unknown_keys_cannot_make_the_gate_flood_the_issuer() -> Result<()> {
    let (echo, key, other) = (Echo::start().await?, Key::new("known"), Key::new("unknown"));
    let publisher = Publisher::start(&[&key]).await?;
    let gate = gate_with_keys(&echo, &publisher).await?;
    let token = other.token()?;
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (mut client, request) = (gate.connect().await?, with_bearer(&token));
        clients.spawn(async move {
            for _ in 0..25 {
                assert_eq!(client.send(&request).await?.status, 401);
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    // One request at start-up, one for all unknown keys, and one for every ten seconds that this machine may have needed.
    assert!(
        (2..=6).contains(&publisher.fetches()),
        "{}",
        publisher.fetches()
    );
    assert_eq!(outcome(&gate, &key.token()?).await?, session());
    Ok(())
}

#[tokio::test]
async fn the_keys_are_kept_if_the_issuer_is_down_or_sends_nonsense() -> Result<()> {
    let (echo, key, other) = (Echo::start().await?, Key::new("known"), Key::new("unknown"));
    let twice = json!({ "keys": [other.jwk(), other.jwk()] }).to_string();
    for (status, body) in [
        ("500 Oops", ""),
        ("200 OK", "<html>Sign in to the hotel's network</html>"),
        ("200 OK", &twice),
        ("200 OK", &" ".repeat(300_000)),
    ] {
        let publisher = Publisher::start(&[&key]).await?;
        let gate = gate_with_keys(&echo, &publisher).await?;
        publisher.answer_with(status, "X-Test: 1", body);
        let unknown = refused(401, "unknown_key");
        assert_eq!(outcome(&gate, &other.token()?).await?, unknown, "{status}");
        assert_eq!(publisher.fetches(), 2);
        wait_for_refreshes(&gate, "failed", 1.0).await?;
        assert_eq!(outcome(&gate, &key.token()?).await?, session(), "{status}");
    }
    let publisher = Publisher::start(&[&key]).await?;
    let gate = gate_with_keys(&echo, &publisher).await?;
    drop(publisher);
    assert_eq!(
        outcome(&gate, &other.token()?).await?,
        refused(401, "unknown_key")
    );
    assert_eq!(outcome(&gate, &key.token()?).await?, session());
    let warned = |lines: &[String]| {
        let about_keys = |line: &&String| line.contains("the issuer's keys cannot be fetched");
        lines.iter().filter(about_keys).count()
    };
    assert_eq!(warned(&gate.stderr().all()), 1);
    Ok(())
}

#[tokio::test]
async fn tokens_get_503_until_keys_have_been_fetched_once() -> Result<()> {
    let (echo, key) = (Echo::start().await?, Key::new("known"));
    let good = Publisher::start(&[&key]).await?;
    let redirecting = Publisher::start(&[]).await?;
    redirecting.answer_with("302 Found", &format!("Location: {}", good.url()), "");
    let unreachable = format!("http://127.0.0.1:{}/jwks.json", harness::free_port());
    for url in [unreachable, redirecting.url()] {
        let gate = gate_with_issuer(&echo)
            .env("BEARER_JWKS", &url)
            .start()
            .await?;
        let unavailable = refused(503, "issuer_unavailable");
        assert_eq!(outcome(&gate, &key.token()?).await?, unavailable, "{url}");
        // Sessions do not need the issuer.
        let session = Request::get("/").cookie(Mint::user("ada").authjs());
        assert_eq!(gate.send(&session).await?.status, 200);
    }
    assert_eq!(good.fetches(), 0, "redirects are not followed");
    Ok(())
}

#[tokio::test]
async fn an_issuer_is_reached_over_tls_and_verified() -> Result<()> {
    let (echo, key) = (Echo::start().await?, Key::new("2030-01"));
    let (folder, strangers) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let certificates = Certificates::make(folder.path()).await?;
    let stranger = Certificates::make(strangers.path()).await?;
    let publisher = Publisher::start_with(&[&key], Some(acceptor(&certificates)?)).await?;
    let command = gate_with_issuer(&echo).env(
        "BEARER_JWKS",
        format!("https://{}/jwks.json", publisher.address),
    );
    let trusting = |authority: &Path| {
        let command = command.clone();
        command.env("BEARER_JWKS_CA_FILE", authority.display().to_string())
    };
    let gate = trusting(&certificates.authority).start().await?;
    assert_eq!(outcome(&gate, &key.token()?).await?, session());
    for command in [trusting(&stranger.authority), command.clone()] {
        let gate = command.start().await?;
        let unavailable = refused(503, "issuer_unavailable");
        assert_eq!(outcome(&gate, &key.token()?).await?, unavailable);
    }
    assert_eq!(publisher.fetches(), 1);
    Ok(())
}

pub(crate) fn acceptor(certificates: &Certificates) -> Result<TlsAcceptor> {
    let chain = vec![CertificateDer::from_pem_file(&certificates.certificate)?];
    let key = PrivateKeyDer::from_pem_file(&certificates.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_shared_secret_and_a_file_of_keys_work_together() -> Result<()> {
    let (echo, key, new) = (Echo::start().await?, Key::new("in-file"), Key::new("later"));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks(&[&key]))?;
    let gate = gate_with_issuer(&echo)
        .env("BEARER_SECRET", SECRET)
        .env("BEARER_JWKS", file.display().to_string())
        .start()
        .await?;
    assert_eq!(outcome(&gate, &key.token()?).await?, session());
    assert_eq!(
        outcome(&gate, &signed_by_secret(&claims())?).await?,
        session()
    );
    std::fs::write(&file, jwks(&[&new]))?;
    assert_eq!(outcome(&gate, &new.token()?).await?, session());
    assert_eq!(
        outcome(&gate, &signed_by_secret(&claims())?).await?,
        session()
    );
    Ok(())
}

#[tokio::test]
async fn a_session_cookie_takes_precedence_over_a_token() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate_with_issuer(&echo)
        .env("BEARER_SECRET", SECRET)
        .start()
        .await?;
    let token = signed_by_secret(&claims())?;
    let beside = with_bearer(&token).cookie(Mint::user("ada").authjs());
    assert_eq!(gate.send(&beside).await?.status, 200);
    assert_eq!(echo.only().headers.get("x-user-id"), Some("ada"));
    let expired = with_bearer(&token).cookie(Mint::user("ada").expiring_in(-60).authjs());
    assert_eq!(gate.send(&expired).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn a_token_is_forwarded_unless_sessions_are_removed() -> Result<()> {
    let token = signed_by_secret(&claims())?;
    for (forward, travels) in [("true", true), ("false", false)] {
        let echo = Echo::start().await?;
        let gate = gate_with_issuer(&echo)
            .env("BEARER_SECRET", SECRET)
            .env("FORWARD_SESSION_COOKIE", forward)
            .start()
            .await?;
        assert_eq!(outcome(&gate, &token).await?, session());
        let passed_on = echo.only().headers.get("authorization").is_some();
        assert_eq!(passed_on, travels);
    }
    Ok(())
}

#[tokio::test]
async fn the_token_subject_must_be_a_user_unless_the_check_is_off() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("users.db");
    let users = "CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada');";
    sqlite(&file, users).await?;
    let echo = Echo::start().await?;
    let checking = gate_with_issuer(&echo)
        .env("BEARER_SECRET", SECRET)
        .env("ENABLE_DB_CHECK", "true")
        .env("DATABASE_URL", format!("sqlite://{}", file.display()));
    let trusting = checking
        .clone()
        .env("BEARER_CHECK_USER", "false")
        .start()
        .await?;
    let checking = checking.start().await?;

    let machine = signed_by_secret(&claims())?;
    let mut of_ada = claims();
    of_ada["sub"] = json!("ada");
    let of_ada = signed_by_secret(&of_ada)?;
    assert_eq!(
        outcome(&checking, &machine).await?,
        refused(403, "user_missing")
    );
    assert_eq!(outcome(&checking, &of_ada).await?, session());
    let (status, line) = status_and_audit_line(&trusting, &machine).await?;
    assert_eq!((status, &line["user_check"]), (200, &json!("skipped")));
    // Sessions are still checked.
    let stranger = Request::get("/").cookie(Mint::user("eve").authjs());
    assert_eq!(trusting.send(&stranger).await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn without_an_issuer_tokens_are_ignored() -> Result<()> {
    let echo = Echo::start().await?;
    let gate = gate(&echo.url()).start().await?;
    let outcome = outcome(&gate, &signed_by_secret(&claims())?).await?;
    assert_eq!(outcome, refused(401, "malformed_token"));
    Ok(())
}

#[tokio::test]
async fn invalid_bearer_settings_are_refused_at_start_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| -> Result<String> {
        let file = folder.path().join(name);
        std::fs::write(&file, text)?;
        Ok(file.display().to_string())
    };
    let useless = write("useless.json", r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#)?;
    let garbage = write("garbage.json", "not JSON")?;
    let good = write("good.json", &jwks(&[&Key::new("good")]))?;
    let echo = Echo::start().await?;
    for (name, value, printed) in [
        (
            "BEARER_SECRET",
            "too short",
            "BEARER_SECRET: the secret has only 9 bytes",
        ),
        (
            "BEARER_JWKS",
            "/nonexistent/jwks.json",
            "BEARER_JWKS: No such file",
        ),
        (
            "BEARER_JWKS",
            &garbage,
            "BEARER_JWKS: the JWKS is not a strict JSON object",
        ),
        (
            "BEARER_JWKS",
            &useless,
            "BEARER_JWKS: the JWKS has no public key",
        ),
        (
            "BEARER_JWKS",
            "http://issuer.example/jwks",
            "plain http is allowed only to this machine",
        ),
        (
            "BEARER_JWKS",
            "ftp://issuer.example/jwks",
            "give a file or a URL",
        ),
        ("BEARER_JWKS_CA_FILE", &garbage, "BEARER_JWKS_CA_FILE"),
        ("BEARER_CHECK_USER", "perhaps", "BEARER_CHECK_USER"),
    ] {
        let finished = gate_with_issuer(&echo)
            .env(name, value)
            .args(["check-config"])
            .run()
            .await?;
        assert!(!finished.status.success(), "{name}={value}");
        assert!(
            finished.stderr.contains(printed),
            "{name}={value}: {}",
            finished.stderr
        );
        assert!(
            !finished.stderr.contains("too short"),
            "{}",
            finished.stderr
        );
    }
    for (missing, claim) in [("BEARER_ISSUER", "`iss`"), ("BEARER_AUDIENCE", "`aud`")] {
        let command = gate_with_issuer(&echo)
            .env("BEARER_JWKS", good.as_str())
            .without(missing);
        let stderr = command.args(["check-config"]).run().await?.stderr;
        assert!(
            stderr.contains(missing) && stderr.contains(claim),
            "{stderr}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_reload_fetches_the_jwks_again_and_keeps_the_keys_if_that_fails() -> Result<()> {
    let (echo, key) = (Echo::start().await?, Key::new("known"));
    let publisher = Publisher::start(&[&key]).await?;
    let folder = tempfile::tempdir()?;
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET)?;
    let gate = gate_with_issuer(&echo)
        .env("BEARER_JWKS", publisher.url())
        .env("BEARER_SECRET_FILE", secret.to_str().context("a path")?)
        .start()
        .await?;
    wait_for_refreshes(&gate, "ok", 1.0).await?;
    let by_secret = signed_by_secret(&claims())?;

    std::fs::write(&secret, SECRET.repeat(2))?;
    publisher.answer_with("500 Oops", "X-Test: 1", "");
    gate.signal("HUP")?;
    let refused = |line: &str| line.contains("the reload failed").then(|| line.to_owned());
    let line = gate.stderr().wait_for(refused).await?;
    assert!(line.contains("BEARER_JWKS"), "{line}");
    assert_eq!(outcome(&gate, &key.token()?).await?, session());
    assert_eq!(outcome(&gate, &by_secret).await?, session());

    publisher.publish(&jwks(&[&key]));
    gate.signal("HUP")?;
    let reloaded = |line: &str| line.contains("reloaded").then(|| line.to_owned());
    let line = gate.stderr().wait_for(reloaded).await?;
    assert!(line.contains("BEARER_SECRET"), "{line}");
    assert_eq!(outcome(&gate, &key.token()?).await?, session());
    assert_eq!(status_and_audit_line(&gate, &by_secret).await?.0, 401);
    Ok(())
}
