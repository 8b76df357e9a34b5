//! The settings of folders, their errors, and the messages of the tools about them.

use std::fs;
use std::path::Path;

use anyhow::Result;
use harness::{Client, Gate, GateCommand, Request, mint};
use tempfile::TempDir;

use crate::support::{gate, signed_in};

/// Creates a folder with a configuration file `gate.toml` with this text, and these files.
fn configured(text: &str, files: &[(&str, &str)]) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        fs::write(path, content)?;
    }
    write(&folder, text)?;
    Ok(folder)
}

fn write(folder: &TempDir, text: &str) -> Result<()> {
    let secret = mint::SECRET;
    let text = format!("auth_secret = \"{secret}\"\nlog_format = \"json\"\n{text}");
    fs::write(folder.path().join("gate.toml"), text)?;
    Ok(())
}

fn command(folder: &TempDir) -> GateCommand {
    let file = folder.path().join("gate.toml").display().to_string();
    Gate::command(env!("CARGO_BIN_EXE_sessiongate"))
        .env("SESSIONGATE_CONFIG", file)
        .env("RELOAD_INTERVAL", "0")
}

/// Returns the output of `check-config`, with bare file names.
async fn checked(folder: &TempDir) -> Result<String> {
    let finished = command(folder).args(["check-config"]).run().await?;
    let printed = finished.stdout + &finished.stderr;
    Ok(printed.replace(&format!("{}/", folder.path().display()), ""))
}

#[tokio::test]
async fn a_relative_folder_is_relative_to_the_configuration_file() -> Result<()> {
    let text = r#"
upstream = "dir:./public"
include = "more/*.toml"
"#;
    let files = [
        ("public/index.html", "of the top level"),
        (
            "more/sites.toml",
            "[service.wiki]\nupstream = \"dir:wiki\"\nwell_known = true\n\n[[route]]\npath = \"/\"\n\n[[route]]\npath = [\"/wiki\", \"/wiki/\"]\nservice = \"wiki\"\nstrip_prefix = \"/wiki\"\n\n[[route]]\npath = \"/open/\"\naccess = \"public\"\nupstream = \"dir:../public\"\nstrip_prefix = \"/open\"\n",
        ),
        ("more/wiki/index.html", "of the wiki"),
        ("more/wiki/in/index.html", "in the wiki"),
        ("more/wiki/.well-known/a.txt", "well known"),
    ];
    let folder = configured(text, &files)?;
    let gate = command(&folder).start().await?;
    for (target, content) in [
        ("/", "of the top level"),
        ("/wiki/", "of the wiki"),
        ("/wiki/in/", "in the wiki"),
        ("/wiki/.well-known/a.txt", "well known"),
        ("/open/", "of the top level"),
    ] {
        let answer = gate.send(&signed_in(target, "ada")).await?;
        assert_eq!((answer.status, &*answer.text()), (200, content), "{target}");
    }
    let public = gate.send(&Request::get("/open/index.html")).await?;
    assert_eq!(public.header("cache-control"), Some("no-cache"));
    // The redirect keeps the stripped prefix.
    for (target, location) in [("/wiki/in", "./in/"), ("/wiki?a", "./wiki/?a")] {
        let answer = gate.send(&signed_in(target, "ada")).await?;
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, Some(location)),
            "{target}"
        );
    }
    let refused = gate.send(&Request::get("/wiki/")).await?;
    assert_eq!(refused.status, 401);
    let printed = checked(&folder).await?;
    for words in [
        "dir:public",
        "dir:more/wiki without /wiki",
        "dir:more/../public without /open",
    ] {
        assert!(printed.contains(words), "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_folder_is_reported_with_its_place() -> Result<()> {
    let files = [("public/index.html", "a"), ("file", "a")];
    let missing = "there is no folder ";
    for (text, printed) in [
        (
            "upstream = \"dir:./publik\"\n",
            ["upstream: there is no folder publik", "gate.toml:3:12"],
        ),
        (
            "upstream = \"dir:file\"\n",
            ["file is a file, not a folder", "gate.toml:3:12"],
        ),
        (
            "upstream = \"dir:\"\n",
            ["give the folder too", "gate.toml:3:12"],
        ),
        (
            "[service.a]\nupstream = \"dir:publik\"\n[[route]]\npath = \"/\"\nservice = \"a\"\n",
            [missing, "gate.toml:4:12"],
        ),
        (
            "[[route]]\npath = \"/\"\nupstream = \"dir:publik\"\n",
            [missing, "gate.toml:5:12"],
        ),
        (
            "[service.a]\nupstream = [\"dir:public\", \"http://127.0.0.1:1\"]\n[[route]]\npath = \"/\"\nservice = \"a\"\n",
            [
                "a folder cannot be combined with other entries",
                "gate.toml:4:13",
            ],
        ),
        (
            "[service.a]\nupstream = \"dir:public\"\nfallback = \"app.html\"\n[[route]]\npath = \"/\"\nservice = \"a\"\n",
            ["there is no file public/app.html", "gate.toml:5:12"],
        ),
        (
            "[service.a]\nupstream = \"dir:public\"\nfallback = \"../file\"\n[[route]]\npath = \"/\"\nservice = \"a\"\n",
            ["give the path of a file below the folder", "gate.toml:5:12"],
        ),
        (
            "[service.a]\nupstream = \"dir:public\"\nerror_pages = \"/{status}.html\"\n[[route]]\npath = \"/\"\nservice = \"a\"\n",
            ["there is no file public/404.html", "gate.toml:5:15"],
        ),
        (
            "[service.a]\nupstream = \"dir:public\"\ncache_control = \"max age\"\n[[route]]\npath = \"/\"\nservice = \"a\"\n",
            ["give directives of Cache-Control", "gate.toml:5:17"],
        ),
        (
            "[service.a]\nupstream = \"http://127.0.0.1:1\"\nfallback = \"a\"\n[[route]]\npath = \"/\"\nservice = \"a\"\n",
            ["this has no effect", "gate.toml:5:12"],
        ),
        (
            "[service.a]\nupstream = \"dir:public\"\nconnect_timeout = 1\n[[route]]\npath = \"/\"\nservice = \"a\"\n",
            ["there are no connections to it", "gate.toml:5:19"],
        ),
        (
            "upstream = \"dir:public\"\n[[route]]\npath = \"/\"\nrewrite_host = \"a\"\n",
            ["which has no host", "gate.toml:6:16"],
        ),
        (
            "upstream = \"dir:public\"\n[[route]]\npath = \"/\"\nforward_session_cookie = false\n",
            ["receives no headers", "gate.toml:6:26"],
        ),
        (
            "upstream = \"dir:public\"\nfolder_fallback = \"app.html\"\n",
            [
                "folder_fallback: `app.html`: there is no file public/app.html",
                "gate.toml:4:19",
            ],
        ),
    ] {
        let folder = configured(text, &files)?;
        let answer = checked(&folder).await?;
        for words in printed {
            assert!(answer.contains(words), "{text}\n{answer}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_can_be_configured_by_the_environment() -> Result<()> {
    let folder = configured("", &[("index.html", "a")])?;
    let path = folder.path().display();
    let finished = gate(&format!("dir:{path}/nothing"))
        .args(["check-config"])
        .run()
        .await?;
    let expected = format!("UPSTREAM: there is no folder {path}/nothing");
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    let finished = gate(&format!("dir:{path}"))
        .env("UPSTREAM_CONNECT_TIMEOUT", "1")
        .args(["check-config"])
        .run()
        .await?;
    let printed = &finished.stdout;
    assert!(printed.contains(&format!("dir:{path}")), "{printed}");
    assert!(
        printed.contains("UPSTREAM_CONNECT_TIMEOUT has no effect"),
        "{printed}"
    );
    for (method, expected) in [
        ("GET", format!("dir:{path}: GET /docs/")),
        ("POST", "the folder answers with 405".to_owned()),
    ] {
        let explain = ["explain", "--no-stores", method, "http://a.test/docs/"];
        let command = gate(&format!("dir:{path}")).env("PUBLIC_PATHS", "/");
        let finished = command.args(explain).run().await?;
        let printed = finished.stdout + &finished.stderr;
        assert!(printed.contains(&expected), "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reload_with_a_missing_folder_changes_nothing() -> Result<()> {
    let files = [
        ("one/index.html", "one"),
        ("two/index.html", "two"),
        ("two/404.html", "none"),
    ];
    let folder = configured("upstream = \"dir:one\"\n", &files)?;
    let gate = command(&folder).start().await?;
    let page = async |target: &str| {
        let request = signed_in(target, "ada").as_navigation();
        Ok::<_, anyhow::Error>(gate.send(&request).await?.text())
    };
    let reload = async |text: &str| {
        write(&folder, text)?;
        let mut admin = Client::connect(gate.admin).await?;
        admin.send(&Request::post("/reload", "")).await
    };
    assert_eq!(page("/").await?, "one");
    let answer = reload("upstream = \"dir:three\"\n").await?;
    assert_ne!(answer.status, 200);
    assert!(
        answer.text().contains("there is no folder"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("gate.toml:3"), "{}", answer.text());
    assert_eq!(page("/").await?, "one");
    let text = "upstream = \"dir:two\"\nfolder_error_pages = \"404.html\"\n";
    assert_eq!(reload(text).await?.status, 200);
    assert_eq!(page("/").await?, "two");
    assert_eq!(page("/nothing").await?, "none");
    // If a folder disappears later, its requests get 500.
    fs::rename(folder.path().join("two"), folder.path().join("three"))?;
    let answer = gate.send(&signed_in("/", "ada")).await?;
    assert_eq!(answer.status, 500);
    fs::rename(folder.path().join("three"), folder.path().join("two"))?;
    assert_eq!(page("/").await?, "two");
    Ok(())
}
