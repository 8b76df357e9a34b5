//! The gate with the file of a page in front of an application, and the clients that visit it.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use harness::page::{block, replace_literal};
use harness::{Client, Gate, Headers, Mint, Request, Response, Server, mint};
use tempfile::TempDir;

/// A gate that runs with the file of a page.
pub(crate) struct Front {
    pub(crate) gate: Gate,
    /// The host of the page's first route.
    pub(crate) host: String,
    // After the gate, which watches the file.
    _folder: TempDir,
}

impl Front {
    /// Starts the gate with the file of `page`, which is named without its folder, in front of the application at `app`.
    pub(crate) async fn start(page: &str, app: SocketAddr) -> Result<Self> {
        Self::start_with([], page, app).await
    }

    /// Starts the gate with these settings besides those of the page.
    pub(crate) async fn start_with<const N: usize>(
        settings: [(&str, &str); N],
        page: &str,
        app: SocketAddr,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = write_file(&text_of(page, "toml", 0)?, app, folder.path())?;
        let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
            .env("LOG_FORMAT", "json")
            .envs(settings)
            .args(["serve", "--config", &file])
            .start()
            .await?;
        let text = std::fs::read_to_string(&file)?;
        let host = text.lines().find_map(|line| line.strip_prefix("host = "));
        let host = host.context("the first route has a host")?;
        Ok(Self {
            gate,
            host: host.trim_matches('"').to_owned(),
            _folder: folder,
        })
    }

    /// Returns a client without a session.
    pub(crate) fn stranger(&self) -> Visitor {
        Visitor::new(self.gate.proxy, &self.host)
    }

    /// Returns Zoë, whose session has this value in the claim `role`.
    pub(crate) fn zoe(&self, role: &str) -> Visitor {
        let session = Mint::user("zoe")
            .claim("email", "zoe@example.com")
            .claim("name", "Zoë Müller")
            .claim("groups", vec!["editors", "writers"])
            .claim("role", role);
        self.with_session(&session)
    }

    /// Returns a client with this session.
    pub(crate) fn with_session(&self, session: &Mint) -> Visitor {
        let mut visitor = self.stranger();
        visitor.cookies.push(session.authjs());
        visitor
    }
}

/// Writes a configuration file of a page, and next to it the secrets that it names; returns the path of the file.
pub(crate) fn write_file(text: &str, app: SocketAddr, folder: &Path) -> Result<String> {
    let text = replace_literal(text, SERVICE, &app.to_string())?;
    for named in text.split(SECRETS).skip(1) {
        let name = named.split('"').next().unwrap_or_default();
        let is_own = name == "auth";
        let secret = if is_own { mint::SECRET } else { SHARED_SECRET };
        std::fs::write(folder.join(name), secret)?;
    }
    let text = replace_literal(&text, SECRETS, &format!("{}/", folder.display()))?;
    let file = folder.join("sessiongate.toml");
    std::fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}

/// The `number`th block in this language on a page of `docs/apps`, counted from 0.
pub(crate) fn text_of(page: &str, language: &str, number: usize) -> Result<String> {
    block(&format!("docs/apps/{page}"), language, number)
}

/// Starts a server with the `number`th command of a page, in a folder of its own. `prepare` writes what the server needs into
/// the folder, and returns replacements for parts of the command line.
pub(crate) async fn started(
    page: &str,
    number: usize,
    package: &str,
    prepare: impl Fn(&Path, u16) -> Result<Vec<(&'static str, String)>>,
) -> Result<Server> {
    let command = text_of(page, "sh", number)?;
    harness::program(package, |folder, port| {
        let mut line = command.replace(PORT, &port.to_string());
        for (literal, value) in prepare(folder, port)? {
            line = replace_literal(&line, literal, &value)?;
        }
        Ok(line)
    })
    .await
}

/// A client of a site, with the header fields of each of its requests.
#[derive(Clone)]
pub(crate) struct Visitor {
    at: SocketAddr,
    host: String,
    /// Header fields before the cookies; `after` has those after them.
    pub(crate) before: Vec<(String, String)>,
    pub(crate) after: Vec<(String, String)>,
    pub(crate) cookies: Vec<String>,
}

impl Visitor {
    /// Creates a client without cookies that connects to this address and requests this host.
    pub(crate) fn new(at: SocketAddr, host: &str) -> Self {
        Self {
            at,
            host: host.to_owned(),
            before: Vec::new(),
            after: Vec::new(),
            cookies: Vec::new(),
        }
    }

    /// Sends a request and stores the cookies of the answer.
    pub(crate) async fn send(&mut self, request: Request) -> Result<Response> {
        let mut request = request.header("Host", &self.host);
        for (name, value) in &self.before {
            request = request.header(name, value);
        }
        if !self.cookies.is_empty() {
            request = request.cookie(self.cookies.join("; "));
        }
        for (name, value) in &self.after {
            request = request.header(name, value);
        }
        let client = Client::connect(self.at).await?;
        let answer = client.or_http_1_0().send(&request).await?;
        self.keep(&answer.headers);
        Ok(answer)
    }

    /// Sends `GET target`.
    pub(crate) async fn get(&mut self, target: &str) -> Result<Response> {
        self.send(Request::get(target)).await
    }

    /// Returns the text of a page, or `None` if the status is not 200.
    pub(crate) async fn read(&mut self, target: &str) -> Result<Option<String>> {
        let answer = self.get(target).await?;
        Ok((answer.status == 200).then(|| answer.text()))
    }

    fn keep(&mut self, headers: &Headers) {
        for cookie in headers.all("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            let same = format!("{name}=");
            self.cookies.retain(|kept| !kept.starts_with(&same));
            self.cookies.push(pair.to_owned());
        }
    }
}

/// The secret with which the gate proves to an application that it sent the request.
pub(crate) const SHARED_SECRET: &str = "between-the-gate-and-the-application-9hT2";

/// The address of the application on every page.
const SERVICE: &str = "127.0.0.1:3000";
pub(crate) const PORT: &str = "3000";
/// The folder of the secrets on every page.
pub(crate) const SECRETS: &str = "/run/secrets/";
