//! Radicale.

use anyhow::Result;
use harness::{Request, Server};

use crate::support::{Front, PORT, Visitor, started, text_of};
use crate::trial::Trial;

#[tokio::test]
async fn radicale_knows_the_user_of_the_session() -> Result<()> {
    let radicale = radicale().await?;
    let front = Front::start(PAGE, radicale.address()).await?;
    let trial = Trial {
        front: &front,
        app: radicale.address(),
        forged: &[("X-Remote-User", "eve@example.com")],
        eve: "eve@example.com",
        zoe: "zoe@example.com",
        folds: &['_'],
    };
    trial.run(shown_user).await?;
    trial.ignores_unverified_email(shown_user).await
}

#[tokio::test]
async fn radicale_denies_access_to_other_users_calendars() -> Result<()> {
    let radicale = radicale().await?;
    let front = Front::start(PAGE, radicale.address()).await?;
    for (calendar, status) in [
        ("/zoe@example.com/work/", 201),
        ("/eve@example.com/work/", 403),
    ] {
        let mut zoe = front.zoe("reader");
        let answer = zoe.send(Request::new("MKCALENDAR", calendar)).await?;
        assert_eq!(answer.status, status, "{calendar}");
    }
    Ok(())
}

async fn radicale() -> Result<Server> {
    started(PAGE, 0, "radicale", |folder, port| {
        let config = text_of(PAGE, "ini", 0)?.replace(PORT, &port.to_string());
        let collections = folder.join("collections");
        let config = config.replace(COLLECTIONS, &collections.to_string_lossy());
        std::fs::write(folder.join("config"), config)?;
        let config = folder.join("config").to_string_lossy().into_owned();
        Ok(vec![("/etc/radicale/config", config)])
    })
    .await
}

/// The principal as which Radicale authenticates the visitor (RFC 5397).
async fn shown_user(visitor: &mut Visitor) -> Result<Option<String>> {
    let question = Request::new("PROPFIND", "/").body(PRINCIPAL);
    let answer = visitor.send(question.header("Depth", "0")).await?;
    if answer.status != 207 {
        return Ok(None);
    }
    let text = answer.text();
    let principal = text.split_once("<current-user-principal>");
    let href = principal.and_then(|(_, rest)| rest.split_once("<href>/"));
    let href = href.and_then(|(_, rest)| rest.split_once("/</href>"));
    Ok(href.map(|(user, _)| user.replace("%40", "@")))
}

const PRINCIPAL: &str =
    r#"<propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>"#;
const COLLECTIONS: &str = "/var/lib/radicale/collections";
const PAGE: &str = "radicale.md";
