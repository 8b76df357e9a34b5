//! Sessions as Auth.js v5 issues them.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use session::{CookieName, Secret, seal};

use super::people::Person;
use crate::{clock, random};

/// Issues sessions as an Auth.js app does, with its secret and the name of its cookie.
#[derive(Clone)]
pub(super) struct DemoSessions {
    secret: Secret,
    cookie: CookieName,
}

impl DemoSessions {
    pub(super) fn new(secret: Secret) -> anyhow::Result<Self> {
        Ok(Self {
            secret,
            cookie: "authjs.session-token".parse()?,
        })
    }

    /// Issues a new session for this user. Returns its cookie as a browser would send it: `name=value`.
    pub(super) fn issue(&self, person: &Person) -> anyhow::Result<String> {
        let now = clock::now();
        let claims = json!({
            "name": person.name,
            "email": person.email,
            "sub": person.id,
            "iat": now.secs(),
            "exp": now.saturating_add(LIFETIME).secs(),
            "jti": random::hex::<16>()?,
        });
        let claims = claims.as_object().context("the claims are an object")?;
        Ok(format!(
            "{}={}",
            self.cookie,
            seal::authjs(&self.secret, &self.cookie, claims, random::bytes()?)
        ))
    }

    /// A `Set-Cookie` value that signs this user in.
    pub(super) fn sign_in(&self, person: &Person) -> anyhow::Result<String> {
        Ok(format!(
            "{}; {ATTRIBUTES}; Max-Age={}",
            self.issue(person)?,
            LIFETIME.as_secs()
        ))
    }

    /// A `Set-Cookie` value that signs the user out.
    pub(super) fn sign_out(&self) -> String {
        format!("{}=; {ATTRIBUTES}; Max-Age=0", self.cookie)
    }
}

const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// The attributes that Auth.js sets on plain HTTP. Over HTTPS it adds `Secure`.
const ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Lax";
