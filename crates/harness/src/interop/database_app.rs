//! A real Auth.js app whose sessions live in a database.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Browser, SignedIn, start};
use crate::client::Response;
use crate::process::Process;

/// A real Auth.js app with `@auth/pg-adapter` and `session.strategy: "database"`; users come from an OAuth provider that accepts
/// every name. Stopped on drop.
#[derive(Debug)]
pub struct DatabaseApp {
    _process: Process,
    /// The address on which it listens.
    pub address: SocketAddr,
}

impl DatabaseApp {
    /// Starts it on a free port, with this `AUTH_SECRET` and its tables in the database at `url`. `environment` has what else
    /// `tests/interop/database-app.mjs` reads.
    ///
    /// # Errors
    /// When Node.js or its modules are missing, or the database does not answer.
    pub async fn start<'a>(
        secret: &'a str,
        url: &'a str,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let stated = [("AUTH_SECRET", secret), ("DATABASE_URL", url)];
        let environment = stated.into_iter().chain(environment);
        let (process, address) = start("database-app.mjs", environment).await?;
        Ok(Self {
            _process: process,
            address,
        })
    }

    /// Signs in the user called `name`, in a new browser, through the provider and back. The address is `name@example.com`; the
    /// id is a number.
    ///
    /// # Errors
    /// When a step fails; the message names it.
    pub async fn sign_in(&self, name: &str) -> Result<SignedIn> {
        let mut browser = Browser::new(self.address);
        let form = csrf(&mut browser).await?;
        let start = format!("/auth/signin/loopback?login_hint={name}");
        let mut answer = browser.post_form(&start, &form).await?;
        // To the provider, and back with a code.
        for _ in 0..2 {
            answer = browser.get(redirect(&answer)?).await?;
        }
        redirect(&answer)?;
        let user = &self.session(&browser.cookies()).await?["user"];
        SignedIn::from_json(user, browser)
    }

    /// Signs the user out in the browser in which that user signed in.
    ///
    /// # Errors
    /// When the app refuses.
    pub async fn sign_out(&self, user: &mut SignedIn) -> Result<()> {
        let form = csrf(&mut user.browser).await?;
        let answer = user.browser.post_form("/auth/signout", &form).await?;
        redirect(&answer)?;
        Ok(())
    }

    /// Returns the session that the app finds in these cookies: `{"user": …, "expires": …}`, or `null`.
    ///
    /// # Errors
    /// When the app does not answer.
    pub async fn session(&self, cookies: &str) -> Result<Value> {
        Browser::with_cookies(self.address, cookies)
            .get("/auth/session")
            .await?
            .json()
    }
}

async fn csrf(browser: &mut Browser) -> Result<String> {
    let answer = browser.get("/auth/csrf").await?.json()?;
    let token = answer["csrfToken"].as_str().context("a CSRF token")?;
    Ok(format!("csrfToken={token}"))
}

fn redirect(answer: &Response) -> Result<&str> {
    let location = answer.header("location").filter(|_| answer.status == 302);
    let location =
        location.with_context(|| format!("no redirect: {} {}", answer.status, answer.text()))?;
    ensure!(
        !location.contains("error"),
        "the app refused the sign-in: {location}"
    );
    Ok(location)
}
