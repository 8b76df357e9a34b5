//! Pages of the documentation agree with the program.

use anyhow::{Context, Result, ensure};
use harness::interop::BetterAuth;
use harness::{Gate, mint, page};

const REQUIREMENTS: &str = "docs/requirements.md";

fn text(path: &str) -> Result<String> {
    Ok(std::fs::read_to_string(harness::repository().join(path))?)
}

#[tokio::test]
async fn every_documented_requirement_example_is_accepted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let secret = folder.path().join("secret");
    std::fs::write(&secret, mint::SECRET)?;
    let examples = text(REQUIREMENTS)?.matches("\n```toml\n").count();
    assert!(examples >= 10, "{examples}");
    for number in 0..examples {
        let example = page::block(REQUIREMENTS, "toml", number)?;
        // Settings that the examples leave out, and paths that do not exist on this machine.
        let own = match example.contains("\"better-auth\"\n") {
            true => format!("better_auth_secret = \"{}\"", BetterAuth::SECRET),
            false if example.contains("auth_secret_file") => String::new(),
            false if example.contains("authjs-database") => String::new(),
            false => format!("auth_secret = \"{}\"", mint::SECRET),
        };
        let example = example.replace("/run/secrets/auth", secret.to_str().context("a path")?);
        let path = folder.path().join("gate.toml");
        std::fs::write(
            &path,
            format!("upstream = \"http://app:3000\"\n{own}\n{example}"),
        )?;
        let path = path.to_str().context("a path")?;
        let gate = Gate::command(env!("CARGO_BIN_EXE_sessiongate"));
        let checked = gate.args(["check-config", "--config", path]).run().await?;
        let printed = format!("{}{}", checked.stdout, checked.stderr);
        ensure!(checked.status.success(), "{example}\n{printed}");
        ensure!(!printed.contains("no effect"), "{example}\n{printed}");
    }
    Ok(())
}

#[test]
fn every_refusal_reason_is_documented() -> Result<()> {
    let page = text("docs/audit-log.md")?;
    let mut found = 0;
    for source in ["crates/gate/src/refusal.rs", "crates/session/src/error.rs"] {
        let source = text(source)?;
        let (_, body) = source
            .split_once("fn reason(&self)")
            .context("a function")?;
        let (body, _) = body.split_once("\n    }\n").context("its end")?;
        for reason in body.split('"').skip(1).step_by(2) {
            assert!(page.contains(&format!("`{reason}`")), "{reason}");
            found += 1;
        }
    }
    assert!(found > 40, "{found}");
    Ok(())
}

#[test]
fn every_test_and_condition_is_documented() -> Result<()> {
    let page = text(REQUIREMENTS)?;
    let keys = text("docs/configuration.md")?;
    let (_, keys) = keys
        .split_once("### A condition")
        .context("the table of keys")?;
    let (keys, _) = keys.split_once("<!--").context("its end")?;
    let keys = keys.lines().filter_map(|line| line.strip_prefix("| `"));
    let keys: Vec<_> = keys.filter_map(|line| line.split('`').next()).collect();
    assert!(keys.len() >= 15, "{keys:?}");
    for key in keys {
        assert!(page.contains(&format!("{key} = ")), "{key}");
    }
    Ok(())
}
