//! Secrets and files with unintended characters at their ends: the messages of start-up and `check-config`, and that the secret
//! is still used byte for byte.

use std::path::PathBuf;

use anyhow::{Context, Result};
use harness::{Echo, Finished, GateCommand, Request};
use serde_json::json;
use session::{Secret, seal};

use crate::support::gate;

const SECRET: &str = "a-secret-with-odd-ends-7f3kQ9xW2mVb8Rz1LtYc5NdJ";

/// A folder of files with secrets.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    /// Writes a file with these bytes and returns its path.
    fn with(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<String> {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path.to_str().context("text")?.to_owned())
    }
}

fn check() -> GateCommand {
    gate("http://127.0.0.1:3000")
        .without("AUTH_SECRET")
        .env("WORKERS", "1")
        .args(["check-config"])
}

/// Returns the warnings of `check-config` about secrets.
fn warnings(finished: &Finished) -> Vec<&str> {
    let about_secrets = |line: &&str| line.contains("SECRET") || line.contains("secret");
    let lines = finished.stdout.lines();
    lines
        .filter_map(|line| line.strip_prefix("warning: "))
        .filter(about_secrets)
        .collect()
}

/// Verifies that the output does not contain the secret.
fn reveals_nothing(finished: &Finished) {
    let printed = format!("{}{}", finished.stdout, finished.stderr);
    assert!(!printed.contains(&SECRET[..16]), "{printed}");
}

#[tokio::test]
async fn an_oddity_of_a_secret_is_a_warning() -> Result<()> {
    let files = Files::new()?;
    let rest = "every byte is part of the secret, so remove this if it is not intended";
    for (bytes, words) in [
        (format!("{SECRET} "), "ends in a space"),
        (format!(" {SECRET}"), "begins with a space"),
        (format!("{SECRET}\t"), "ends in a tab"),
        (format!("{SECRET}\u{a0}"), "ends in white space, U+00A0"),
        (
            format!("\u{feff}{SECRET}"),
            "begins with a byte-order mark (EF BB BF)",
        ),
        (
            format!("\"{SECRET}\""),
            "is in double quotes, which dotenv and a shell remove, and `docker run --env-file` and a secret's file keep",
        ),
        (
            format!("'{SECRET}'"),
            "is in single quotes, which dotenv and a shell remove, and `docker run --env-file` and a secret's file keep",
        ),
        (
            format!("\"{SECRET}"),
            "has a quote at one end and none at the other",
        ),
        (
            format!("{SECRET}\\n"),
            "ends in a backslash and a letter, which is not a newline here",
        ),
        (format!("{SECRET},"), "ends in a comma"),
        (
            format!("AUTH_SECRET={SECRET}"),
            "begins with the name of a variable and `=`, like a line of an env file",
        ),
        (
            format!("{SECRET}\u{200b}"),
            "contains an invisible character, U+200B",
        ),
    ] {
        for (name, value) in [
            ("AUTH_SECRET", bytes.clone()),
            ("AUTH_SECRET_FILE", files.with("secret", &bytes)?),
            ("BETTER_AUTH_SECRET", bytes.clone()),
        ] {
            let finished = check().env(name, value).run().await?;
            assert!(finished.status.success(), "{words}: {}", finished.stderr);
            let expected = format!("{name}: the secret {words}; {rest}");
            assert_eq!(warnings(&finished), [expected]);
            reveals_nothing(&finished);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_second_newline_at_the_end_of_a_secret_file_is_a_warning() -> Result<()> {
    let files = Files::new()?;
    for (end, words) in [
        ("", None),
        ("\n", None),
        ("\r\n", None),
        ("\n\n", Some("ends in a second newline")),
        ("\r\n\r\n", Some("ends in a second newline")),
        (" \n", Some("ends in a space")),
        ("\n \n", Some("ends in several characters of white space")),
        ("\nmore\n", Some("has several lines")),
    ] {
        let path = files.with("secret", format!("{SECRET}{end}"))?;
        let finished = check().env("AUTH_SECRET_FILE", path).run().await?;
        let expected: Vec<_> = words
            .map(|words| {
                format!(
                    "AUTH_SECRET_FILE: the secret {words}; every byte is part of the secret, so remove this if it is not \
                     intended"
                )
            })
            .into_iter()
            .collect();
        assert_eq!(warnings(&finished), expected, "{end:?}");
    }
    let in_variable = check().env("AUTH_SECRET", format!("{SECRET}\n"));
    assert_eq!(
        warnings(&in_variable.run().await?),
        [
            "AUTH_SECRET: the secret ends in a newline; every byte is part of the secret, so remove this if it is not \
             intended"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn obviously_wrong_secrets_are_refused_at_start_up() -> Result<()> {
    let files = Files::new()?;
    let utf16 = |mark: &str| -> Vec<u8> {
        let units = format!("{mark}{SECRET}\r\n");
        units.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let as_utf16 = "the secret is UTF-16 text, as PowerShell's `>` writes it; save it as UTF-8 without a byte-order mark";
    let as_nul = "the secret contains a NUL byte, so it is not text; save it as UTF-8";
    let unreplaced = "the secret is an expression such as `${NAME}` or `$(command)` that was not replaced by its value";
    for (bytes, what) in [
        (utf16("\u{feff}"), as_utf16),
        (utf16(""), as_utf16),
        (format!("{SECRET}\0").into_bytes(), as_nul),
        (format!("{}\0{SECRET}", &SECRET[..4]).into_bytes(), as_nul),
        (
            b"${AUTH_SECRET:?it has to be set to something}".to_vec(),
            unreplaced,
        ),
        (
            b"'$(openssl rand -base64 33 | tr -d =)'".to_vec(),
            unreplaced,
        ),
    ] {
        let path = files.with("secret", bytes)?;
        for name in ["AUTH_SECRET", "BETTER_AUTH_SECRETS"] {
            let file = format!("{name}_FILE");
            let broken = || {
                gate("http://127.0.0.1:3000")
                    .without("AUTH_SECRET")
                    .env(&file, path.as_str())
            };
            let (checked, started) = (
                broken().args(["check-config"]).run().await?,
                broken().run().await?,
            );
            assert_eq!(checked.status.code(), Some(1), "{what}");
            assert_eq!(checked.stderr, started.stderr);
            let expected = format!("\n  {name}: {what}");
            assert!(checked.stderr.contains(&expected), "{}", checked.stderr);
            reveals_nothing(&checked);
        }
    }
    let large = files.with("large", "x".repeat(1 << 17))?;
    let finished = check()
        .env("AUTH_SECRET_FILE", large.as_str())
        .run()
        .await?;
    let expected = format!(
        "\n  AUTH_SECRET_FILE: cannot read `{large}`: it is larger than 64 KiB, the limit for this file"
    );
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn every_secret_is_checked_for_oddities() -> Result<()> {
    let odd = |text: &str| format!("{text} ");
    let finished = check()
        .env("AUTH_SECRET", SECRET)
        .env(
            "ADMIN_TOKEN",
            odd("admin-token-of-enough-length-3f7a9c2e51"),
        )
        .env("ALLOW_BYPASS", "true")
        .env(
            "BYPASS_HEADER_VALUE",
            odd("bypass-value-of-enough-length-3f7a9c2e51"),
        )
        .env(
            "BEARER_SECRET",
            odd("bearer-secret-of-enough-length-3f7a9c2e51"),
        )
        .env("BEARER_ISSUER", "issuer")
        .env("BEARER_AUDIENCE", "api")
        .env("ENABLE_DB_CHECK", "true")
        .env("POSTGRES_HOST", "db")
        .env("POSTGRES_PASSWORD", odd("postgres-password"))
        .env("REDIS_HOST", "cache")
        .env("REDIS_PASSWORD", odd("redis-password"))
        .env(
            "BETTER_AUTH_SECRETS",
            format!("2:\"{SECRET}-new\",1:{SECRET}"),
        )
        .run()
        .await?;
    assert!(finished.status.success(), "{}", finished.stderr);
    for (name, words) in [
        ("ADMIN_TOKEN", "ends in a space"),
        ("BYPASS_HEADER_VALUE", "ends in a space"),
        ("BEARER_SECRET", "ends in a space"),
        ("POSTGRES_PASSWORD", "ends in a space"),
        ("REDIS_PASSWORD", "ends in a space"),
        ("BETTER_AUTH_SECRETS, entry 1", "is in double quotes"),
    ] {
        let expected = format!("warning: {name}: the secret {words}");
        assert!(
            finished.stdout.contains(&expected),
            "{expected}: {}",
            finished.stdout
        );
    }
    reveals_nothing(&finished);
    Ok(())
}

#[tokio::test]
async fn a_binary_key_causes_no_warning() -> Result<()> {
    let files = Files::new()?;
    let bytes: Vec<u8> = (0..=255).rev().collect();
    let finished = check()
        .env("BEARER_SECRET_FILE", files.with("key", bytes)?)
        .env("BEARER_ISSUER", "issuer")
        .env("BEARER_AUDIENCE", "api")
        .run()
        .await?;
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(warnings(&finished), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn sources_of_one_secret_with_different_ends_are_reported() -> Result<()> {
    let files = Files::new()?;
    let path = files.with("secret", format!("{SECRET}\n"))?;
    let with_file = || check().env("AUTH_SECRET_FILE", path.as_str());
    let finished = with_file().env("BETTER_AUTH_SECRET", SECRET).run().await?;
    assert_eq!(
        warnings(&finished),
        [
            "AUTH_SECRET_FILE ends in a newline, which the gate does not treat as part of the secret, and \
             BETTER_AUTH_SECRET contains the same secret without one; if your app reads the file including the newline, \
             it uses another secret"
        ]
    );
    let finished = with_file()
        .env("BETTER_AUTH_SECRETS", format!("2:{SECRET}-new,1:{SECRET}"))
        .run()
        .await?;
    let printed = warnings(&finished).join("\n");
    assert!(
        printed.contains("and BETTER_AUTH_SECRETS, entry 2 contains the same secret"),
        "{printed}"
    );
    let finished = with_file()
        .env("NEXTAUTH_SECRET", format!("{SECRET}\n"))
        .run()
        .await?;
    assert_eq!(
        warnings(&finished)[1],
        "AUTH_SECRET_FILE and NEXTAUTH_SECRET contain secrets that differ only at their ends (white space, quotes or a \
         byte-order mark), so they are two different secrets; use the exact secret of your app in both"
    );
    // Both files end with a newline; and a secret that differs elsewhere causes no warning.
    let other = files.with("other", format!("{SECRET}\n"))?;
    let finished = with_file()
        .env("NEXTAUTH_SECRET_FILE", other)
        .env("BETTER_AUTH_SECRET", format!("{SECRET}-other"))
        .run()
        .await?;
    assert_eq!(warnings(&finished), [""; 0]);
    reveals_nothing(&finished);
    Ok(())
}

#[tokio::test]
async fn a_problem_with_a_secret_mentions_its_oddity() -> Result<()> {
    let finished = check().env("AUTH_SECRET", "'too short'").run().await?;
    let expected = "AUTH_SECRET: the secret has only 11 bytes; 32 or more are needed for full strength; make one with \
                    `openssl rand -base64 33`; note that the secret is in single quotes, which dotenv and a shell remove, \
                    and `docker run --env-file` and a secret's file keep";
    assert!(finished.stderr.contains(expected), "{}", finished.stderr);
    let list = format!("\"2:{SECRET}-new,1:{SECRET}\"");
    let finished = check().env("BETTER_AUTH_SECRETS", list).run().await?;
    let expected = "BETTER_AUTH_SECRETS: the version of entry 1 is not a whole number; note that the secret is in double \
                    quotes";
    assert!(finished.stderr.contains(expected), "{}", finished.stderr);
    reveals_nothing(&finished);
    // A public default in quotes is still one.
    for placeholder in [
        "\"better-auth-secret-12345678901234567890\"",
        "\u{feff}better-auth-secret-12345678901234567890",
    ] {
        let finished = check().env("AUTH_SECRET", placeholder).run().await?;
        assert!(
            finished.stderr.contains("publicly known placeholder"),
            "{}",
            finished.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_quoted_url_is_refused_and_spaces_around_one_are_ignored() -> Result<()> {
    let files = Files::new()?;
    let check = || {
        check()
            .env("AUTH_SECRET", SECRET)
            .env("ENABLE_DB_CHECK", "true")
    };
    let url = "postgres://gate:hidden-password@db/app";
    let quoted = "the URL is in double quotes, which dotenv and shells remove but `docker run --env-file` keeps; remove \
         them";
    let marked = "the URL begins with a byte-order mark (EF BB BF); save it without one";
    let assigned = "it begins with the name of a variable and `=`; give only the URL";
    for (text, what) in [
        (format!("\"{url}\""), quoted),
        (format!("\u{feff}{url}"), marked),
        (format!("DATABASE_URL={url}"), assigned),
    ] {
        let by_variable = check().env("DATABASE_URL", text.as_str()).run().await?;
        let path = files.with("url", format!("{text}\n"))?;
        let by_file = check().env("DATABASE_URL_FILE", path).run().await?;
        for (name, finished) in [
            ("DATABASE_URL", by_variable),
            ("DATABASE_URL_FILE", by_file),
        ] {
            assert_eq!(
                finished.stderr.trim_end(),
                format!("sessiongate: the configuration has 1 problem:\n  {name}: {what}")
            );
        }
    }
    for text in [format!(" {url}\n"), format!("{url}\r\n")] {
        let finished = check().env("DATABASE_URL", text.as_str()).run().await?;
        assert!(finished.status.success(), "{}", finished.stderr);
        let path = files.with("url", format!("{text}\n"))?;
        let finished = check().env("DATABASE_URL_FILE", path).run().await?;
        assert!(finished.status.success(), "{}", finished.stderr);
        assert!(!finished.stdout.contains("hidden-password"));
    }
    Ok(())
}

#[tokio::test]
async fn a_file_variable_for_a_setting_without_secret_is_reported() -> Result<()> {
    let files = Files::new()?;
    let path = files.with("user", "gate")?;
    let finished = check()
        .env("AUTH_SECRET", SECRET)
        .env("ENABLE_DB_CHECK", "true")
        .env("POSTGRES_HOST", "db")
        .env("POSTGRES_USER_FILE", path.as_str())
        .env("POSTGRES_PASSWORD_FILE", path.as_str())
        .env("SIGN_IN_URL_FILE", path.as_str())
        .env("SOMEBODY_ELSES_FILE", path.as_str())
        .run()
        .await?;
    assert!(finished.status.success(), "{}", finished.stderr);
    let printed: Vec<_> = finished
        .stdout
        .lines()
        .filter(|line| line.starts_with("warning: ") && line.contains("_FILE"))
        .collect();
    let expected = |name: &str| {
        format!(
            "warning: {name} has no effect: only secrets and URLs with credentials can be read from files"
        )
    };
    assert_eq!(
        printed,
        [expected("POSTGRES_USER_FILE"), expected("SIGN_IN_URL_FILE")]
    );
    Ok(())
}

#[tokio::test]
async fn a_quoted_path_is_reported_as_quoted() -> Result<()> {
    let finished = check()
        .env("AUTH_SECRET_FILE", "\"/run/secrets/auth\"")
        .run()
        .await?;
    let expected = "AUTH_SECRET_FILE: cannot read `\"/run/secrets/auth\"`: No such file or directory (os error 2); \
         quotes and spaces around a path are part of it";
    assert!(finished.stderr.contains(expected), "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn start_up_warns_of_odd_secrets_and_uses_them_unchanged() -> Result<()> {
    let echo = Echo::start().await?;
    let files = Files::new()?;
    let path = files.with("secret", format!("\"{SECRET}\"\n"))?;
    let gate = gate(&echo.url())
        .without("AUTH_SECRET")
        .env("AUTH_SECRET_FILE", path)
        .start()
        .await?;
    let printed = gate.stderr().all().join("\n");
    assert!(
        printed.contains("AUTH_SECRET_FILE: the secret is in double quotes"),
        "{printed}"
    );
    let claims = json!({"sub": "ada", "exp": harness::mint::now() + 600});
    let claims = claims.as_object().context("an object")?;
    for (secret, status) in [
        (format!("\"{SECRET}\""), 200),
        (SECRET.to_owned(), 401),
        (format!("\"{SECRET}\"\n"), 401),
    ] {
        let token = seal::nextauth(&Secret::new(secret), claims, [7; 12]);
        let request = Request::get("/").cookie(format!("next-auth.session-token={token}"));
        assert_eq!(gate.send(&request).await?.status, status);
    }
    Ok(())
}
