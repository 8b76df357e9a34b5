//! An API with FastAPI.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::{Front, Visitor, started, text_of};
use crate::trial::Trial;

#[tokio::test]
async fn fastapi_knows_the_user_of_the_session() -> Result<()> {
    let api = started(PAGE, 0, "python3-uvicorn", |folder, _| {
        std::fs::write(folder.join("service.py"), text_of(PAGE, "python", 0)?)?;
        // Debian's Python, which has FastAPI.
        Ok(vec![("python3", "/usr/bin/python3".to_owned())])
    })
    .await?;
    let front = Front::start(PAGE, api.address()).await?;
    let user = |id: &str, email: &str, name: &str| {
        json!({ "id": id, "email": email, "name": name }).to_string()
    };
    let trial = Trial {
        front: &front,
        app: api.address(),
        forged: &[
            ("X-User-Id", "eve"),
            ("X-User-Email", "eve@example.com"),
            ("X-User-Name", "Eve"),
        ],
        eve: &user("eve", "eve@example.com", "Eve"),
        zoe: &user("zoe", "zoe@example.com", "Zoë Müller"),
        folds: &[],
    };
    trial.run(shown_user).await
}

async fn shown_user(visitor: &mut Visitor) -> Result<Option<String>> {
    let Some(text) = visitor.read("/me").await? else {
        return Ok(None);
    };
    let user: Value = serde_json::from_str(&text)?;
    Ok(Some(user.to_string()))
}

const PAGE: &str = "fastapi.md";
