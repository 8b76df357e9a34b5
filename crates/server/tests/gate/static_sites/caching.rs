//! Caching by clients and proxies: versions, conditional requests, compressed files, and `Cache-Control`.

use anyhow::{Context, Result};
use harness::Request;

use super::site::{MODIFIED_DATE, Site};

#[tokio::test]
async fn an_unchanged_file_gets_304() -> Result<()> {
    let site = Site::start(&[("a.html", "a")], &[]).await?;
    let first = site.get("/a.html").await?;
    let tag = first.header("etag").context("a tag")?;
    let weak = format!("W/{tag}");
    for (name, value, status) in [
        ("If-None-Match", tag, 304),
        ("If-None-Match", &weak, 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", MODIFIED_DATE, 304),
        ("If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT", 200),
        ("If-Match", tag, 200),
        ("If-Match", "\"other\"", 412),
        ("If-Unmodified-Since", MODIFIED_DATE, 200),
        ("If-Unmodified-Since", "Thu, 01 Jan 2026 00:00:00 GMT", 412),
    ] {
        let answer = site.get_with("/a.html", &[(name, value)]).await?;
        assert_eq!(answer.status, status, "{name}: {value}");
        if status == 304 {
            assert!(answer.body.is_empty());
            for name in ["etag", "cache-control", "vary", "last-modified"] {
                assert_eq!(answer.header(name), first.header(name), "{name}");
            }
            let line = site.audit(&answer).await?;
            assert_eq!(
                (&line["status"], &line["bytes_out"]),
                (&304.into(), &0.into())
            );
        }
    }
    site.put("a.html", b"another")?;
    let answer = site.get_with("/a.html", &[("If-None-Match", tag)]).await?;
    assert_eq!((answer.status, &*answer.text()), (200, "another"));
    Ok(())
}

#[tokio::test]
async fn a_range_of_an_outdated_version_gets_the_whole_file() -> Result<()> {
    let site = Site::start(&[("a.txt", "0123456789")], &[]).await?;
    let tag = site.get("/a.txt").await?;
    let tag = tag.header("etag").context("a tag")?;
    for (version, status) in [(tag, 206), (MODIFIED_DATE, 206), ("\"other\"", 200)] {
        let fields = [("Range", "bytes=0-1"), ("If-Range", version)];
        let answer = site.get_with("/a.txt", &fields).await?;
        assert_eq!(answer.status, status, "{version}");
    }
    Ok(())
}

#[tokio::test]
async fn curl_revalidates_its_copy_by_etag() -> Result<()> {
    let site = Site::start(&[("a.txt", "content")], &[]).await?;
    let folder = tempfile::tempdir()?;
    let tags = folder.path().join("tags").display().to_string();
    let words = ["--etag-save", &tags, "--etag-compare", &tags];
    assert_eq!(site.curl(&words, "/a.txt").await?, "content");
    let words = ["--etag-compare", &tags, "--write-out", "%{http_code}"];
    assert_eq!(site.curl(&words, "/a.txt").await?, "304");
    let words = ["--time-cond", MODIFIED_DATE, "--write-out", "%{http_code}"];
    assert_eq!(site.curl(&words, "/a.txt").await?, "304");
    Ok(())
}

#[tokio::test]
async fn the_smallest_acceptable_encoding_is_sent() -> Result<()> {
    let files = [
        ("app.js", "plain"),
        ("app.js.br", "brotli"),
        ("app.js.zst", "zstandard"),
        ("app.js.gz", "gzip"),
        ("other.css", "plain"),
        ("other.css.gz", "gzip"),
        ("index.html", "plain"),
        ("index.html.br", "brotli"),
        ("a.png", "plain"),
        ("a.png.gz", "gzip"),
    ];
    let site = Site::start(&files, &[]).await?;
    let mut tags = std::collections::BTreeSet::new();
    for (target, accepts, content, coding) in [
        ("/app.js", "gzip, deflate, br, zstd", "brotli", Some("br")),
        ("/app.js", "gzip, zstd", "zstandard", Some("zstd")),
        ("/app.js", "gzip", "gzip", Some("gzip")),
        ("/app.js", "gzip, br;q=0.5", "gzip", Some("gzip")),
        ("/app.js", "br;q=0, gzip;q=0", "plain", None),
        ("/app.js", "deflate", "plain", None),
        ("/app.js", "identity", "plain", None),
        ("/other.css", "br, gzip", "gzip", Some("gzip")),
        ("/", "br", "brotli", Some("br")),
    ] {
        let answer = site
            .get_with(target, &[("Accept-Encoding", accepts)])
            .await?;
        assert_eq!(answer.text(), content, "{target} {accepts}");
        assert_eq!(answer.header("content-encoding"), coding);
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        let kind = answer.header("content-type").context("a type")?;
        assert!(kind.starts_with("text/"), "{kind}");
        if target == "/app.js" {
            tags.insert(answer.header("etag").context("a tag")?.to_owned());
        }
    }
    assert_eq!(
        tags.len(),
        4,
        "each of them is a version of its own: {tags:?}"
    );
    // For a format that is already compressed, the gate looks for no compressed variant.
    let answer = site
        .get_with("/a.png", &[("Accept-Encoding", "gzip")])
        .await?;
    assert_eq!(answer.text(), "plain");
    assert_eq!(answer.header("vary"), None);
    // Under its own name, a compressed file is an ordinary file.
    let answer = site.get("/app.js.gz").await?;
    assert_eq!(answer.header("content-type"), Some("application/gzip"));
    assert_eq!(answer.header("content-encoding"), None);
    Ok(())
}

#[tokio::test]
async fn curl_decompresses_precompressed_files() -> Result<()> {
    let site = Site::start(&[("a.txt", "the file before compression")], &[]).await?;
    let mut gzip = std::process::Command::new("gzip");
    gzip.arg("--keep").arg(site.path("a.txt"));
    harness::run(gzip, "gzip").await?;
    // Only clients that accept the compressed file get it.
    site.put("a.txt", b"plain")?;
    assert_eq!(
        site.curl(&["--compressed"], "/a.txt").await?,
        "the file before compression"
    );
    assert_eq!(site.curl(&[], "/a.txt").await?, "plain");
    Ok(())
}

#[tokio::test]
async fn protected_files_are_not_for_shared_caches() -> Result<()> {
    let files = [("a.txt", "a"), ("open/a.txt", "a"), ("open/in/a.txt", "a")];
    let public = ("PUBLIC_PATHS", "/open/");
    for (setting, protected, open) in [
        (None, "private, no-cache", "no-cache"),
        (
            Some("public, max-age=60, s-maxage=600"),
            "private, max-age=60",
            "public, max-age=60, s-maxage=600",
        ),
        (Some("no-store"), "private, no-store", "no-store"),
    ] {
        let mut settings = vec![public];
        settings.extend(setting.map(|setting| ("FOLDER_CACHE_CONTROL", setting)));
        let site = Site::start(&files, &settings).await?;
        let answer = site.get("/a.txt").await?;
        assert_eq!(answer.header("cache-control"), Some(protected));
        let answer = site.gate.send(&Request::get("/open/a.txt")).await?;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), Some(open));
        let answer = site.gate.send(&Request::get("/open/in")).await?;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (301, Some(open))
        );
        // A request with a session gets the same.
        let answer = site.get("/open/a.txt").await?;
        assert_eq!(answer.header("cache-control"), Some(open));
    }
    Ok(())
}
