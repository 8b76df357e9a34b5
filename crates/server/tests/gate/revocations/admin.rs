//! Revocations at the admin listener.

use super::*;

const TOKEN: &str = "admin-token-4kW9tZ3mQ7xL2vB8nR4pJ6sD1f";

/// Starts a gate that learns of revocations only from its own admin listener: its interval is longer than the tests.
async fn guarded() -> Result<World> {
    World::start_with([("ADMIN_TOKEN", TOKEN), ("REVOCATION_INTERVAL", "50")]).await
}

async fn status_and_text(gate: &Gate, request: Request) -> Result<(u16, String)> {
    let answer = Client::connect(gate.admin).await?.send(&request).await?;
    Ok((answer.status, answer.text()))
}

fn with_token(request: Request) -> Request {
    request.header("Authorization", format!("Bearer {TOKEN}"))
}

fn revoking(body: &str) -> Request {
    let request = Request::post("/revocations", body.as_bytes());
    with_token(request.header("Content-Type", "application/json"))
}

#[tokio::test]
async fn a_revocation_takes_effect_before_its_answer_is_sent() -> Result<()> {
    let world = guarded().await?;
    let gate = &world.gate;
    let body = r#"{"user":"ada","reason":"left the company","by":"hr@example.com"}"#;
    let (status, made) = status_and_text(gate, revoking(body)).await?;
    assert_eq!(status, 201, "{made}");
    assert_eq!(super::status(gate, &old_session("ada")).await?, 401);
    let line = gate.wait_for_audit(|line| line["event"] == "revocation");
    let line = line.await?;
    assert_eq!(
        (&line["by"], &line["source"], &line["why"]),
        (
            &"hr@example.com".into(),
            &"admin".into(),
            &"left the company".into()
        )
    );
    let (status, listed) = status_and_text(gate, with_token(Request::get("/revocations"))).await?;
    assert_eq!(status, 200);
    let listed: Value = serde_json::from_str(&listed)?;
    assert_eq!(listed["revocations"][0]["user_id"], "ada");
    let remove = || with_token(Request::new("DELETE", "/revocations?user=ada"));
    assert_eq!(status_and_text(gate, remove()).await?.0, 200);
    assert_eq!(super::status(gate, &old_session("ada")).await?, 200);
    assert_eq!(status_and_text(gate, remove()).await?.0, 404);
    let (_, metrics) = status_and_text(gate, with_token(Request::get("/metrics"))).await?;
    let counted = "sessiongate_revocations_total{source=\"admin\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    for body in [
        r#"{"session":"s-1"}"#,
        r#"{"all_before":"2020-01-01T00:00:00Z"}"#,
    ] {
        assert_eq!(
            status_and_text(gate, revoking(body)).await?.0,
            201,
            "{body}"
        );
    }
    for target in ["/revocations?session=s-1", "/revocations?all=true"] {
        let removed = with_token(Request::new("DELETE", target));
        assert_eq!(status_and_text(gate, removed).await?.0, 200, "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn revoking_needs_the_admin_token() -> Result<()> {
    let json = |request: Request| request.header("Content-Type", "application/json");
    let post = || json(Request::post("/revocations", &br#"{"user":"ada"}"#[..]));
    let open = World::start().await?;
    for request in [
        post(),
        Request::get("/revocations"),
        Request::new("DELETE", "/revocations?user=ada"),
    ] {
        let (status, answered) = status_and_text(&open.gate, request).await?;
        assert_eq!(status, 403, "{answered}");
        assert!(answered.contains("set ADMIN_TOKEN"), "{answered}");
    }
    let guarded = guarded().await?;
    let wrong = post().header("Authorization", "Bearer wrong");
    let page = revoking(r#"{"user":"ada"}"#).header("Origin", "https://evil.example");
    for (request, expected) in [(post(), 401), (wrong, 401), (page, 403)] {
        assert_eq!(status_and_text(&guarded.gate, request).await?.0, expected);
    }
    for gate in [&open.gate, &guarded.gate] {
        assert_eq!(super::status(gate, &old_session("ada")).await?, 200);
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_revocation_request_revokes_nothing() -> Result<()> {
    let world = guarded().await?;
    let gate = &world.gate;
    let long = format!("{{\"user\":\"{}\"}}", "a".repeat(20_000));
    for (body, expected) in [
        ("{}", 422),
        ("", 400),
        (r#"{"user":"ada","session":"s"}"#, 422),
        (r#"{"user":""}"#, 422),
        (r#"{"user":"ada","realm":"none"}"#, 422),
        (r#"{"user":"ada","surprise":1}"#, 400),
        (r#"{"all_before":"soon"}"#, 422),
        (&long, 400),
    ] {
        let (status, answered) = status_and_text(gate, revoking(body)).await?;
        assert_eq!(status, expected, "{body}: {answered}");
    }
    let form = Request::post("/revocations", &b"user=ada"[..]);
    let form = with_token(form.header("Content-Type", "application/x-www-form-urlencoded"));
    assert_eq!(status_and_text(gate, form).await?.0, 415);
    for target in ["/revocations", "/revocations?all=1", "/revocations?who=ada"] {
        let request = with_token(Request::new("DELETE", target));
        assert_eq!(status_and_text(gate, request).await?.0, 422, "{target}");
    }
    let listed = world.run_command(&["revocations"]).await?;
    assert_eq!(listed, "nothing is revoked");
    Ok(())
}
