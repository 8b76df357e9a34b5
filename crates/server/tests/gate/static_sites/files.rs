//! Files, folders, parts of files.

use anyhow::{Context, Result};
use harness::{Client, Request};

use super::site::{MODIFIED_DATE, Site, signed_in};

#[tokio::test]
async fn a_file_is_sent_with_type_length_and_version() -> Result<()> {
    let files = [
        ("index.html", "<p>front"),
        ("docs/index.html", "<p>docs"),
        ("app.js", "let a"),
        ("style.css", "p {}"),
        ("data.json", "{}"),
        ("LICENSE", "MIT"),
        ("My File.txt", "spaces"),
        ("empty.txt", ""),
    ];
    let site = Site::start(&files, &[]).await?;
    for (target, kind, content) in [
        ("/", "text/html; charset=utf-8", "<p>front"),
        ("/index.html?v=1", "text/html; charset=utf-8", "<p>front"),
        ("/docs/", "text/html; charset=utf-8", "<p>docs"),
        ("/app.js", "text/javascript; charset=utf-8", "let a"),
        ("/style.css", "text/css; charset=utf-8", "p {}"),
        ("/data.json", "application/json", "{}"),
        ("/LICENSE", "application/octet-stream", "MIT"),
        ("/My%20File.txt", "text/plain; charset=utf-8", "spaces"),
        ("/empty.txt", "text/plain; charset=utf-8", ""),
    ] {
        let answer = site.get(target).await?;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.text(), content, "{target}");
        assert_eq!(answer.header("content-type"), Some(kind), "{target}");
        for (name, value) in [
            ("content-length", &*content.len().to_string()),
            ("last-modified", MODIFIED_DATE),
            ("accept-ranges", "bytes"),
            ("cache-control", "private, no-cache"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{target} {name}");
        }
        let tag = answer.header("etag").context("a tag")?;
        assert!(
            tag.starts_with('"'),
            "a file at rest has a strong tag: {tag}"
        );
        assert!(answer.header("date").is_some());
        let line = site.audit(&answer).await?;
        assert_eq!(line["status"], 200, "{line}");
        assert_eq!(line["bytes_out"], content.len(), "{line}");
        assert_eq!(line["upstream"], "2xx", "{line}");
        assert_eq!(line["ended"], "whole", "{line}");
        assert_eq!(line["user_id"], "ada", "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn curl_gets_the_content_of_the_file() -> Result<()> {
    let site = Site::start(&[("a.txt", "0123456789")], &[]).await?;
    assert_eq!(site.curl(&[], "/a.txt").await?, "0123456789");
    assert_eq!(site.curl(&["--http1.0"], "/a.txt").await?, "0123456789");
    assert_eq!(site.curl(&["--range", "2-4"], "/a.txt").await?, "234");
    assert_eq!(site.curl(&["--range", "-3"], "/a.txt").await?, "789");
    let resumed = site.curl(&["--continue-at", "7"], "/a.txt").await?;
    assert_eq!(resumed, "789");
    let head = site.curl(&["--head"], "/a.txt").await?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: 10\r\n"), "{head}");
    Ok(())
}

#[tokio::test]
async fn head_gets_the_headers_of_get_without_the_file() -> Result<()> {
    let site = Site::start(&[("a.html", "0123456789")], &[]).await?;
    let mut client = site.gate.connect().await?;
    let headers_of = async |client: &mut Client, method: &str| {
        let answer = client
            .send(&signed_in(&Request::new(method, "/a.html")))
            .await?;
        assert_eq!(answer.status, 200);
        let names = [
            "content-type",
            "content-length",
            "etag",
            "last-modified",
            "vary",
        ];
        let value = |name: &str| answer.header(name).map(str::to_owned);
        Ok::<_, anyhow::Error>(names.map(value))
    };
    let (head, get) = (
        headers_of(&mut client, "HEAD").await?,
        headers_of(&mut client, "GET").await?,
    );
    assert_eq!(head, get);
    assert_eq!(head[1].as_deref(), Some("10"));
    // Ranges apply only to GET.
    let request = Request::new("HEAD", "/a.html").header("Range", "bytes=0-1");
    assert_eq!(client.send(&signed_in(&request)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_range_of_a_file_is_sent_as_requested() -> Result<()> {
    let site = Site::start(&[("a.txt", "0123456789")], &[]).await?;
    for (range, status, content, of) in [
        ("bytes=0-3", 206, "0123", Some("bytes 0-3/10")),
        ("bytes=8-", 206, "89", Some("bytes 8-9/10")),
        ("bytes=-2", 206, "89", Some("bytes 8-9/10")),
        ("bytes=5-500", 206, "56789", Some("bytes 5-9/10")),
        ("bytes=0-0,20-30", 206, "0", Some("bytes 0-0/10")),
        ("bytes=9-5", 200, "0123456789", None),
        ("lines=1-2", 200, "0123456789", None),
        ("bytes=0-5,3-9", 200, "0123456789", None),
    ] {
        let answer = site.get_with("/a.txt", &[("Range", range)]).await?;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.text(), content, "{range}");
        assert_eq!(answer.header("content-range"), of, "{range}");
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=99999999999999999999-"] {
        let answer = site.get_with("/a.txt", &[("Range", range)]).await?;
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */10"));
    }
    Ok(())
}

#[tokio::test]
async fn several_ranges_are_sent_in_one_answer() -> Result<()> {
    let site = Site::start(&[("a.txt", "0123456789")], &[]).await?;
    let answer = site
        .get_with("/a.txt", &[("Range", "bytes=7-8, 0-1")])
        .await?;
    assert_eq!(answer.status, 206);
    let kind = answer.header("content-type").context("a type")?;
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.context("a boundary")?;
    let part = |range: &str, content: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {range}/10\r\n\r\n{content}\r\n"
        )
    };
    let expected = part("7-8", "78") + &part("0-1", "01") + &format!("--{boundary}--\r\n");
    assert_eq!(answer.text(), expected);
    assert!(answer.header("content-range").is_none());
    Ok(())
}

#[tokio::test]
async fn a_folder_without_its_slash_is_redirected() -> Result<()> {
    let files = [
        ("docs/index.html", "docs"),
        ("empty/a.txt", "a"),
        ("odd/index.html/a.txt", "a"),
    ];
    let site = Site::start(&files, &[]).await?;
    for (target, location) in [
        ("/docs", "./docs/"),
        ("/docs?a=b%2f&c", "./docs/?a=b%2f&c"),
        ("/empty", "./empty/"),
    ] {
        let answer = site.get(target).await?;
        assert_eq!(answer.status, 301, "{target}");
        assert_eq!(answer.header("location"), Some(location), "{target}");
        assert_eq!(answer.header("content-length"), Some("0"));
    }
    assert_eq!(site.curl(&["--location"], "/docs").await?, "docs");
    // The gate does not list the files of a folder.
    for target in [
        "/empty/",
        "/docs/index.html/",
        "/nothing/",
        "/odd/",
        "/odd/index.html/",
    ] {
        assert_eq!(site.get(target).await?.status, 404, "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn other_methods_get_405_with_the_allowed_ones() -> Result<()> {
    let site = Site::start(&[("a.txt", "a")], &[]).await?;
    let mut client = site.gate.connect().await?;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let request = Request::new(method, "/a.txt").body("x".repeat(1000));
        let answer = client.send(&signed_in(&request)).await?;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method}");
        let line = site.audit(&answer).await?;
        assert_eq!(
            (&line["status"], &line["upstream"]),
            (&405.into(), &"4xx".into())
        );
    }
    let request = Request::get("/a.txt").body("an unwanted body");
    assert_eq!(client.send(&signed_in(&request)).await?.text(), "a");
    Ok(())
}

#[tokio::test]
async fn pipelined_requests_for_files_are_answered_in_order() -> Result<()> {
    let site = Site::start(&[("a.txt", "a"), ("b.txt", "b")], &[]).await?;
    let mut client = site.gate.connect().await?;
    let targets = ["/a.txt", "/b.txt", "/c.txt", "/a.txt"];
    let requests = targets.map(|target| signed_in(&Request::get(target)).bytes(site.gate.proxy));
    client.raw(&requests.concat()).await?;
    for (status, start) in [(200, "a"), (200, "b"), (404, "{"), (200, "a")] {
        let answer = client.response().await?;
        assert_eq!(answer.status, status);
        assert!(answer.text().starts_with(start), "{}", answer.text());
    }
    Ok(())
}
