//! Git, over `git http-backend` under Apache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::page::replace_literal;
use harness::{Apache, Authority, Mint, run};
use tempfile::TempDir;

use crate::support::{Front, text_of};

#[tokio::test]
async fn git_clones_and_pushes_as_the_user_of_the_session() -> Result<()> {
    clones_and_pushes(40).await
}

/// The size of a large repository. The test takes half a minute:
/// `cargo test -p sessiongate --test apps git:: -- --ignored`.
#[tokio::test]
#[ignore = "takes half a minute"]
async fn git_pushes_200_megabytes() -> Result<()> {
    clones_and_pushes(200).await
}

#[tokio::test]
async fn git_pushes_over_http_2() -> Result<()> {
    let apache = apache().await?;
    let folder = tempfile::tempdir()?;
    let authority = Authority::make(folder.path()).await?;
    let pair = authority.server("server", "DNS:localhost").await?;
    let settings = [
        ("TLS_CERT_FILE", &*pair.certificate.display().to_string()),
        ("TLS_KEY_FILE", &*pair.key.display().to_string()),
    ];
    let front = Front::start_with(settings, PAGE, apache.address()).await?;
    let port = front.gate.proxy.port();
    let git = Git::new(&front, format!("https://localhost:{port}/project.git"))?;
    let git = git.with(
        "http.sslCAInfo",
        &authority.certificate.display().to_string(),
    );
    let git = git.with("http.extraHeader", &format!("Cookie: {}", session()));
    git.run(&["clone", &git.url, "work"]).await?;
    git.commit("work", 40).await?;
    // Git 2.47 with curl 7.88 hung once in about fifty pushes over HTTP/2: `git-remote-https` waited for more of the pack, although it
    // had read the end of it from `git send-pack`. A second push does not depend on the first.
    let push = ["-C", "work", "push", "origin", "--all"];
    if let Err(error) = git.run(&push).await {
        ensure!(error.to_string().contains("exit status: 124"), error);
        git.run(&push).await?;
    }
    let trace = git.trace()?;
    // The wording depends on curl's TLS library.
    ensure!(
        trace.contains("HTTP/2 200") || trace.contains("HTTP/2, 200"),
        "no answer came by HTTP/2: {trace}"
    );
    git.run(&["clone", &git.url, "again"]).await?;
    git.has_all("again").await
}

/// Clones, pushes this many megabytes of incompressible data, and fetches them.
async fn clones_and_pushes(megabytes: usize) -> Result<()> {
    let apache = apache().await?;
    let front = Front::start(PAGE, apache.address()).await?;
    let url = format!("http://{}/project.git", front.gate.proxy);
    let stranger = Git::new(&front, url.clone())?;
    let refused = stranger.run(&["clone", &url, "work"]).await;
    let refused = format!(
        "{:#}",
        refused.expect_err("the clone without a session is refused")
    );
    // Git wants to ask for a password.
    ensure!(refused.contains("could not read Username"), "{refused}");

    let cookies = Git::new(&front, url.clone())?;
    let session = session();
    let file = cookies.folder.path().join("cookies");
    let (name, value) = session.split_once('=').context("a cookie")?;
    let line = replace_literal(
        &text_of(PAGE, "text", 0)?,
        "__Secure-authjs.session-token",
        name,
    )?;
    let line = replace_literal(
        &replace_literal(&line, "VALUE", value)?,
        "\tTRUE\t",
        "\tFALSE\t",
    )?;
    std::fs::write(&file, line)?;
    let zoe = cookies.with("http.cookieFile", &file.display().to_string());
    let zoe = zoe.with("http.extraHeader", "X-User-Id: eve");
    let zoe = zoe.with("http.extraHeader", "Expect: 100-continue");
    zoe.run(&["clone", &url, "work"]).await?;
    zoe.commit("work", megabytes).await?;
    zoe.run(&["-C", "work", "push", "origin", "--all"]).await?;
    let trace = zoe.trace()?;
    ensure!(
        trace.to_lowercase().contains("transfer-encoding: chunked"),
        "the push had a length"
    );
    ensure!(trace.contains(HOOK_MESSAGE), "the hook said something else");
    ensure!(
        trace.contains("HTTP/1.1 100 Continue"),
        "the push did not wait for 100 Continue"
    );

    let other = Git::new(&front, url.clone())?;
    let other = other.with("http.extraHeader", &format!("Cookie: {session}"));
    other.run(&["clone", "--mirror", &url, "again"]).await?;
    other.has_all("again").await?;
    let trace = other.trace()?.to_lowercase();
    ensure!(
        trace.contains("content-encoding: gzip"),
        "the list of branches was not compressed"
    );
    Ok(())
}

/// Returns a session cookie of Zoë.
fn session() -> String {
    Mint::user("zoe").authjs()
}

/// Starts Apache with the configuration of the page and one repository, whose hook prints who pushes.
async fn apache() -> Result<Apache> {
    let mut git = Command::new("git");
    git.arg("--exec-path");
    let programs = run(git, "git").await?.trim().to_owned();
    Apache::start(|folder| {
        let repositories = folder.join("repositories");
        let project = repositories.join("project.git");
        let made = Command::new("git")
            .args(["init", "--quiet", "--bare", "--initial-branch=main"])
            .arg(&project)
            .status()?;
        ensure!(made.success(), "git init failed");
        let hook = project.join("hooks/pre-receive");
        std::fs::write(&hook, "#!/bin/sh\necho \"pushed by $REMOTE_USER\"\n")?;
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let text = replace_literal(&text_of(PAGE, "apache", 0)?, "Listen 127.0.0.1:3000\n", "")?;
        let text = replace_literal(&text, "/usr/lib/git-core", &programs)?;
        replace_literal(&text, "/srv/git", &repositories.to_string_lossy())
    })
    .await
}

/// A user's Git, with its own home folder.
struct Git {
    folder: TempDir,
    url: String,
    settings: Vec<(String, String)>,
}

impl Git {
    fn new(front: &Front, url: String) -> Result<Self> {
        let git = Self {
            folder: tempfile::tempdir()?,
            url,
            settings: Vec::new(),
        };
        // The host name of the page does not resolve here.
        Ok(git
            .with("http.extraHeader", &format!("Host: {}", front.host))
            .with("core.compression", "0")
            .with("user.name", "Zoë")
            .with("user.email", "zoe@example.com"))
    }

    /// Adds a setting.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    async fn run(&self, words: &[&str]) -> Result<String> {
        // This also ends the processes that git starts.
        let mut git = Command::new("timeout");
        git.args([LIMIT_SECONDS, "git"])
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_TRACE_CURL", self.trace_file())
            .env("GIT_TRACE_CURL_NO_DATA", "1")
            .env("GIT_TRACE_PACKET", self.trace_file());
        for (name, value) in &self.settings {
            git.arg("-c").arg(format!("{name}={value}"));
        }
        git.args(words);
        run(git, "git").await
    }

    /// Returns the trace of the messages that it has sent and received so far.
    fn trace(&self) -> Result<String> {
        let trace = std::fs::read(self.trace_file())?;
        Ok(String::from_utf8_lossy(&trace).into_owned())
    }

    fn trace_file(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// Commits this many megabytes of incompressible data, and some branches of a few bytes.
    async fn commit(&self, work: &str, megabytes: usize) -> Result<()> {
        let file = self.folder.path().join(work).join("large");
        write_noise(&file, megabytes)?;
        self.run(&["-C", work, "checkout", "--quiet", "-B", "main"])
            .await?;
        self.run(&["-C", work, "add", "large"]).await?;
        self.run(&["-C", work, "commit", "--quiet", "-m", "large"])
            .await?;
        let mut branches = String::new();
        for number in 0..BRANCHES {
            branches += &format!(
                "commit refs/heads/branch-{number}\n\
                 committer Zoë <zoe@example.com> 1700000000 +0000\n\
                 data 2\n{number:02}\nfrom refs/heads/main\n"
            );
        }
        let stream = self.folder.path().join("stream");
        std::fs::write(&stream, branches)?;
        let mut import = Command::new("sh");
        import
            .args(["-c", "git -C \"$0\" fast-import --quiet < \"$1\""])
            .arg(self.folder.path().join(work))
            .arg(&stream)
            .env("HOME", self.folder.path());
        run(import, "git").await.map(drop)
    }

    /// Verifies that this clone has everything, byte for byte.
    async fn has_all(&self, clone: &str) -> Result<()> {
        self.run(&["-C", clone, "fsck", "--full", "--strict"])
            .await?;
        let files = self.run(&["-C", clone, "ls-tree", "HEAD"]).await?;
        ensure!(files.trim().ends_with("\tlarge"), "{files}");
        Ok(())
    }
}

/// Writes an incompressible file: numbers from xorshift.
fn write_noise(file: &Path, megabytes: usize) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(megabytes << 20);
    while noise.len() < megabytes << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    Ok(std::fs::write(file, noise)?)
}

/// The time limit of one git command, in seconds; they take a few seconds. With it, `timeout` exits with 124.
const LIMIT_SECONDS: &str = "120";

/// Enough branches that their list exceeds one kilobyte: Git compresses longer lists.
const BRANCHES: usize = 60;
const HOOK_MESSAGE: &str = "pushed by zoe";
const PAGE: &str = "git.md";
