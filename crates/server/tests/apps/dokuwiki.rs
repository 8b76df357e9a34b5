//! DokuWiki, under PHP and nginx.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use harness::page::replace_literal;
use harness::{Nginx, PhpFpm};
use tempfile::TempDir;

use crate::support::{Front, Visitor, text_of};
use crate::trial::Trial;

#[tokio::test]
async fn dokuwiki_knows_the_user_of_the_session() -> Result<()> {
    let wiki = Wiki::start(AS_DOCUMENTED).await?;
    wiki.ignores_forged_headers(&[]).await
}

#[tokio::test]
async fn dokuwiki_knows_the_user_behind_an_nginx_that_forwards_all_headers() -> Result<()> {
    let wiki = Wiki::start("underscores_in_headers on; ignore_invalid_headers off;").await?;
    wiki.ignores_forged_headers(&['_', '.']).await
}

/// DokuWiki with its own configuration and pages; the code is Debian's.
struct Wiki {
    nginx: Nginx,
    _php: PhpFpm,
    _folder: TempDir,
}

impl Wiki {
    /// Starts DokuWiki behind an nginx with these settings besides the documented ones.
    async fn start(settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        write(folder.path())?;
        let prepended = folder.path().join("prepended.php");
        let prepended = format!("php_value[auto_prepend_file] = {}", prepended.display());
        let php = PhpFpm::start(&prepended).await?;
        let text = text_of(PAGE, "nginx", 0)?;
        let text = replace_literal(
            &text,
            "unix:/run/php/php-fpm.sock",
            &php.address().to_string(),
        )?;
        let text = replace_literal(&text, "server {", &format!("server {{\n{settings}"))?;
        replace_literal(&text, LISTEN, "")?;
        let listen = |port| format!("listen 127.0.0.1:{port};");
        let nginx = Nginx::from_config(|port| text.replace(LISTEN, &listen(port))).await?;
        Ok(Self {
            nginx,
            _php: php,
            _folder: folder,
        })
    }

    async fn ignores_forged_headers(&self, folds: &[char]) -> Result<()> {
        let front = Front::start(PAGE, self.nginx.address()).await?;
        let trial = Trial {
            front: &front,
            app: self.nginx.address(),
            forged: &[
                ("Remote-User", "eve"),
                ("Remote-Name", "Eve"),
                ("Remote-Groups", "wiki-admins"),
            ],
            eve: "Eve (eve), an admin",
            zoe: "Zoë Müller (zoe)",
            folds,
        };
        trial.run(shown_user).await
    }
}

/// Writes the files of the page, and a configuration with paths other than `/etc` and `/var`.
fn write(folder: &Path) -> Result<()> {
    let configuration = folder.join("conf");
    copy("/etc/dokuwiki".as_ref(), &configuration)?;
    let plugins = folder.join("plugins");
    copy("/var/lib/dokuwiki/lib/plugins".as_ref(), &plugins)?;
    let plugin = plugins.join("authgate");
    std::fs::create_dir(&plugin)?;
    std::fs::write(plugin.join("auth.php"), text_of(PAGE, "php", 0)?)?;
    std::fs::write(plugin.join("plugin.info.txt"), text_of(PAGE, "text", 0)?)?;
    let data = folder.join("data");
    for part in DATA {
        std::fs::create_dir_all(data.join(part))?;
    }
    let local = text_of(PAGE, "php", 1)? + &format!("$conf['savedir'] = '{}';\n", data.display());
    std::fs::write(configuration.join("local.php"), local)?;
    std::fs::write(
        configuration.join("acl.auth.php"),
        text_of(PAGE, "text", 1)?,
    )?;
    let defined = [("DOKU_CONF", configuration), ("DOKU_PLUGIN", plugins)];
    let defined = defined.map(|(name, path)| format!("define('{name}', '{}/');\n", path.display()));
    std::fs::write(
        folder.join("prepended.php"),
        format!("<?php\n{}", defined.concat()),
    )?;
    Ok(())
}

/// Copies a folder, without the folders that only the web server's user may read.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(from) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        entries => entries.with_context(|| format!("{}: install dokuwiki", from.display()))?,
    };
    std::fs::create_dir(to)?;
    for entry in entries {
        let entry = entry?;
        let copied = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &copied)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), copied)?;
        }
    }
    Ok(())
}

/// The user whom the page names as logged in, and whether it offers the functions of admins.
async fn shown_user(visitor: &mut Visitor) -> Result<Option<String>> {
    let Some(page) = visitor.read("/doku.php").await? else {
        return Ok(None);
    };
    let user = page.split_once(r#"<li class="user">"#);
    let Some((user, _)) = user.and_then(|(_, rest)| rest.split_once("</li>")) else {
        return Ok(None);
    };
    let user = user.split_once(':').map_or(user, |(_, user)| user);
    let user = user.replace("<bdi>", "").replace("</bdi>", "");
    let may_administrate = page.contains("do=admin");
    let admin = if may_administrate { ", an admin" } else { "" };
    Ok(Some(user.trim().to_owned() + admin))
}

const AS_DOCUMENTED: &str = "";
const LISTEN: &str = "listen 127.0.0.1:3000;";
const DATA: [&str; 11] = [
    "attic",
    "cache",
    "index",
    "locks",
    "log",
    "media",
    "media_attic",
    "media_meta",
    "meta",
    "pages",
    "tmp",
];
const PAGE: &str = "dokuwiki.md";
