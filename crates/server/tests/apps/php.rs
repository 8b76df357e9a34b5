//! PHP's built-in server, which reads `_` and `.` in the name of a header as `-`, and takes the last of several values.

use anyhow::Result;

use crate::support::{Front, started, text_of};
use crate::trial::{Trial, named_in_text};

#[tokio::test]
async fn php_knows_the_user_of_the_session() -> Result<()> {
    let php = started(PAGE, 0, "php-cli", |folder, _| {
        std::fs::write(folder.join("index.php"), text_of(PAGE, "php", 0)?)?;
        Ok(Vec::new())
    })
    .await?;
    let front = Front::start(PAGE, php.address()).await?;
    let trial = Trial {
        front: &front,
        app: php.address(),
        forged: &[("X-User-Id", "eve"), ("X-User-Name", "Eve")],
        eve: "eve is Eve",
        zoe: "zoe is Zoë Müller",
        folds: &['_', '.'],
    };
    trial.run(named_in_text).await
}

const PAGE: &str = "php.md";
