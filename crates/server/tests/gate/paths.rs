//! Which paths need a session, and that the upstream gets exactly the path that the gate judged.

use anyhow::{Context, Result};
use harness::Request;

use crate::support::{signed_in, started};

const PUBLIC: (&str, &str) = ("PUBLIC_PATHS", "/healthz,/assets/");

#[tokio::test]
async fn only_public_paths_need_no_session() -> Result<()> {
    let (echo, gate) = started([PUBLIC]).await?;
    for (target, status) in [
        ("/healthz", 200),
        ("/healthz?verbose=1", 200),
        ("/assets/", 200),
        ("/assets/site.css", 200),
        ("/assets/fonts/a%20b.woff2?v=/../x", 200),
        ("/healthz/", 401),
        ("/healthz2", 401),
        ("/Healthz", 401),
        ("/assets", 401),
        ("/assetsx/site.css", 401),
        ("/ASSETS/site.css", 401),
        ("/", 401),
        ("/?x=/healthz", 401),
        ("/private/assets/", 401),
    ] {
        let before = echo.seen().len();
        let answer = gate.send(&Request::get(target)).await?;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(
            echo.seen().len() - before,
            usize::from(status == 200),
            "{target}"
        );
    }
    for seen in echo.seen() {
        let id = seen.headers.get("x-user-id").unwrap_or_default();
        assert_eq!(id, "", "a public path names no user: {}", seen.target);
    }
    Ok(())
}

#[tokio::test]
async fn a_public_path_gets_no_identity_even_with_a_session() -> Result<()> {
    let (echo, gate) = started([PUBLIC]).await?;
    assert_eq!(
        gate.send(&signed_in("/healthz", "ada").header("X-User-Id", "root"))
            .await?
            .status,
        200
    );
    assert_eq!(echo.only().headers.get("x-user-id").unwrap_or_default(), "");
    Ok(())
}

/// Paths that an upstream may read as a path of another route.
const AMBIGUOUS: [&str; 23] = [
    "/assets/../private",
    "/assets/..",
    "/private/../assets/x",
    "/./healthz",
    "//assets/x",
    "/assets//../private",
    "/assets/%2e%2e/private",
    "/assets/%2E./private",
    "/assets/..%2fprivate",
    "/assets/..;/private",
    "/assets;x=1/y",
    "/assets/..\\private",
    "/assets%2fx",
    "/ASSETS%2fx",
    "/assets/%5c..%5cprivate",
    "/assets/%252e%252e/private",
    "/assets/%c0%ae%c0%ae/private",
    "/assets/%00",
    "/healthz;v=1",
    "/healthz#/private",
    "/assets/#/private",
    "/assets/x/..;/y",
    "//host/assets/x",
];

#[tokio::test]
async fn a_path_with_two_readings_is_refused_if_access_differs() -> Result<()> {
    let (echo, gate) = started([PUBLIC]).await?;
    for target in AMBIGUOUS {
        for request in [Request::get(target), signed_in(target, "ada")] {
            let mut client = gate.connect().await?;
            assert_eq!(
                client.send(&request).await.context(target)?.status,
                400,
                "{target}"
            );
            client.closed().await?;
        }
    }
    assert!(echo.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_path_is_forwarded_unchanged_if_all_readings_have_one_rule() -> Result<()> {
    let (echo, gate) = started([PUBLIC]).await?;
    for (target, stranger) in [
        ("/@scope%2fname", 401),
        ("/@scope%2Fname/-/name-1.0.0.tgz", 401),
        ("//", 401),
        ("//private", 401),
        ("/a//b", 401),
        ("/shop;jsessionid=1A2B", 401),
        ("/shop;jsessionid=1A2B/cart", 401),
        ("/./private", 401),
        ("/a/../b", 401),
        ("/a%5cb", 401),
        ("/a%zz", 401),
        ("/files/a%252fb", 401),
        ("/proxy/https://example.com/assets/x", 401),
        ("/assets//x", 200),
        ("/assets/a%2fb", 200),
        ("/assets/a;v=1", 200),
        ("/assets/a/../x", 200),
    ] {
        let answer = gate.send(&Request::get(target)).await.context(target)?;
        assert_eq!(answer.status, stranger, "{target}");
        let answer = gate.send(&signed_in(target, "ada")).await.context(target)?;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(echo.seen().pop().expect("it arrived").target, target);
    }
    Ok(())
}

#[tokio::test]
async fn every_path_of_a_host_with_one_rule_is_forwarded_unchanged() -> Result<()> {
    let (echo, gate) = started([]).await?;
    for target in [
        "/a/../b",
        "//a",
        "/a//b",
        "/a;v=1",
        "/a%2Fb",
        "/%2e%2e/x",
        "/a%5Cb",
        "/%E2%82%AC",
        "/a%zz",
        // Characters that browsers do not encode in a query.
        r"/a?q=%2e%2e/&&=;'{}|^`\[]",
    ] {
        let answer = gate.send(&signed_in(target, "ada")).await.context(target)?;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(echo.seen().pop().expect("it arrived").target, target);
    }
    Ok(())
}

#[tokio::test]
async fn the_query_is_forwarded_byte_for_byte() -> Result<()> {
    let (echo, gate) = started([PUBLIC]).await?;
    for target in [
        "/x?",
        "/x?a=1&a=2&b",
        "/x?%41=%00%0d%0a+%20",
        "/x?a=//..//;?#".trim_end_matches('#'),
        "/x??a=?",
    ] {
        assert_eq!(
            gate.send(&signed_in(target, "ada")).await?.status,
            200,
            "{target}"
        );
        assert_eq!(echo.seen().pop().expect("it arrived").target, target);
    }
    Ok(())
}

#[tokio::test]
async fn access_is_the_same_for_every_method() -> Result<()> {
    let (echo, gate) = started([]).await?;
    for method in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "get", "X-ODD",
    ] {
        assert_eq!(
            gate.send(&Request::new(method, "/")).await?.status,
            401,
            "{method}"
        );
    }
    assert!(echo.seen().is_empty());
    Ok(())
}
