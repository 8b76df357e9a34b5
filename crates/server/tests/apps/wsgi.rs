//! A WSGI application under three servers, each of which folds the names of headers in its own way.

use anyhow::Result;

use crate::support::{Front, started, text_of};
use crate::trial::{Trial, named_in_text};

#[tokio::test]
async fn gunicorn_knows_the_user_of_the_session() -> Result<()> {
    // From 22.0 on, gunicorn drops names with `_`, so the test expects nothing of them without the gate.
    wsgi(0, ("gunicorn", "/usr/bin/gunicorn"), &[]).await
}

#[tokio::test]
async fn waitress_knows_the_user_of_the_session() -> Result<()> {
    wsgi(1, ("waitress-serve", "/usr/bin/waitress-serve"), &[]).await
}

#[tokio::test]
async fn uwsgi_knows_the_user_of_the_session() -> Result<()> {
    wsgi(2, ("uwsgi", "/usr/bin/uwsgi"), &['_']).await
}

/// Runs the trial on the application under the server of the page's `number`th command, with Debian's program.
async fn wsgi(number: usize, program: (&'static str, &str), folds: &[char]) -> Result<()> {
    let server = started(PAGE, number, program.0, |folder, _| {
        std::fs::write(folder.join("app.py"), text_of(PAGE, "python", 0)?)?;
        let (name, path) = program;
        Ok(vec![(name, path.to_owned())])
    })
    .await?;
    let front = Front::start(PAGE, server.address()).await?;
    let trial = Trial {
        front: &front,
        app: server.address(),
        forged: &[("X-User-Id", "eve"), ("X-User-Name", "Eve")],
        eve: "eve is Eve",
        zoe: "zoe is Zoë Müller",
        folds,
    };
    trial.run(named_in_text).await
}

const PAGE: &str = "wsgi.md";
