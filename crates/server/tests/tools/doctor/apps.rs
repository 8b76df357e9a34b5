//! Real apps behind a real nginx with TLS.

use anyhow::Result;
use harness::interop::{AuthApp, BetterAuth, Browser};
use harness::{Certificates, Nginx, free_port};
use serde_json::json;
use tempfile::TempDir;

use super::super::SECRET;
use super::super::mint::minted;
use super::{doctor, file, finding_text, findings, ids};

/// An nginx in front of an app, with HTTPS on one port, and with a redirect to it from HTTP on another.
struct Front {
    _nginx: Nginx,
    folder: TempDir,
    authority: String,
    https: String,
    http: String,
}

impl Front {
    /// Starts nginx. `proxy` has the directives beside `proxy_pass`; `status` is that of the redirect.
    async fn start(app: std::net::SocketAddr, proxy: &str, status: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let made = Certificates::make(folder.path()).await?;
        let (certificate, key) = (made.certificate.display(), made.key.display());
        let http = free_port();
        let nginx = Nginx::from_config(|port| {
            format!(
                "events {{ worker_connections 64; }}
http {{
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{ proxy_pass http://{app}; proxy_set_header Host $http_host; {proxy} }}
    }}
    server {{
        listen 127.0.0.1:{http};
        return {status} https://localhost:{port}$request_uri;
    }}
}}
"
            )
        })
        .await?;
        let https = nginx.address().port();
        Ok(Self {
            authority: made.authority.display().to_string(),
            https: format!("https://localhost:{https}"),
            http: format!("http://localhost:{http}"),
            _nginx: nginx,
            folder,
        })
    }

    fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// The directives of a correct proxy: headers for the app, and HSTS for the browser.
const WELL_CONFIGURED: &str =
    "proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host $http_host;
    add_header Strict-Transport-Security max-age=31536000 always;";

#[tokio::test]
async fn a_well_configured_authjs_app_has_no_findings() -> Result<()> {
    let app = AuthApp::start_behind_proxy(SECRET).await?;
    let front = Front::start(app.address, WELL_CONFIGURED, 308).await?;
    let session = minted("authjs", ["--cookie-name", "__Secure-authjs.session-token"]);
    let cookies = front.folder().join("ada.txt");
    std::fs::write(&cookies, &session)?;
    let cookies = cookies.display().to_string();
    for url in [&front.https, &front.http] {
        let words = [
            "--ca-file",
            &front.authority,
            "--cookie-file",
            &cookies,
            url,
        ];
        let outcome = doctor(words)
            .env("AUTH_SECRET", SECRET)
            .env("UPSTREAM", format!("http://{}", app.address))
            .env("LISTEN", "127.0.0.1:8080")
            .run();
        assert_eq!(findings(&outcome), [""; 0], "{outcome:?}");
        assert_eq!(outcome.code, Some(0));
        assert_eq!(outcome.json()["skipped"], json!([]));
        let value = session.split('=').nth(1).expect("a value");
        assert!(
            !outcome.stdout.contains(&value[..20]),
            "no cookie is printed"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_app_unaware_of_tls_sends_weak_cookies() -> Result<()> {
    let app = AuthApp::start(SECRET).await?;
    let front = Front::start(app.address, "", 302).await?;
    let outcome = doctor(["--ca-file", &front.authority, &front.http]).run();
    assert_eq!(
        findings(&outcome),
        [
            "cookie-not-secure: cookie authjs.csrf-token".to_owned(),
            "cookie-not-secure: cookie authjs.callback-url".to_owned(),
            format!("hsts-missing: {}", front.https),
            "cookie-no-prefix: cookie authjs.csrf-token".to_owned(),
            format!("redirect-not-permanent: {}", front.http),
        ],
        "{outcome:?}"
    );
    assert_eq!(outcome.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn an_untrusted_certificate_hides_no_other_finding() -> Result<()> {
    let app = AuthApp::start(SECRET).await?;
    let front = Front::start(app.address, WELL_CONFIGURED, 308).await?;
    let outcome = doctor([front.https.as_str()]).run();
    assert_eq!(
        ids(&outcome),
        [
            "certificate-not-trusted",
            "cookie-not-secure",
            "cookie-not-secure",
            "cookie-no-prefix"
        ],
        "{outcome:?}"
    );
    assert_eq!(outcome.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_local_app_may_use_plain_http() -> Result<()> {
    let app = AuthApp::start(SECRET).await?;
    let url = format!("http://{}", app.address);
    let outcome = doctor([url.as_str()]).run();
    assert_eq!(ids(&outcome), ["plain-http-local"], "{outcome:?}");
    assert_eq!(outcome.code, Some(0));
    // A gate that expects another framework.
    let outcome = doctor([url.as_str()])
        .env("AUTH_SECRET", SECRET)
        .env("SESSION_FORMAT", "nextauth")
        .env("UPSTREAM", url.as_str())
        .env("LISTEN", "127.0.0.1:8080")
        .run();
    assert_eq!(
        ids(&outcome),
        ["cookie-name-unexpected", "plain-http-local"],
        "{outcome:?}"
    );
    let seen = finding_text(&outcome, "cookie-name-unexpected", "seen");
    assert!(
        seen.contains("authjs.session-token; the gate reads"),
        "{seen}"
    );
    Ok(())
}

#[tokio::test]
async fn doctor_compares_the_session_of_the_app_with_that_of_the_gate() -> Result<()> {
    let app = AuthApp::start(SECRET).await?;
    let url = format!("http://{}", app.address);
    let session = app.sign_in("ada").await?.cookies();
    let (_folder, cookies) = file(&session);
    let ask = |secret: &str, cookies: &str| {
        doctor(["--cookie-file", cookies, &url])
            .env("AUTH_SECRET", secret)
            .env("UPSTREAM", url.as_str())
            .env("LISTEN", "127.0.0.1:8080")
            .run()
    };
    let good = ask(SECRET, &cookies);
    assert_eq!(ids(&good), ["plain-http-local"], "{good:?}");
    let other = ask("another-secret-Bq81nZx0Vt5LmKd27RfYw", &cookies);
    assert_eq!(
        ids(&other),
        ["session-does-not-open", "plain-http-local"],
        "{other:?}"
    );
    assert_eq!(other.code, Some(1));
    let (_folder, cookies) = file("authjs.session-token=made-up");
    let made_up = ask(SECRET, &cookies);
    assert_eq!(
        ids(&made_up),
        [
            "session-does-not-open",
            "session-refused-by-app",
            "plain-http-local"
        ],
        "{made_up:?}"
    );
    Ok(())
}

#[tokio::test]
async fn better_auth_is_detected_and_its_sign_in_checked() -> Result<()> {
    let app = BetterAuth::start([("BETTER_AUTH_SECRET", SECRET)]).await?;
    let url = format!("http://{}", app.address);
    let who = json!({ "name": "Ada", "email": "ada@example.com", "password": "open sesame" });
    let mut browser = Browser::new(app.address);
    let answer = browser.post_json("/api/auth/sign-up/email", &who).await?;
    let fields = answer.headers.all("set-cookie");
    let lines: Vec<_> = fields
        .iter()
        .map(|field| format!("set-cookie: {field}"))
        .collect();
    let (_folder, set) = file(&format!("HTTP/1.1 200 OK\n{}\n\n{{}}\n", lines.join("\n")));
    let (_folder, cookies) = file(&browser.cookies());
    let outcome = doctor(["--set-cookie-file", &set, "--cookie-file", &cookies, &url])
        .env("BETTER_AUTH_SECRET", SECRET)
        .env("SESSION_FORMAT", "better-auth")
        .env("UPSTREAM", url.as_str())
        .env("LISTEN", "127.0.0.1:8080")
        .run();
    assert_eq!(ids(&outcome), ["plain-http-local"], "{outcome:?}");
    assert_eq!(outcome.code, Some(0));
    // The same sign-in, judged as if it had come over HTTPS.
    let outcome = doctor(["--set-cookie-file", &set, "--cookie-file", &cookies]).run();
    let found = ids(&outcome);
    assert!(
        found.contains(&"cookie-not-secure".to_owned()),
        "{outcome:?}"
    );
    Ok(())
}
