//! A minimal browser: enough to sign in to a site.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::client::{Client, Request, Response};
use crate::wire::Headers;

/// One site's cookies, kept from answer to answer and sent with every request.
///
/// A cookie with `Secure` is sent like any other, as if a proxy in front of the site terminated TLS. A cookie is kept until the
/// site deletes it (`Max-Age=0`), even after its own `Max-Age` has passed, as a copy of it would be.
#[derive(Clone, Debug)]
pub struct Browser {
    site: SocketAddr,
    cookies: Vec<(String, String)>,
}

impl Browser {
    /// Makes a browser that will visit `site`, without cookies.
    pub fn new(site: SocketAddr) -> Self {
        Self {
            site,
            cookies: Vec::new(),
        }
    }

    /// Makes a browser with the cookies of a `Cookie` header.
    pub fn with_cookies(site: SocketAddr, header: &str) -> Self {
        let pairs = header.split("; ").filter_map(|pair| pair.split_once('='));
        Self {
            site,
            cookies: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// Returns its `Cookie` header: `a=1; b=2`, with the values as the site wrote them.
    pub fn cookies(&self) -> String {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    /// Returns the value of the cookie called `name`.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Opens `target`, which may be the whole address of a redirect to the same site.
    ///
    /// # Errors
    /// When the site does not answer, or `target` is on another site.
    pub async fn get(&mut self, target: &str) -> Result<Response> {
        self.send(Request::get(self.path(target)?)).await
    }

    /// Posts JSON, as a script of the site would.
    ///
    /// # Errors
    /// When the site does not answer.
    pub async fn post_json(&mut self, target: &str, body: &Value) -> Result<Response> {
        let request = Request::post(target, body.to_string());
        self.post(request, "application/json").await
    }

    /// Posts a form: `a=1&b=2`, encoded already.
    ///
    /// # Errors
    /// When the site does not answer.
    pub async fn post_form(&mut self, target: &str, form: &str) -> Result<Response> {
        let request = Request::post(target, form);
        self.post(request, "application/x-www-form-urlencoded")
            .await
    }

    async fn post(&mut self, request: Request, content_type: &str) -> Result<Response> {
        let origin = format!("http://{}", self.site);
        let request = request
            .header("Content-Type", content_type)
            .header("Origin", origin);
        self.send(request).await
    }

    async fn send(&mut self, mut request: Request) -> Result<Response> {
        if !self.cookies.is_empty() {
            request = request.cookie(self.cookies());
        }
        let answer = Client::connect(self.site).await?.send(&request).await?;
        self.keep(&answer.headers)?;
        Ok(answer)
    }

    fn keep(&mut self, headers: &Headers) -> Result<()> {
        for cookie in headers.all("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("not a cookie: {cookie:?}"))?;
            let expired = attributes
                .split(';')
                .any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
            self.cookies.retain(|(key, _)| key != name);
            if !expired {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }

    fn path<'a>(&self, target: &'a str) -> Result<&'a str> {
        let path = target
            .strip_prefix(&format!("http://{}", self.site))
            .unwrap_or(target);
        ensure!(path.starts_with('/'), "another site: {target:?}");
        Ok(path)
    }
}
