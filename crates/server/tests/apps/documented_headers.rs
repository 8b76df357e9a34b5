//! Applications that these tests cannot install: which headers the gate writes for them, with the file of their page.

use anyhow::Result;
use harness::Echo;

use crate::support::Front;

#[tokio::test]
async fn grafana_gets_the_headers_of_its_auth_proxy() -> Result<()> {
    let headers = [
        ("x-webauth-user", "zoe@example.com"),
        ("x-webauth-email", "zoe@example.com"),
        ("x-webauth-name", "Zo=C3=AB M=C3=BCller"),
        ("x-webauth-role", "Editor"),
    ];
    receives_headers("grafana.md", &headers).await
}

#[tokio::test]
async fn jenkins_gets_the_headers_of_its_plugin() -> Result<()> {
    let headers = [
        ("x-forwarded-user", "zoe"),
        ("x-forwarded-mail", "zoe@example.com"),
        ("x-forwarded-displayname", "Zo%C3%AB%20M%C3%BCller"),
        ("x-forwarded-groups", "editors|writers"),
    ];
    receives_headers("jenkins.md", &headers).await
}

#[tokio::test]
async fn gitea_gets_the_headers_of_its_reverse_proxy_authentication() -> Result<()> {
    let headers = [
        ("x-webauth-user", "zoe"),
        ("x-webauth-email", "zoe@example.com"),
        ("x-webauth-fullname", "Zo%C3%AB%20M%C3%BCller"),
    ];
    receives_headers("gitea.md", &headers).await
}

/// Verifies which headers arrive for Zoë although she forges them, and that a client without a session is refused.
async fn receives_headers(page: &str, headers: &[(&str, &str)]) -> Result<()> {
    let echo = Echo::start().await?;
    let front = Front::start(page, echo.address()).await?;
    let mut stranger = front.stranger();
    let mut zoe = front.zoe("Editor");
    for (name, _) in headers {
        for spelling in [
            (*name).to_owned(),
            name.replace('-', "_"),
            name.replace('-', "."),
        ] {
            stranger.after.push((spelling.clone(), "forged".to_owned()));
            zoe.after.push((spelling, "forged".to_owned()));
        }
    }
    assert_eq!(stranger.get("/").await?.status, 401, "{page}");
    assert_eq!(zoe.get("/").await?.status, 200, "{page}");
    let seen = echo.only();
    for (name, value) in headers {
        assert_eq!(seen.headers.all(name), [*value], "{page}: {name}");
    }
    let forged = seen
        .headers
        .iter()
        .filter(|(_, value)| value.contains("forged"));
    assert_eq!(forged.collect::<Vec<_>>(), [], "{page}");
    Ok(())
}
