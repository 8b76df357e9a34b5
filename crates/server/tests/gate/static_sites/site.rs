//! The fixture of these tests: a folder, and a gate in front of it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use harness::{Client, Gate, Mint, Request, Response};
use tempfile::TempDir;

use crate::support::gate;

/// A gate that serves the folder `site`, next to which is a file that it must never send.
pub(super) struct Site {
    pub(super) gate: Gate,
    around: TempDir,
}

/// The content of the file next to the folder.
pub(super) const OUTSIDE: &str = "SECRET-OUTSIDE";

/// The modification time of every file, as Unix time and in the format of HTTP.
const MODIFIED: u64 = 1_767_323_045;
pub(super) const MODIFIED_DATE: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

impl Site {
    /// Starts a gate with these files, and with these settings besides the usual ones.
    pub(super) async fn start(files: &[(&str, &str)], settings: &[(&str, &str)]) -> Result<Self> {
        let around = tempfile::tempdir()?;
        fs::write(around.path().join("outside.txt"), OUTSIDE)?;
        let site = around.path().join("site");
        fs::create_dir(&site)?;
        for (name, content) in files {
            put(&site.join(name), content.as_bytes())?;
        }
        let settings = settings.iter().copied();
        let gate = gate(&format!("dir:{}", site.display()))
            .envs(settings)
            .start()
            .await?;
        Ok(Self { gate, around })
    }

    /// Returns the path of a file, which need not exist.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.around.path().join("site").join(name)
    }

    pub(super) fn put(&self, name: &str, content: &[u8]) -> Result<()> {
        put(&self.path(name), content)
    }

    /// Sends a GET request with a session and returns the answer.
    pub(super) async fn get(&self, target: &str) -> Result<Response> {
        self.send(&Request::get(target)).await
    }

    /// Sends this request with a session and returns the answer.
    pub(super) async fn send(&self, request: &Request) -> Result<Response> {
        self.gate.send(&signed_in(request)).await
    }

    /// Sends a GET request with a session and these fields, and returns the answer.
    pub(super) async fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> Result<Response> {
        let request = fields
            .iter()
            .fold(Request::get(target), |request, (name, value)| {
                request.header(name, *value)
            });
        self.send(&request).await
    }

    /// Sends a GET request with a session and exactly this target, and returns the answer.
    pub(super) async fn raw(&self, target: &[u8]) -> Result<Response> {
        let mut client = Client::connect(self.gate.proxy).await?;
        let cookie = Mint::user("ada").authjs();
        let fields = format!(" HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
        client
            .raw(&[b"GET ", target, fields.as_bytes()].concat())
            .await?;
        client.response().await
    }

    /// Runs `curl` with these arguments, a session and the URL of this path; returns its output.
    pub(super) async fn curl(&self, words: &[&str], path: &str) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60"]);
        curl.args(["--cookie", &Mint::user("ada").authjs()]);
        curl.args(words);
        curl.arg(format!("http://{}{path}", self.gate.proxy));
        harness::run(curl, "curl").await
    }

    /// Returns the audit line of the request of this answer.
    pub(super) async fn audit(&self, answer: &Response) -> Result<serde_json::Value> {
        let id = answer.header("x-request-id").context("an id")?.to_owned();
        let is_it = |line: &serde_json::Value| line["request_id"] == id.as_str();
        self.gate.wait_for_audit(is_it).await
    }
}

/// Returns the request with a session.
pub(super) fn signed_in(request: &Request) -> Request {
    request.clone().cookie(Mint::user("ada").authjs())
}

fn put(path: &std::path::Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(path, content)?;
    File::options()
        .write(true)
        .open(path)?
        .set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED))?;
    Ok(())
}
