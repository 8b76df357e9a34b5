//! The frameworks that issue sessions: the real Auth.js, NextAuth and Better Auth from npm, in the versions of `tests/interop`.

mod better_auth;
mod browser;
mod database_app;

pub use better_auth::BetterAuth;
pub use browser::Browser;
pub use database_app::DatabaseApp;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{Process, command_with_death_signal};

/// Makes one token for each order with the frameworks' own `encode`; `tests/interop/mint.mjs` lists the members of an order.
///
/// # Errors
/// When Node.js or its modules are missing, or an order is refused.
pub async fn mint(orders: &[Value]) -> Result<Vec<String>> {
    let orders: String = orders.iter().map(|order| format!("{order}\n")).collect();
    let script = script("mint.mjs")?;
    let output = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `node`; install it with: sudo apt-get install -y nodejs")?;
        // Small enough for the pipe; dropped at once, so that the script sees the end.
        node.stdin
            .take()
            .expect("stdin is piped")
            .write_all(orders.as_bytes())?;
        Ok::<_, anyhow::Error>(node.wait_with_output()?)
    });
    let output = output.await??;
    ensure!(
        output.status.success(),
        "mint.mjs failed: {}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// A real Auth.js app on Express with a Credentials provider, which accepts any user name with the password
/// [`AuthApp::PASSWORD`]. Stopped on drop.
#[derive(Debug)]
pub struct AuthApp {
    _process: Process,
    /// The address on which it listens.
    pub address: SocketAddr,
}

impl AuthApp {
    /// The password of every user.
    pub const PASSWORD: &'static str = "open sesame";

    /// Starts it on a free port, with this `AUTH_SECRET`.
    ///
    /// # Errors
    /// When Node.js or its modules are missing.
    pub async fn start(secret: &str) -> Result<Self> {
        Self::start_with([("AUTH_SECRET", secret)]).await
    }

    /// Starts an app as [`AuthApp::start`] does, but one that signs its sessions with `alg` instead of encrypting them.
    ///
    /// # Errors
    /// When Node.js or its modules are missing.
    pub async fn start_signing(secret: &str, alg: &str) -> Result<Self> {
        Self::start_with([("AUTH_SECRET", secret), ("SIGN_WITH", alg)]).await
    }

    /// Starts an app as [`AuthApp::start`] does, but one that puts a claim `role` into its sessions.
    ///
    /// # Errors
    /// When Node.js or its modules are missing.
    pub async fn start_with_roles(secret: &str) -> Result<Self> {
        Self::start_with([("AUTH_SECRET", secret), ("ROLES", "true")]).await
    }

    /// Starts an app as [`AuthApp::start`] does, but one that trusts what a proxy in front of it says about TLS.
    ///
    /// # Errors
    /// When Node.js or its modules are missing.
    pub async fn start_behind_proxy(secret: &str) -> Result<Self> {
        Self::start_with([("AUTH_SECRET", secret), ("TRUST_PROXY", "true")]).await
    }

    /// Signs in the user with this name, in a new browser.
    ///
    /// # Errors
    /// When the app refuses.
    pub async fn sign_in(&self, name: &str) -> Result<Browser> {
        let mut browser = Browser::new(self.address);
        let token = browser.get("/auth/csrf").await?.json()?["csrfToken"].clone();
        let token = token.as_str().context("a token")?;
        let form = format!("csrfToken={token}&username={name}&password=open%20sesame");
        browser
            .post_form("/auth/callback/credentials", &form)
            .await?;
        let whoami = browser.get("/whoami").await?.json()?;
        ensure!(whoami["user"]["name"] == name, "{whoami}");
        Ok(browser)
    }

    async fn start_with<'a>(
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let (process, address) = start("app.mjs", environment).await?;
        Ok(Self {
            _process: process,
            address,
        })
    }
}

/// A user of one of the apps, and the browser in which that user signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The id that the app gave the user.
    pub id: String,
    /// The user's name.
    pub name: String,
    /// The user's e-mail address.
    pub email: String,
    /// The browser, with the cookies of the app.
    pub browser: Browser,
}

impl SignedIn {
    /// Reads the user from the JSON that the app calls `user`, and keeps `browser`.
    fn from_json(user: &Value, browser: Browser) -> Result<Self> {
        let text = |name: &str| {
            let text = user[name].as_str().map(str::to_owned);
            text.with_context(|| format!("the user has no `{name}`: {user}"))
        };
        Ok(Self {
            id: text("id")?,
            name: text("name")?,
            email: text("email")?,
            browser,
        })
    }
}

/// Starts a script of `tests/interop` on a free port, with only these variables and `PORT` in its environment.
async fn start<'a>(
    name: &str,
    environment: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(Process, SocketAddr)> {
    let mut command = command_with_death_signal("node", "nodejs", None)?;
    command
        .arg(script(name)?)
        .env_clear()
        .env("PORT", "0")
        .envs(environment);
    let process = Process::spawn(&mut command, "nodejs")?;
    let listening = |line: &str| line.strip_prefix("listening ")?.parse::<u16>().ok();
    let port = process.stdout.wait_for(listening).await;
    let port = port.with_context(|| process.transcript())?;
    Ok((process, ([127, 0, 0, 1], port).into()))
}

fn script(name: &str) -> Result<PathBuf> {
    let folder = crate::repository().join("tests/interop");
    ensure!(
        folder.join("node_modules").exists(),
        "the Node.js modules are missing; install them with: npm ci --prefix tests/interop"
    );
    Ok(folder.join(name))
}
