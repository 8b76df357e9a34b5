//! Calibre-Web.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::page::replace_literal;
use harness::{Request, Server, venv};

use crate::support::{Front, PORT, SECRETS, SHARED_SECRET, Visitor, started, text_of};
use crate::trial::Trial;

#[tokio::test]
async fn calibre_web_knows_the_user_of_the_session() -> Result<()> {
    let calibre = calibre_web().await?;
    let front = Front::start(PAGE, calibre.address()).await?;
    let trial = Trial {
        front: &front,
        app: calibre.address(),
        // Even a client that knows the secret that Calibre-Web shares with the gate.
        forged: &[
            ("Remote-User", "ada@example.com"),
            ("X-Calibre-Web-Secret", SHARED_SECRET),
        ],
        eve: "ada@example.com",
        zoe: "zoe@example.com",
        folds: &['_'],
    };
    trial.run(shown_user).await?;
    trial.ignores_unverified_email(shown_user).await?;
    checks_passwords_on_the_reader_route(&front, trial.forged).await
}

/// On the public route for e-readers, Calibre-Web checks its own passwords, and forged headers of the gate have no effect.
async fn checks_passwords_on_the_reader_route(
    front: &Front,
    forged: &[(&str, &str)],
) -> Result<()> {
    let mut reader = front.stranger();
    for (name, value) in forged {
        for name in [(*name).to_owned(), name.replace('-', "_")] {
            reader.after.push((name, (*value).to_owned()));
        }
    }
    for feed in ["/opds", "/opds/"] {
        assert_eq!(reader.get(feed).await?.status, 401, "{feed}");
        let password = STANDARD.encode("admin:Another-Passw0rd");
        let request = Request::get(feed).header("Authorization", format!("Basic {password}"));
        let answer = reader.send(request).await?;
        assert_eq!(answer.status, 200, "{feed}");
        assert!(answer.text().contains("<feed"), "{feed}");
    }
    Ok(())
}

/// Starts Calibre-Web as its page says: creates its settings, then changes them.
async fn calibre_web() -> Result<Server> {
    let cps = venv("calibre-web", "cps")?;
    let python = venv("calibre-web", "python")?;
    started(PAGE, 2, "calibre-web", |folder, port| {
        let here = folder.to_string_lossy();
        let own = |command: &str| replace_literal(command, STATE, &here);
        let library = folder.join("books");
        std::fs::create_dir(&library)?;
        make_library(&python, &library)?;
        std::fs::write(folder.join("calibre-web"), SHARED_SECRET)?;
        let settings = own(&text_of(PAGE, "python", 0)?)?;
        let settings = replace_literal(&settings, "/srv/books", &library.to_string_lossy())?;
        let settings = replace_literal(&settings, SECRETS, &format!("{here}/"))?;
        let settings = replace_literal(&settings, PORT, &port.to_string())?;
        std::fs::write(folder.join("settings.py"), settings)?;
        run(&cps, &own(&text_of(PAGE, "sh", 0)?)?, folder)?;
        run(&python, &text_of(PAGE, "sh", 1)?, folder)?;
        Ok(vec![
            ("cps", cps.to_string_lossy().into_owned()),
            (STATE, here.into_owned()),
        ])
    })
    .await
}

/// Creates a library without books, as Calibre would.
fn make_library(python: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new(python);
    command
        .args(["-c", LIBRARY])
        .arg(folder.join("metadata.db"));
    succeeds(command)
}

/// Runs a command line of the page in `folder`, with this program in place of its first word.
fn run(program: &Path, line: &str, folder: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.args(line.split_ascii_whitespace().skip(1));
    command.current_dir(folder);
    succeeds(command)
}

fn succeeds(mut command: Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {printed}");
    Ok(())
}

/// The email address in the form of the profile page.
async fn shown_user(visitor: &mut Visitor) -> Result<Option<String>> {
    let Some(profile) = visitor.read("/me").await? else {
        return Ok(None);
    };
    let address = profile.split_once(r#"name="email" id="email" value=""#);
    let address = address.and_then(|(_, rest)| rest.split_once('"'));
    Ok(address.map(|(address, _)| address.to_owned()))
}

/// A script that creates Calibre's tables with the models of Calibre-Web.
const LIBRARY: &str = r#"
import os, sys
import calibreweb
sys.path.insert(0, os.path.dirname(calibreweb.__file__))
from cps import db
from sqlalchemy import create_engine, text

with create_engine("sqlite:///" + sys.argv[1]).begin() as library:
    library.execute(text(f"ATTACH DATABASE '{sys.argv[1]}' AS calibre"))
    db.Base.metadata.create_all(library)
    library.execute(text("INSERT INTO library_id (uuid) VALUES ('5e7f2c1a-0000-4000-8000-000000000000')"))
"#;
const STATE: &str = "/var/lib/calibre-web";
const PAGE: &str = "calibre-web.md";
