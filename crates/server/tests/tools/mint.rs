//! `mint`: the sessions that it creates, and its refusals.

use serde_json::json;

use super::{Outcome, SECRET, Tool};

/// A minted `Cookie` header value.
pub(crate) fn minted<'a>(format: &'a str, words: impl IntoIterator<Item = &'a str>) -> String {
    let outcome = mint(format).args(words).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout.trim_end().to_owned()
}

fn mint(format: &str) -> Tool {
    Tool::new(["mint", "--format", format, "--user", "ada"]).env("AUTH_SECRET", SECRET)
}

fn open(header: &str) -> Outcome {
    let tool = Tool::new(["open", "--json"]).env("AUTH_SECRET", SECRET);
    tool.input(header).run()
}

#[test]
fn minted_sessions_of_every_format_open() {
    for (format, cookie, opened_as) in [
        ("authjs", "authjs.session-token", "authjs-v5"),
        ("authjs-gcm", "authjs.session-token", "authjs-v5"),
        ("nextauth", "next-auth.session-token", "nextauth-v4"),
        (
            "better-auth-compact",
            "better-auth.session_token",
            "better-auth-compact",
        ),
        (
            "better-auth-jwt",
            "better-auth.session_token",
            "better-auth-jwt",
        ),
        (
            "better-auth-jwe",
            "better-auth.session_token",
            "better-auth-jwe",
        ),
        (
            "better-auth-token",
            "better-auth.session_token",
            "better-auth-signed-token",
        ),
    ] {
        let big = format!("bio={:?}", "x".repeat(9000));
        for more in [&[][..], &["--claim", big.as_str()]] {
            let words = ["--email", "ada@example.com", "--name", "Ada"];
            let words = words.into_iter().chain(more.iter().copied());
            let words: Vec<_> = match format {
                "better-auth-token" => Vec::new(),
                _ => words.collect(),
            };
            let header = minted(format, words);
            assert!(header.starts_with(cookie), "{format}: {header}");
            let outcome = open(&header);
            let json = outcome.json();
            assert_eq!(outcome.code, Some(0), "{format}: {json}");
            assert_eq!(json["format"], opened_as);
            let claims = &json["claims"];
            if format == "better-auth-token" {
                assert_eq!(json["lookup_required"], true);
                assert_eq!(claims["token"].as_str().map(str::len), Some(32));
                continue;
            }
            let (id, user) = match claims.get("user") {
                Some(user) => ("id", user),
                None => ("sub", claims),
            };
            assert_eq!(
                (&user[id], &user["email"], &user["name"]),
                (&json!("ada"), &json!("ada@example.com"), &json!("Ada")),
                "{format}"
            );
            assert_eq!(
                user["bio"].as_str().map(str::len),
                (!more.is_empty()).then_some(9000)
            );
            let chunked = header.contains(".0=") && header.contains(".2=");
            assert_eq!(chunked, !more.is_empty(), "{format}");
        }
    }
}

#[test]
fn every_mint_makes_a_different_session() {
    for format in [
        "authjs",
        "nextauth",
        "better-auth-token",
        "better-auth-compact",
    ] {
        assert_ne!(minted(format, []), minted(format, []), "{format}");
    }
}

#[test]
fn names_times_claims_and_versions_are_as_requested() {
    let header = minted(
        "authjs",
        [
            "--cookie-name",
            "__Secure-authjs.session-token",
            "--expires-in",
            "60",
            "--claim",
            "role=\"admin\"",
            "--claim",
            "groups=[1,2]",
        ],
    );
    assert!(header.starts_with("__Secure-authjs.session-token="));
    let claims = &open(&header).json()["claims"];
    let number = |name: &str| claims[name].as_u64().expect("a number");
    assert_eq!(number("exp") - number("iat"), 60);
    assert_eq!(claims["role"], "admin");
    assert_eq!(claims["groups"], json!([1, 2]));

    let ended = minted("authjs", ["--expires-in", "-600"]);
    assert_eq!(open(&ended).json()["reason"], "expired");

    let other_version = minted("better-auth-jwt", ["--cache-version", "7"]);
    assert_eq!(open(&other_version).json()["reason"], "wrong_cache_version");
}

#[test]
fn set_cookie_headers_have_the_attributes_of_the_framework() {
    let secure = ["--cookie-name", "__Secure-better-auth.session_token"];
    let lines = minted(
        "better-auth-compact",
        secure
            .into_iter()
            .chain(["--set-cookie", "--expires-in", "60"]),
    );
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2);
    for (line, name) in lines.iter().zip(["session_token", "session_data"]) {
        assert!(
            line.starts_with(&format!("Set-Cookie: __Secure-better-auth.{name}=")),
            "{line}"
        );
        assert!(
            line.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"),
            "{line}"
        );
    }
    assert!(!minted("authjs", ["--set-cookie"]).contains("Secure"));
}

#[test]
fn mint_prints_a_warning_and_never_the_secret() {
    let outcome = mint("authjs").run();
    assert!(outcome.stderr.contains("WARNING"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("\"ada\""), "{}", outcome.stderr);
    let printed = outcome.stdout + &outcome.stderr;
    assert!(!printed.contains(SECRET), "{printed}");
}

#[test]
fn options_without_effect_or_in_conflict_are_refused() {
    for (format, words, part) in [
        (
            "better-auth-token",
            &["--email", "a@b.c"][..],
            "--email has no effect on `better-auth-token`",
        ),
        (
            "better-auth-token",
            &["--name", "Ada"],
            "--name has no effect",
        ),
        (
            "better-auth-token",
            &["--claim", "role=1"],
            "--claim has no effect",
        ),
        (
            "better-auth-token",
            &["--expires-in", "60"],
            "--expires-in has no effect",
        ),
        (
            "better-auth-token",
            &["--cache-version", "2"],
            "--cache-version has no effect",
        ),
        (
            "authjs",
            &["--cache-version", "2"],
            "it has no cookie cache",
        ),
        (
            "nextauth",
            &["--cache-version", "1"],
            "it has no cookie cache",
        ),
        (
            "authjs",
            &["--claim", "sub=\"eve\""],
            "--claim sub=…: use --user to set it",
        ),
        (
            "better-auth-jwt",
            &["--claim", "id=\"eve\""],
            "use --user to set it",
        ),
        (
            "authjs",
            &["--claim", "exp=1"],
            "use --expires-in to set it",
        ),
        (
            "nextauth",
            &["--email", "a@b.c", "--claim", "email=1"],
            "use --email to set it",
        ),
        (
            "better-auth-jwe",
            &["--name", "Ada", "--claim", "name=1"],
            "use --name to set it",
        ),
        (
            "authjs",
            &["--claim", "role=1", "--claim", "role=2"],
            "it is given twice",
        ),
        ("authjs", &["--claim", "=1"], "the name before the"),
        (
            "authjs",
            &["--secret", SECRET, "--secret", SECRET],
            "one secret",
        ),
    ] {
        let outcome = mint(format).args(words.iter().copied()).run();
        assert_eq!(outcome.code, Some(2), "{format} {words:?}: {outcome:?}");
        assert!(
            outcome.stderr.contains(part),
            "{words:?}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stdout, "", "{words:?}");
    }
    for (format, words) in [
        (
            "better-auth-token",
            &["--set-cookie", "--expires-in", "60"][..],
        ),
        ("authjs", &["--claim", "email=null", "--claim", "id=1"]),
        (
            "better-auth-compact",
            &["--claim", "sub=1", "--cache-version", "1"],
        ),
    ] {
        let outcome = mint(format).args(words.iter().copied()).run();
        assert_eq!(outcome.code, Some(0), "{words:?}: {}", outcome.stderr);
    }
    let printed = mint("better-auth-token").run().stderr;
    assert!(printed.contains("that names no user"), "{printed}");
    assert!(!printed.contains("is signed in as"), "{printed}");
}

#[test]
fn mint_refuses_to_run_in_production() {
    for name in ["NODE_ENV", "RAILS_ENV", "APP_ENV", "SESSIONGATE_ENV"] {
        let outcome = mint("authjs").env(name, "production").run();
        assert_eq!(outcome.code, Some(1), "{name}");
        assert_eq!(outcome.stdout, "", "{name}");
        assert!(outcome.stderr.contains(name), "{}", outcome.stderr);
        assert_eq!(
            mint("authjs").env(name, "test").run().code,
            Some(0),
            "{name}"
        );
    }
}

#[test]
fn wrong_usage_is_explained() {
    let user = ["mint", "--user", "ada"];
    for (words, helpful) in [
        (&["--format", "auth0"][..], "possible values"),
        (&[], "--format"),
        (&["--format", "authjs", "--claim", "role"], "NAME=JSON"),
        (
            &["--format", "authjs", "--claim", "role=admin"],
            "a text needs quotes",
        ),
        (
            &["--format", "authjs", "--cookie-name", "a b"],
            "cookie name",
        ),
        (
            &["--format", "authjs", "--expires-in", "soon"],
            "--expires-in",
        ),
        (&["--format", "authjs"], "AUTH_SECRET"),
    ] {
        let outcome = Tool::new(user).args(words.iter().copied()).run();
        assert_eq!(outcome.code, Some(2), "{words:?}: {outcome:?}");
        assert!(
            outcome.stderr.contains(helpful),
            "{words:?}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.stdout, "", "{words:?}");
    }
}
