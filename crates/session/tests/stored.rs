//! Tests sessions that only the application's store knows.

mod common;

use core::time::Duration;

use common::{NOW, PLAIN, V4_PLAIN, name, secret, token};
use session::{
    ClaimDemands, Format, KeyRing, OpenError, Opened, SealedSession, SessionCookie, SessionToken,
    Standing, StoredColumns, StoredSession, UnixTime,
};

const UUID: &str = "0b8a6c2e-1f3d-4e5f-8a9b-0c1d2e3f4a5b";

fn open(cookie: SessionCookie, header: &str) -> Result<Opened, OpenError> {
    let keys = KeyRing::new(&[secret()], vec![cookie]).expect("a ring");
    let sealed = SealedSession::find(&keys, [header.as_bytes()], [])?;
    let sealed = sealed.expect("a session cookie");
    sealed.open(&keys, &ClaimDemands::default(), NOW)
}

fn session_token(value: &str) -> Result<SessionToken, OpenError> {
    let cookie = SessionCookie::authjs_database(name(PLAIN));
    match open(cookie, &format!("{PLAIN}={value}"))? {
        Opened::Lookup { token, cache: None } => Ok(token),
        other @ (Opened::Lookup { .. } | Opened::Session(_)) => panic!("{other:?}"),
    }
}

fn columns(subject: &str) -> StoredColumns<'_> {
    StoredColumns {
        subject,
        email: Some("ada@example.com"),
        name: Some("Ada \"the Countess\""),
        standing: Standing::default(),
        issued_at: Some(UnixTime::from_secs(NOW.secs() - 60)),
        expires_at: UnixTime::from_millis(NOW.millis() + 1),
    }
}

#[test]
fn a_token_is_taken_unchanged() {
    let custom = "x".repeat(512);
    for value in [UUID, &"af09".repeat(16), "%7B%22%7D", custom.as_str()] {
        let decoded = value.replace("%7B%22%7D", "{\"}");
        let token = session_token(value).expect("a token");
        assert_eq!(
            (token.expose(), token.format()),
            (decoded.as_str(), Format::AuthJsDatabase)
        );
        assert_eq!(token.id().len(), 43);
    }
    assert_ne!(
        session_token(UUID).expect("a token").id(),
        session_token(&UUID.to_uppercase()).expect("a token").id()
    );
    for value in ["a%00b", "a%20b", "a%0Ab", "%C3%A4", &"x".repeat(513)] {
        let refused = session_token(value);
        assert_eq!(
            refused.err(),
            Some(OpenError::MalformedSessionToken),
            "{value}"
        );
    }
}

#[test]
fn one_cookie_can_hold_either_kind_of_session() {
    for (cookie, own) in [
        (SessionCookie::authjs(name(PLAIN)), PLAIN),
        (SessionCookie::nextauth(name(V4_PLAIN)), V4_PLAIN),
    ] {
        let encrypted = format!("{own}={}", token(own, "u"));
        let opaque = format!("{own}={UUID}");
        let either = cookie.clone().or_opaque();
        assert!(matches!(
            open(either.clone(), &encrypted),
            Ok(Opened::Session(_))
        ));
        assert!(matches!(open(either, &opaque), Ok(Opened::Lookup { .. })));
        assert!(matches!(
            open(cookie, &opaque),
            Err(OpenError::MalformedToken { .. })
        ));
    }
}

#[test]
fn a_stored_session_has_subject_and_expiry() {
    let token = session_token(UUID).expect("a token");
    let stored = StoredSession::new(columns("user-1")).expect("a stored session");
    assert_eq!(stored.columns(), columns("user-1"));
    let session = token
        .open(&stored, &ClaimDemands::default(), NOW)
        .expect("a session");
    assert_eq!((session.subject(), session.id()), ("user-1", token.id()));
    assert_eq!(session.name(), Some("Ada \"the Countess\""));
    assert_eq!(session.claims()["name"], "Ada \"the Countess\"");
    assert_eq!(session.claims()["iat"], NOW.secs() - 60);
    assert_eq!(session.expires_at(), columns("user-1").expires_at);
}

#[test]
fn a_stored_session_ends_to_the_millisecond() {
    let token = session_token(UUID).expect("a token");
    let stored = StoredSession::new(columns("user-1")).expect("a stored session");
    let end = columns("user-1").expires_at;
    let open = |now| {
        token
            .open(&stored, &ClaimDemands::default(), now)
            .map(|_| ())
    };
    assert_eq!(open(end), Ok(()));
    let after = UnixTime::from_millis(end.millis() + 1);
    assert_eq!(open(after), Err(OpenError::Expired { at: end }));
}

#[test]
fn a_maximum_age_needs_a_known_beginning() {
    let token = session_token(UUID).expect("a token");
    let demands = ClaimDemands {
        max_age: Some(Duration::from_secs(10)),
        ..ClaimDemands::default()
    };
    let open = |columns| {
        let stored = StoredSession::new(columns).expect("a stored session");
        token.open(&stored, &demands, NOW).map(|_| ())
    };
    let since = |secs| Some(UnixTime::from_secs(NOW.secs() - secs));
    let of = |issued_at| StoredColumns {
        issued_at,
        ..columns("user-1")
    };
    assert_eq!(open(of(since(25))), Ok(()));
    let issued_at = UnixTime::from_secs(NOW.secs() - 26);
    assert_eq!(
        open(of(Some(issued_at))),
        Err(OpenError::TooOld { issued_at })
    );
    assert_eq!(open(of(None)), Err(OpenError::MissingIssueTime));
}

#[test]
fn stored_values_are_checked() {
    let long = "x".repeat(1025);
    for (subject, error) in [
        ("", OpenError::MissingSubject),
        ("a\nb", OpenError::MalformedClaim { claim: "sub" }),
        ("a\0", OpenError::MalformedClaim { claim: "sub" }),
        (&long, OpenError::MalformedClaim { claim: "sub" }),
    ] {
        assert_eq!(
            StoredSession::new(columns(subject)).err(),
            Some(error),
            "{subject:?}"
        );
    }
    let endless = StoredColumns {
        expires_at: UnixTime::from_millis(u64::MAX),
        ..columns("user-1")
    };
    assert_eq!(
        StoredSession::new(endless).err(),
        Some(OpenError::ExpiryOutOfRange)
    );
}

#[test]
fn printing_shows_neither_the_token_nor_personal_columns() {
    let token = session_token(UUID).expect("a token");
    let stored = StoredSession::new(columns("user-1")).expect("a stored session");
    let printed = format!("{token:?} {stored:?}");
    assert!(printed.contains("user-1"), "{printed}");
    for hidden in [UUID, "ada@", "Countess"] {
        assert!(!printed.contains(hidden), "{printed}");
    }
}

#[test]
fn more_claims_do_not_replace_standard_ones() {
    let plain = StoredSession::new(columns("user-1")).expect("a stored session");
    let more = serde_json::json!({"session": {"activeOrganizationId": "o1"}, "sub": "user-2"});
    let more = more.as_object().expect("an object");
    let with = plain.clone().with_more_claims(more.clone());
    assert_eq!(with.more_claims(), Some(more));
    assert_eq!(with.columns(), plain.columns());
    assert_ne!(with, plain);

    let token = session_token(UUID).expect("a token");
    let open = |stored| {
        let session = token.open(stored, &ClaimDemands::default(), NOW);
        session.expect("it has not ended")
    };
    let session = open(&with);
    assert_eq!(session.subject(), "user-1");
    let mut claims = session.claims();
    assert_eq!(claims["session"]["activeOrganizationId"], "o1");
    claims.remove("session");
    assert_eq!(claims, open(&plain).claims());

    assert_eq!(
        plain.clone().with_more_claims(serde_json::Map::new()),
        plain
    );
    assert_eq!(plain.more_claims(), None);
}
