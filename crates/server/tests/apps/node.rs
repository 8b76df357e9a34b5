//! A service on Node.js.

use anyhow::Result;
use harness::page::replace_literal;

use crate::support::{Front, PORT, started, text_of};
use crate::trial::{Trial, named_in_text};

#[tokio::test]
async fn node_knows_the_user_of_the_session() -> Result<()> {
    let node = started(PAGE, 0, "nodejs", |folder, port| {
        let script = replace_literal(&text_of(PAGE, "js", 0)?, PORT, &port.to_string())?;
        std::fs::write(folder.join("service.mjs"), script)?;
        Ok(Vec::new())
    })
    .await?;
    let front = Front::start(PAGE, node.address()).await?;
    let trial = Trial {
        front: &front,
        app: node.address(),
        forged: &[("X-User-Id", "eve"), ("X-User-Name", "Eve")],
        eve: "eve is Eve",
        zoe: "zoe is Zoë Müller",
        folds: &[],
    };
    trial.run(named_in_text).await
}

const PAGE: &str = "node.md";
