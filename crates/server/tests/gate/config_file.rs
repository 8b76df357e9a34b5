//! The configuration file: its settings take effect, the environment overrides it, and every error names its place.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use harness::{Echo, Gate, GateCommand, mint};
use tempfile::TempDir;

use crate::support::signed_in;

/// Returns the command of the binary, with only the listener in its environment.
fn bare() -> GateCommand {
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
}

/// Writes files by name and text; returns the path of the first.
fn written(folder: &TempDir, files: &[(&str, &str)]) -> Result<String> {
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(path, text)?;
    }
    let path = folder.path().join(files[0].0);
    Ok(path.to_str().context("a path")?.to_owned())
}

fn good(upstream: &str) -> String {
    format!(
        "upstream = \"{upstream}\"\nauth_secret = \"{}\"\n",
        mint::SECRET
    )
}

#[tokio::test]
async fn a_gate_runs_from_a_configuration_file_alone() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let text = good(&echo.url()) + "public_paths = [\"/open/\"]\nlog_format = \"json\"\n";
    let file = written(&folder, &[("gate.toml", &text)])?;
    // The default command is `serve`.
    for words in [vec!["--config", &file], vec!["serve", "--config", &file]] {
        let gate = bare().args(words).start().await?;
        assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
        assert_eq!(
            gate.send(&harness::Request::get("/open/a")).await?.status,
            200
        );
        assert_eq!(gate.send(&harness::Request::get("/")).await?.status, 401);
    }
    let gate = bare().env("SESSIONGATE_CONFIG", &file).start().await?;
    assert_eq!(gate.send(&signed_in("/", "ada")).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn options_override_variables_and_variables_override_the_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text = good("http://127.0.0.1:1") + "workers = 3\ndrain_timeout = 7\n";
    let file = written(&folder, &[("gate.toml", &text), ("other.toml", "broken")])?;
    let checked = bare()
        .args(["check-config", "--all", "--config", &file])
        .env(
            "SESSIONGATE_CONFIG",
            folder
                .path()
                .join("other.toml")
                .to_str()
                .context("a path")?,
        )
        .env("WORKERS", "2")
        .env("DRAIN_TIMEOUT", "")
        .run()
        .await?;
    assert!(checked.status.success(), "{}", checked.stderr);
    let shown = |name: &str| {
        let mut lines = checked.stdout.lines();
        let line = lines.find(|line| line.starts_with(&format!("{name} ")));
        let words = line.unwrap_or_default().split_whitespace().skip(1);
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("WORKERS"), "2 (variable WORKERS)");
    assert_eq!(shown("DRAIN_TIMEOUT"), format!("7 ({file}:4)"));
    assert_eq!(shown("DRAIN_DELAY"), "0 (default)");
    assert!(
        shown("AUTH_SECRET").ends_with(&format!("({file}:2)")),
        "{}",
        checked.stdout
    );
    assert!(!checked.stdout.contains(mint::SECRET));
    Ok(())
}

#[tokio::test]
async fn ten_mistakes_in_three_files_cause_ten_reports() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = written(
        &folder,
        &[
            ("gate.toml", GATE),
            ("routes/a.toml", ROUTES_A),
            ("routes/b.toml", ROUTES_B),
        ],
    )?;
    let broken = |words: &[&str]| {
        bare()
            .args(words.iter().copied())
            .env("DRAIN_TIMEOUT", "soon")
    };
    let started = broken(&["serve", "--config", &file]).run().await?;
    let checked = broken(&["check-config", "--config", &file]).run().await?;
    assert_eq!(
        (started.status.code(), checked.status.code()),
        (Some(1), Some(1))
    );
    assert_eq!(started.stderr, checked.stderr);
    let folder = format!("{}/", folder.path().display());
    let printed = checked.stderr.replace(&folder, "");
    assert!(
        printed.starts_with("sessiongate: the configuration has 11 problems:\n"),
        "{printed}"
    );
    // Problems with variables come first.
    let (plain, reports) = printed.split_once("\n\n").context("reports")?;
    assert!(
        plain.ends_with("\n  DRAIN_TIMEOUT: `soon` is not a whole number of seconds"),
        "{printed}"
    );
    let places = reports
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--> "));
    let titles = reports
        .lines()
        .filter_map(|line| line.strip_prefix("error: "));
    let found: Vec<_> = places.zip(titles).collect();
    assert_eq!(
        found,
        [
            ("gate.toml:1:1", "unknown key `uptream`"),
            (
                "gate.toml:2:15",
                "auth_secret: the secret has only 13 bytes; 32 or more are needed for full strength; make one with \
                 `openssl rand -base64 33`"
            ),
            ("gate.toml:3:16", "the variable NOT_SET is not set"),
            (
                "gate.toml:4:11",
                "`workers` must be a whole number, not text"
            ),
            (
                "gate.toml:5:17",
                "an entry of `public_paths` must not contain a comma"
            ),
            (
                "gate.toml:6:14",
                "log_format: `xml` is not one of `json`, `text`"
            ),
            (
                "gate.toml:10:11",
                "`timeout` must be a whole number of seconds, not text"
            ),
            ("routes/a.toml:2:1", "unknown key `pth` in [[route]]"),
            ("routes/b.toml:1:10", "[service.api] is defined twice"),
            ("routes/b.toml:5:16", "unclosed array, expected `]`"),
        ]
    );
    for secret in ["hunter2", "hidden"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(!printed.contains('\u{1b}'), "{printed}");
    Ok(())
}

#[tokio::test]
async fn reports_have_colors_on_a_terminal_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = written(&folder, &[("gate.toml", "listne = 1\n")])?;
    let on_terminal = async |no_color: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])"]);
        python.args([
            env!("CARGO_BIN_EXE_sessiongate"),
            "check-config",
            "--config",
            &file,
        ]);
        python.env("NO_COLOR", no_color);
        harness::run(python, "python3").await
    };
    let colored = on_terminal("").await?;
    assert!(
        colored.contains("\u{1b}[") && colored.contains("listne"),
        "{colored}"
    );
    let plain = on_terminal("1").await?;
    assert!(
        !plain.contains('\u{1b}') && plain.contains("listne"),
        "{plain}"
    );
    Ok(())
}

#[tokio::test]
async fn an_unreadable_file_is_the_only_reported_problem() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let closed = written(&folder, &[("gate.toml", "")])?;
    let mut permissions = fs::metadata(&closed)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0);
    fs::set_permissions(&closed, permissions)?;
    for (file, why) in [
        ("/nonexistent/gate.toml", "No such file or directory"),
        (closed.as_str(), "Permission denied"),
        ("/", "it is a folder; give a file"),
    ] {
        let finished = bare().args(["--config", file]).unprivileged().run().await?;
        assert_eq!(finished.status.code(), Some(1));
        let printed = format!("{file}: cannot read this configuration file: {why}");
        assert!(finished.stderr.contains(&printed), "{}", finished.stderr);
        assert!(
            finished.stderr.contains("1 problem:"),
            "{}",
            finished.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_tools_read_the_configuration_file() -> Result<()> {
    let (echo, folder) = (Echo::start().await?, tempfile::tempdir()?);
    let secret = folder.path().join("secret");
    fs::write(&secret, mint::SECRET)?;
    let text = format!(
        "upstream = \"{}\"\nauth_secret_file = {secret:?}\n",
        echo.url()
    );
    let file = written(
        &folder,
        &[("gate.toml", &text), ("broken.toml", "listne = 1")],
    )?;
    let minted = bare()
        .args([
            "mint", "--config", &file, "--format", "authjs", "--user", "ada",
        ])
        .run()
        .await?;
    assert!(minted.status.success(), "{}", minted.stderr);
    let gate = bare().args(["--config", &file]).start().await?;
    let request = harness::Request::get("/").cookie(minted.stdout.trim());
    assert_eq!(gate.send(&request).await?.status, 200);

    let with_admin = format!("{text}admin_listen = \"{}\"\n", gate.admin);
    let file = written(&folder, &[("admin.toml", &with_admin)])?;
    let health = bare()
        .without("ADMIN_LISTEN")
        .args(["healthcheck", "--config", &file]);
    assert!(health.run().await?.status.success());

    let broken = folder.path().join("broken.toml");
    let broken = broken.to_str().context("a path")?;
    let refused = bare().args([
        "mint", "--config", broken, "--format", "authjs", "--user", "ada",
    ]);
    let refused = refused.run().await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.stderr.contains("broken.toml:1:1"),
        "{}",
        refused.stderr
    );
    Ok(())
}

#[tokio::test]
async fn the_printed_example_configuration_is_accepted() -> Result<()> {
    let printed = bare().args(["reference", "example"]).run().await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let committed = fs::read_to_string(root.join("sessiongate.example.toml"))?;
    assert_eq!(printed.stdout.trim(), committed.trim());
    let folder = tempfile::tempdir()?;
    let file = written(&folder, &[("gate.toml", &printed.stdout)])?;
    let checked = bare()
        .args(["check-config", "--config", &file])
        .env("UPSTREAM", "http://127.0.0.1:1")
        .env("AUTH_SECRET", mint::SECRET)
        .run()
        .await?;
    assert!(checked.status.success(), "{}", checked.stderr);
    assert!(!checked.stdout.contains("no effect"), "{}", checked.stdout);
    Ok(())
}

const GATE: &str = r#"uptream = "http://user:hidden@127.0.0.1:3000"
auth_secret = "hunter2-short"
database_url = "postgres://gate:hidden-password@${NOT_SET}/app"
workers = "four"
public_paths = ["/b,/c"]
log_format = "xml"
include = ["routes/*.toml"]
[service.api]
upstream = "http://127.0.0.1:3000"
timeout = "60"
"#;

const ROUTES_A: &str = r#"[[route]]
pth = "/a/"
service = "api"
"#;

const ROUTES_B: &str = r#"[service.api]
upstream = "http://127.0.0.1:3001"
[[route]]
path = "/b/"
methods = ["GET"
"#;
