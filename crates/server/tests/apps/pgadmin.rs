//! pgAdmin 4.

use anyhow::{Context, Result};
use harness::page::replace_literal;
use harness::{Mint, Server, venv};

use crate::support::{Front, PORT, SECRETS, SHARED_SECRET, Visitor, started, text_of};
use crate::trial::Trial;

#[tokio::test]
async fn pgadmin_knows_the_user_of_the_session() -> Result<()> {
    let pgadmin = pgadmin().await?;
    let front = Front::start(PAGE, pgadmin.address()).await?;
    let trial = Trial {
        front: &front,
        app: pgadmin.address(),
        // Even a client that knows the secret that pgAdmin shares with the gate.
        forged: &[
            ("Remote-User", "eve@example.com"),
            ("X-Pgadmin-Webserver-Secret", SHARED_SECRET),
        ],
        eve: "eve@example.com",
        zoe: "zoe@example.com",
        folds: &[],
    };
    trial.run(shown_user).await?;
    trial.ignores_unverified_email(shown_user).await?;
    assert_eq!(shown_user(&mut front.zoe("reader")).await?, None);
    stays_with_the_first_user(&front).await
}

/// Verifies the warning on the page: where Eve did not sign out of pgAdmin, Zoë gets Eve's pgAdmin in the same browser.
async fn stays_with_the_first_user(front: &Front) -> Result<()> {
    let eve = Mint::user("eve").claim("email", "eve@example.com");
    let mut browser = front.with_session(&eve.claim("role", "admin"));
    assert_eq!(
        shown_user(&mut browser).await?.as_deref(),
        Some("eve@example.com")
    );
    let pgadmin = |cookie: &String| cookie.starts_with("pga4_session=");
    let left = browser.cookies.into_iter().filter(pgadmin);
    let mut zoe = front.zoe("admin");
    zoe.cookies.extend(left);
    assert_eq!(
        shown_user(&mut zoe).await?.as_deref(),
        Some("eve@example.com")
    );
    Ok(())
}

async fn pgadmin() -> Result<Server> {
    started(PAGE, 0, "pgadmin", |folder, port| {
        std::fs::write(folder.join("pgadmin"), SHARED_SECRET)?;
        let here = folder.to_string_lossy();
        let config = text_of(PAGE, "python", 0)?;
        let config = replace_literal(&config, "/var/lib/pgadmin", &format!("{here}/data"))?;
        let config = replace_literal(&config, SECRETS, &format!("{here}/"))?;
        let config = replace_literal(&config, PORT, &port.to_string())?;
        std::fs::write(folder.join("config_local.py"), config)?;
        let python = venv("pgadmin", "python")?;
        let packages = python.ancestors().nth(2).context("a folder")?.join("lib");
        let version = std::fs::read_dir(packages)?.next().context("packages")??;
        let script = version.path().join("site-packages/pgadmin4/pgAdmin4.py");
        let command = format!(
            "PYTHONPATH={here} {} {}",
            python.display(),
            script.display()
        );
        Ok(vec![("python pgAdmin4.py", command)])
    })
    .await
}

/// Opens pgAdmin as a browser does and returns the user's name from its script.
async fn shown_user(visitor: &mut Visitor) -> Result<Option<String>> {
    let mut page = "/".to_owned();
    for _ in 0..MAX_REDIRECTS {
        let answer = visitor.get(&page).await?;
        match answer.header("location") {
            Some(next) if next.starts_with('/') => page = next.to_owned(),
            _ => break,
        }
    }
    let Some(script) = visitor.read("/browser/js/utils.js").await? else {
        return Ok(None);
    };
    let name = script.split_once("username: '");
    let name = name.and_then(|(_, rest)| rest.split_once('\''));
    Ok(name.map(|(name, _)| name.to_owned()))
}

const MAX_REDIRECTS: usize = 5;
const PAGE: &str = "pgadmin.md";
