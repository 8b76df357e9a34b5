//! Substitute pages: the page of single-page apps, and error pages.

use anyhow::Result;
use harness::Request;

use super::site::{Site, signed_in};

#[tokio::test]
async fn a_missing_page_gets_the_fallback_page_of_the_app() -> Result<()> {
    let files = [
        ("index.html", "the app"),
        ("app.js", "a"),
        ("real/a.txt", "a"),
    ];
    let site = Site::start(&files, &[("FOLDER_FALLBACK", "/index.html")]).await?;
    for target in [
        "/users/ada",
        "/users/",
        "/users/john.doe",
        "/a.html",
        "/real/",
    ] {
        let answer = site.send(&Request::get(target).as_navigation()).await?;
        assert_eq!(
            (answer.status, &*answer.text()),
            (200, "the app"),
            "{target}"
        );
        let varies = "accept-encoding, accept, sec-fetch-mode";
        assert_eq!(answer.header("vary"), Some(varies));
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    }
    // Missing files other than pages get 404, and so do requests of scripts.
    for target in [
        "/assets/old.js",
        "/missing.png",
        "/.env",
        "/users/.git/config",
    ] {
        let answer = site.send(&Request::get(target).as_navigation()).await?;
        assert_eq!(answer.status, 404, "{target}");
    }
    let fetch = [("Accept", "application/json"), ("Sec-Fetch-Mode", "cors")];
    let answer = site.get_with("/users/ada", &fetch).await?;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = site.send(&Request::get("/app.js").as_navigation()).await?;
    assert_eq!(answer.text(), "a");
    Ok(())
}

#[tokio::test]
async fn browsers_get_the_error_pages_of_the_folder() -> Result<()> {
    let files = [
        ("errors/404.html", "nothing here"),
        ("errors/405.html", "not accepted"),
        ("a.txt", "0123456789"),
    ];
    let pages = ("FOLDER_ERROR_PAGES", "/errors/{status}.html");
    let site = Site::start(&files, &[pages]).await?;
    let answer = site.send(&Request::get("/b").as_navigation()).await?;
    assert_eq!((answer.status, &*answer.text()), (404, "nothing here"));
    let kind = Some("text/html; charset=utf-8");
    assert_eq!(answer.header("content-type"), kind);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let line = site.audit(&answer).await?;
    assert_eq!(
        (&line["status"], &line["bytes_out"]),
        (&404.into(), &12.into())
    );
    let form = Request::post("/a.txt", "x").as_navigation();
    let answer = site.send(&form).await?;
    assert_eq!((answer.status, &*answer.text()), (405, "not accepted"));
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    // Without an error page in the folder, and for programs, the gate sends its own.
    let range = Request::get("/a.txt")
        .as_navigation()
        .header("Range", "bytes=50-");
    let answer = site.send(&range).await?;
    assert_eq!(answer.status, 416);
    assert_eq!(answer.header("content-range"), Some("bytes */10"));
    assert_eq!(answer.header("content-type"), kind);
    let answer = site.get("/b").await?;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()?["error"], "not_found");
    let head = signed_in(&Request::new("HEAD", "/b").as_navigation());
    let answer = site.gate.send(&head).await?;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (404, Some("12"))
    );
    Ok(())
}

#[tokio::test]
async fn without_a_session_nothing_of_the_folder_is_served() -> Result<()> {
    let files = [("index.html", "inside"), ("404.html", "inside")];
    let settings = [
        ("FOLDER_ERROR_PAGES", "404.html"),
        ("FOLDER_FALLBACK", "index.html"),
    ];
    let site = Site::start(&files, &settings).await?;
    for target in ["/", "/index.html", "/404.html", "/nothing", "/users/"] {
        let answer = site
            .gate
            .send(&Request::get(target).as_navigation())
            .await?;
        assert_eq!(answer.status, 401, "{target}");
        assert!(!answer.text().contains("inside"), "{target}");
        assert_eq!(
            site.audit(&answer).await?["upstream"],
            serde_json::Value::Null
        );
    }
    Ok(())
}
