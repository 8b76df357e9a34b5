use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

/// A folder `site` with a neighbor, and links of every kind.
fn site() -> tempfile::TempDir {
    let all = tempfile::tempdir().unwrap();
    let site = all.path().join("site");
    fs::create_dir_all(site.join("docs/deep")).unwrap();
    fs::write(all.path().join("secret"), "secret").unwrap();
    fs::write(site.join("index.html"), "index").unwrap();
    fs::write(site.join("docs/page"), "page").unwrap();
    for (target, name) in [
        ("docs/page", "inside"),
        ("../index.html", "docs/up"),
        ("../docs/../index.html", "docs/around"),
        ("docs", "folder"),
        ("../secret", "outside"),
        ("../../secret", "docs/outside"),
        ("..", "parent"),
        ("../site/index.html", "out-and-in"),
        ("/etc/hostname", "absolute"),
        ("loop", "loop"),
        ("nothing", "dangling"),
        ("/proc/self/root", "magic"),
    ] {
        symlink(target, site.join(name)).unwrap();
    }
    // As Kubernetes mounts a ConfigMap (pkg/volume/util/atomic_writer.go).
    fs::create_dir(site.join("..2026_03_02")).unwrap();
    fs::write(site.join("..2026_03_02/mounted"), "mounted").unwrap();
    symlink("..2026_03_02", site.join("..data")).unwrap();
    symlink("..data/mounted", site.join("mounted")).unwrap();
    all
}

/// Reads the file with this name, by the kernel and step by step, which must agree.
fn read(site: &Path, name: &str) -> Result<String, Errno> {
    let by = |root: Root| {
        let mut text = String::new();
        let opened = root.open(LookupMode::Blocking)?.file(Path::new(name))?;
        fs::File::from(opened).read_to_string(&mut text).unwrap();
        Ok::<_, Errno>(text)
    };
    let stepwise = by(Root::step_by_step(site.to_owned()));
    let root = Root::new(site.to_owned());
    if root.by_kernel {
        let kernel = by(root);
        assert_eq!(kernel, stepwise, "{name}");
    }
    stepwise
}

#[test]
fn files_and_links_within_the_folder_are_opened() {
    let all = site();
    let site = all.path().join("site");
    for (name, content) in [
        ("index.html", "index"),
        ("docs/page", "page"),
        ("inside", "page"),
        ("docs/up", "index"),
        ("docs/around", "index"),
        ("folder/page", "page"),
        ("mounted", "mounted"),
    ] {
        assert_eq!(read(&site, name).expect(name), content, "{name}");
    }
}

#[test]
fn nothing_outside_the_folder_is_opened() {
    let all = site();
    let site = all.path().join("site");
    for name in [
        "outside",
        "docs/outside",
        "parent/secret",
        "out-and-in",
        "absolute",
        "magic/etc/hostname",
        "../secret",
        "docs/../../secret",
    ] {
        assert_eq!(read(&site, name), Err(Errno::XDEV), "{name}");
    }
    for name in ["loop", "dangling", "nothing", "index.html/page"] {
        read(&site, name).expect_err(name);
    }
}

#[test]
fn folder_that_is_a_link_is_resolved_for_each_request() {
    let all = tempfile::tempdir().unwrap();
    for version in ["one", "two"] {
        fs::create_dir(all.path().join(version)).unwrap();
        fs::write(all.path().join(version).join("page"), version).unwrap();
    }
    let current = all.path().join("current");
    symlink("one", &current).unwrap();
    let root = Root::new(current.clone());
    let read = || {
        let mut text = String::new();
        let opened = root
            .open(LookupMode::Blocking)
            .unwrap()
            .file(Path::new("page"))
            .unwrap();
        fs::File::from(opened).read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(read(), "one");
    symlink("two", all.path().join("next")).unwrap();
    fs::rename(all.path().join("next"), &current).unwrap();
    assert_eq!(read(), "two");
}

#[test]
fn fifo_does_not_block() {
    let all = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo").arg(all.path().join("fifo")).status();
    assert!(made.unwrap().success());
    for root in [
        Root::new(all.path().to_owned()),
        Root::step_by_step(all.path().to_owned()),
    ] {
        let opened = root
            .open(LookupMode::Blocking)
            .unwrap()
            .file(Path::new("fifo"));
        assert!(
            !fs::File::from(opened.unwrap())
                .metadata()
                .unwrap()
                .is_file()
        );
    }
}
