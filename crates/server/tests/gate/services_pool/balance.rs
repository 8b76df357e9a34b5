//! Which server gets a request.

use std::collections::BTreeMap;

use anyhow::Result;
use harness::{Echo, Request};

use super::{answered, public_service, server_of, started};
use crate::support::signed_in;

#[tokio::test]
async fn servers_share_requests_by_weight_and_the_log_names_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (large, small) = (Echo::start().await?, Echo::start().await?);
    let heavy = format!("{} weight 3", large.url());
    let tables = public_service(&[&heavy, &small.url()], "");
    let gate = started(folder.path(), &tables).await?;
    answered(&gate, 20).await?;
    assert_eq!((large.seen().len(), small.seen().len()), (15, 5));

    let answer = gate.send(&Request::get("/last")).await?;
    let expected = match large.seen().iter().any(|seen| seen.path() == "/last") {
        true => large.url(),
        false => small.url(),
    };
    assert_eq!(server_of(&gate, &answer).await?, expected);
    Ok(())
}

#[tokio::test]
async fn sticky_requests_go_by_user_and_without_a_session_by_address() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (one, other) = (Echo::start().await?, Echo::start().await?);
    let tables = format!(
        "{}[[route]]\npath = \"/mine/\"\nservice = \"app\"\n",
        public_service(&[&one.url(), &other.url()], "balance = \"by-user\"")
    );
    let gate = started(folder.path(), &tables).await?;
    for _ in 0..2 {
        for number in 0..20 {
            let request = signed_in("/mine/", &format!("user-{number}"));
            assert_eq!(gate.send(&request).await?.status, 200);
        }
    }
    let mut homes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, echo) in [("one", &one), ("other", &other)] {
        for seen in echo.seen() {
            let user = seen.headers.get("x-user-id").unwrap_or("?").to_owned();
            homes.entry(user).or_default().push(name);
        }
    }
    assert_eq!(homes.len(), 20);
    assert!(homes.values().all(|at| at.len() == 2 && at[0] == at[1]));
    assert!(homes.values().any(|at| at[0] != homes["user-0"][0]));

    let before = (one.seen().len(), other.seen().len());
    answered(&gate, 10).await?;
    let more = (one.seen().len() - before.0, other.seen().len() - before.1);
    assert!(more == (10, 0) || more == (0, 10), "{more:?}");
    Ok(())
}

#[tokio::test]
async fn the_server_with_the_fewest_requests_in_flight_gets_the_next() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (one, other) = (Echo::start().await?, Echo::start().await?);
    let servers = [one.url(), other.url()];
    let servers = [servers[0].as_str(), servers[1].as_str()];
    let tables = public_service(&servers, "balance = \"least-requests\"");
    let gate = started(folder.path(), &tables).await?;
    let hold = Request::get("/hold");
    let held = gate.send(&hold);
    let others = async {
        let is_held = |echo: &Echo| echo.seen().iter().any(|seen| seen.path() == "/hold");
        harness::poll("the request to be held", async || {
            (is_held(&one) || is_held(&other)).then_some(())
        })
        .await?;
        let (busy, free) = match is_held(&one) {
            true => (&one, &other),
            false => (&other, &one),
        };
        let before = free.seen().len();
        answered(&gate, 6).await?;
        assert_eq!((busy.seen().len(), free.seen().len()), (1, before + 6));
        busy.release();
        anyhow::Ok(())
    };
    let (held, others) = tokio::join!(held, others);
    others?;
    assert_eq!(held?.status, 200);
    // Requests that have ended are no longer counted.
    answered(&gate, 6).await?;
    assert!(one.seen().len() > 1 && other.seen().len() > 1);
    Ok(())
}
