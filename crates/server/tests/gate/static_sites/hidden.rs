//! Files that the gate never sends: hidden ones, and those outside the folder.

use std::os::unix::fs::symlink;

use anyhow::Result;
use harness::Request;

use super::site::{OUTSIDE, Site};

#[tokio::test]
async fn names_with_a_leading_dot_are_hidden() -> Result<()> {
    let files = [
        (".env", "hidden"),
        (".git/config", "hidden"),
        ("a/.htpasswd", "hidden"),
        (".well-known/security.txt", "told"),
        (".well-known/.hidden", "hidden"),
        ("a/.well-known/b", "hidden"),
    ];
    let site = Site::start(&files, &[]).await?;
    let with_well_known = Site::start(&files, &[("FOLDER_WELL_KNOWN", "true")]).await?;
    for (name, _) in files {
        let target = format!("/{name}");
        assert_eq!(site.get(&target).await?.status, 404, "{name}");
        let expected = if name == ".well-known/security.txt" {
            200
        } else {
            404
        };
        assert_eq!(
            with_well_known.get(&target).await?.status,
            expected,
            "{name}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn symbolic_links_must_stay_within_the_folder() -> Result<()> {
    let site = Site::start(&[("a/b.txt", "inside"), ("404.html", "none")], &[]).await?;
    for (target, name) in [
        ("a/b.txt", "inside.txt"),
        ("../a/b.txt", "a/up.txt"),
        ("a", "folder"),
        ("../outside.txt", "outside.txt"),
        ("../outside.txt", "outside.html"),
        ("../../outside.txt", "a/outside.txt"),
        ("..", "parent"),
        ("/etc/hostname", "absolute.txt"),
        ("/proc/self/environ", "environ"),
        ("/dev/zero", "zero"),
        ("loop", "loop"),
        ("nothing", "dangling"),
    ] {
        symlink(target, site.path(name))?;
    }
    // Links of compressed files and of index pages do not lead outside either.
    symlink("../../outside.txt", site.path("a/b.txt.gz"))?;
    symlink("../../outside.txt", site.path("a/index.html"))?;
    for target in ["/inside.txt", "/a/up.txt", "/folder/b.txt", "/a/b.txt"] {
        let answer = site
            .get_with(target, &[("Accept-Encoding", "gzip")])
            .await?;
        assert_eq!(
            (answer.status, &*answer.text()),
            (200, "inside"),
            "{target}"
        );
    }
    for target in [
        "/outside.txt",
        "/outside.html",
        "/a/outside.txt",
        "/parent/outside.txt",
        "/parent/site/a/b.txt",
        "/absolute.txt",
        "/environ",
        "/zero",
        "/loop",
        "/dangling",
        "/a/",
    ] {
        let answer = site.get(target).await?;
        assert_eq!(answer.status, 404, "{target}");
        assert!(!answer.text().contains(OUTSIDE), "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn no_spelling_of_a_path_leaves_the_folder() -> Result<()> {
    let files = [
        ("index.html", "the app"),
        ("a/b.txt", "inside"),
        ("..c/d.txt", "hidden"),
    ];
    let site = Site::start(&files, &[("FOLDER_FALLBACK", "/index.html")]).await?;
    let climbs = [
        "..",
        "%2e%2e",
        "%2E%2E",
        ".%2e",
        "%2e.",
        "%252e%252e",
        "%25252e%25252e",
        "..%00",
        "..;",
        "..;x=y",
        "..%20",
        "..%09",
        "...",
        "....",
        "%c0%ae%c0%ae",
        "%e0%80%ae%e0%80%ae",
        "%uff0e%uff0e",
        "%ef%bc%8e%ef%bc%8e",
        "..%5c..",
        "%5c..",
        "..%c0%af..",
        "..%01",
        "..%ff",
    ];
    let slashes = [
        "/",
        "%2f",
        "%2F",
        "%252f",
        "\\",
        "%5c",
        "%5C",
        "%255c",
        "//",
        "/./",
        "/%2e/",
        "%c0%af",
        "%e0%80%af",
        "%ef%bc%8f",
        "/%00/",
        ";/",
        "%0a",
        "/;/",
    ];
    let mut targets = Vec::new();
    for climb in climbs {
        for slash in slashes {
            for depth in 1..=2 {
                let up = format!("{climb}{slash}").repeat(depth);
                targets.push(format!("/{up}outside.txt"));
                targets.push(format!("/a{slash}{up}{climb}{slash}outside.txt"));
            }
        }
    }
    targets.extend(
        [
            "//outside.txt",
            "/a//../../outside.txt",
            "/..c/d.txt",
            "/%00",
            "/a/b.txt%00.html",
            "/a/b.txt%00",
            "/a/b.txt/",
            "/a/b.txt/..",
            "/a/b.txt/../../../outside.txt",
            "/index.html::$DATA",
            "/proc/self/environ",
            "http://a/../outside.txt",
            "http://a/%2e%2e/outside.txt",
            "/?/../outside.txt/../../x",
        ]
        .map(str::to_owned),
    );
    targets.push(format!("/{}outside.txt", "../".repeat(300)));
    targets.push(format!("/{}", "a".repeat(3000)));
    targets.push(format!("/{}", "a/".repeat(2000)));
    for target in targets {
        let answer = site.raw(target.as_bytes()).await?;
        let text = answer.text();
        assert!(
            !text.contains(OUTSIDE) && !text.contains("hidden"),
            "{target}"
        );
        // The text behind the question mark is not part of the path.
        if target.starts_with("/?") {
            assert_eq!(answer.status, 200, "{target}");
            continue;
        }
        let controls = ["%00", "%01", "%09", "%0a"];
        let has_control = controls.iter().any(|control| target.contains(control));
        let expected = if has_control { 400 } else { 404 };
        assert_eq!(answer.status, expected, "{target}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_redirect_never_names_another_host() -> Result<()> {
    let site = Site::start(
        &[("evil.test/index.html", "a"), ("a:b/index.html", "b")],
        &[],
    )
    .await?;
    for (target, location) in [
        ("/evil.test", "./evil.test/"),
        ("/a:b", "./a:b/"),
        ("/evil.test?//x", "./evil.test/?//x"),
    ] {
        let answer = site.get(target).await?;
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, Some(location))
        );
    }
    let answer = site.raw(b"//evil.test").await?;
    assert_eq!(answer.status, 404);
    Ok(())
}

#[tokio::test]
async fn special_files_are_404() -> Result<()> {
    let site = Site::start(&[("a.txt", "a")], &[]).await?;
    let made = std::process::Command::new("mkfifo")
        .arg(site.path("fifo"))
        .status()?;
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(site.path("socket"))?;
    for target in ["/fifo", "/socket", "/a.txt/b"] {
        assert_eq!(site.get(target).await?.status, 404, "{target}");
    }
    assert_eq!(site.send(&Request::get("/a.txt")).await?.status, 200);
    Ok(())
}
