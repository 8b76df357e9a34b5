//! A real Better Auth server.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Browser, SignedIn, script, start};
use crate::client::Response;
use crate::process::{Process, run};

/// A real Better Auth server, on which users sign up with a name. Stopped on drop.
#[derive(Debug)]
pub struct BetterAuth {
    _process: Process,
    /// The address on which it listens.
    pub address: SocketAddr,
}

impl BetterAuth {
    /// A secret that start-up accepts: long enough, and not a known default.
    pub const SECRET: &'static str = "better-auth-harness-secret-4Zr8Qm1Xw7Lk2Tf9";

    /// Starts it on a free port. `tests/interop/better-auth.mjs` lists what it reads from its environment; no secret is added.
    ///
    /// # Errors
    /// When Node.js or its modules are missing, or a store that it was given does not answer.
    pub async fn start<'a>(
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let (process, address) = start("better-auth.mjs", environment).await?;
        Ok(Self {
            _process: process,
            address,
        })
    }

    /// Makes a user called `name`, with the address `name@example.com`, and signs the user in.
    ///
    /// # Errors
    /// When the server refuses, because there is such a user.
    pub async fn sign_up(&self, name: &str) -> Result<SignedIn> {
        self.sign_up_with_notes(name, "").await
    }

    /// Makes a user as [`BetterAuth::sign_up`] does, with `notes` in the user's row, and so in the session.
    ///
    /// # Errors
    /// When the server refuses, because there is such a user.
    pub async fn sign_up_with_notes(&self, name: &str, notes: &str) -> Result<SignedIn> {
        self.enter(
            "/api/auth/sign-up/email",
            json!({ "name": name, "email": email(name), "password": PASSWORD, "notes": notes }),
        )
        .await
    }

    /// Signs in the user called `name`, in a new browser.
    ///
    /// # Errors
    /// When the server knows no such user.
    pub async fn sign_in(&self, name: &str) -> Result<SignedIn> {
        self.enter(
            "/api/auth/sign-in/email",
            json!({ "email": email(name), "password": PASSWORD }),
        )
        .await
    }

    /// Signs in the user called `name`, in a new browser, without "remember me".
    ///
    /// # Errors
    /// When the server knows no such user.
    pub async fn sign_in_without_remember_me(&self, name: &str) -> Result<SignedIn> {
        self.enter(
            "/api/auth/sign-in/email",
            json!({ "email": email(name), "password": PASSWORD, "rememberMe": false }),
        )
        .await
    }

    /// Signs in a guest, as the plugin `anonymous` does.
    ///
    /// # Errors
    /// When the server refuses, because it has no such plugin.
    pub async fn guest(&self) -> Result<SignedIn> {
        self.enter("/api/auth/sign-in/anonymous", json!({})).await
    }

    /// Lets `admin` act as `user`, as the plugin `admin` does, in the browser of `admin`; returns `user` in that browser.
    ///
    /// # Errors
    /// When the server refuses, because `admin` is not an admin or the plugin is missing.
    pub async fn impersonate(&self, admin: &SignedIn, user: &SignedIn) -> Result<SignedIn> {
        let mut browser = admin.browser.clone();
        let body = json!({ "userId": user.id });
        let answer = post(&mut browser, "/api/auth/admin/impersonate-user", body).await?;
        SignedIn::from_json(&answer.json()?["user"], browser)
    }

    /// Signs in the user called `name` in this browser, in place of any other user.
    ///
    /// # Errors
    /// When the server knows no such user.
    pub async fn sign_in_within(&self, browser: &mut Browser, name: &str) -> Result<()> {
        let credentials = json!({ "email": email(name), "password": PASSWORD });
        post(browser, "/api/auth/sign-in/email", credentials).await?;
        Ok(())
    }

    /// Lets the admin who is signed in to this browser act as the user with this id (plugin `admin`).
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn impersonate_within(&self, browser: &mut Browser, id: &str) -> Result<()> {
        let body = json!({ "userId": id });
        post(browser, "/api/auth/admin/impersonate-user", body).await?;
        Ok(())
    }

    /// Calls an endpoint of a plugin, such as `organization/create`, as this user, and returns its answer. The user's browser
    /// keeps the cookies that the server sets.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn post(&self, user: &mut SignedIn, endpoint: &str, body: Value) -> Result<Value> {
        let endpoint = format!("/api/auth/{endpoint}");
        post(&mut user.browser, &endpoint, body).await?.json()
    }

    /// Turns on the second factor for this user, and returns the backup codes, each valid once (plugin `two-factor`).
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn enable_two_factor(&self, user: &mut SignedIn) -> Result<Vec<String>> {
        let password = json!({ "password": PASSWORD });
        let answer = self.post(user, "two-factor/enable", password).await?;
        let codes = answer["backupCodes"].as_array().context("codes")?.iter();
        Ok(codes
            .filter_map(|code| code.as_str().map(str::to_owned))
            .collect())
    }

    /// Returns the browser of the user called `name` after the password, before the second factor.
    ///
    /// # Errors
    /// When the server does not require a second factor.
    pub async fn sign_in_without_second_factor(&self, name: &str) -> Result<Browser> {
        let mut browser = Browser::new(self.address);
        let credentials = json!({ "email": email(name), "password": PASSWORD });
        let answer = post(&mut browser, "/api/auth/sign-in/email", credentials).await?;
        let is_session = |cookie: &str| {
            let session = cookie.split(';').next().unwrap_or_default();
            session.contains(".session_") && !session.ends_with('=')
        };
        ensure!(
            answer.json()?["twoFactorRedirect"] == true
                && !answer.headers.all("set-cookie").into_iter().any(is_session),
            "{answer:?}"
        );
        Ok(browser)
    }

    /// Signs the user out in the browser in which that user signed in.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sign_out(&self, user: &mut SignedIn) -> Result<()> {
        post(&mut user.browser, "/api/auth/sign-out", json!({})).await?;
        Ok(())
    }

    /// Signs the user out everywhere.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn revoke_sessions(&self, user: &mut SignedIn) -> Result<()> {
        post(&mut user.browser, "/api/auth/revoke-sessions", json!({})).await?;
        Ok(())
    }

    /// Visits the server once with the user's browser, which keeps the cookies that the server sets. Returns the session in the
    /// server's answer, or `null`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn visit(&self, user: &mut SignedIn) -> Result<Value> {
        user.browser.get("/api/auth/get-session").await?.json()
    }

    /// Deletes the user, as users can do themselves.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn delete_user(&self, user: &mut SignedIn) -> Result<()> {
        let password = json!({ "password": PASSWORD });
        post(&mut user.browser, "/api/auth/delete-user", password).await?;
        Ok(())
    }

    /// Returns the session that the server finds in these cookies: `{"session": …, "user": …}`, or `null`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn session(&self, cookies: &str) -> Result<Value> {
        Browser::with_cookies(self.address, cookies)
            .get("/api/auth/get-session")
            .await?
            .json()
    }

    /// Returns the value of a `session_token` cookie that holds `token`, signed under `secret` by Better Auth's own code.
    ///
    /// # Errors
    /// When Node.js or its modules are missing.
    pub async fn signed(secret: &str, token: &str) -> Result<String> {
        let mut node = Command::new("node");
        node.arg(script("sign.mjs")?).args([secret, token]);
        Ok(run(node, "nodejs").await?.trim_end().to_owned())
    }

    async fn enter(&self, endpoint: &str, body: Value) -> Result<SignedIn> {
        let mut browser = Browser::new(self.address);
        let answer = post(&mut browser, endpoint, body).await?;
        SignedIn::from_json(&answer.json()?["user"], browser)
    }
}

async fn post(browser: &mut Browser, endpoint: &str, body: Value) -> Result<Response> {
    let answer = browser.post_json(endpoint, &body).await?;
    ensure!(
        answer.status == 200,
        "{endpoint} answered {}: {}",
        answer.status,
        answer.text()
    );
    Ok(answer)
}

fn email(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase())
}

const PASSWORD: &str = "open sesame";
