use super::*;

fn admit(
    claims: &str,
    repeated: &RepeatedClaims<'_>,
    demands: &ClaimDemands,
) -> Result<Session, OpenError> {
    let now = UnixTime::from_millis(1_000_999);
    Session::admit(
        claims.as_bytes().to_vec(),
        b"a.b.c.d.e",
        Format::AuthJs,
        repeated,
        demands,
        now,
    )
}

/// The verdict on claims that have a subject and an expiry besides `members`.
fn verdict(members: &str, demands: &ClaimDemands) -> Result<(), OpenError> {
    let claims = format!(r#"{{"sub":"u","exp":2000{members}}}"#);
    admit(&claims, &RepeatedClaims::default(), demands).map(|_| ())
}

#[test]
fn clocks_may_differ_by_fifteen_seconds() {
    let at = UnixTime::from_secs;
    let plain = |claims: &str| {
        admit(claims, &RepeatedClaims::default(), &ClaimDemands::default()).map(|_| ())
    };
    assert_eq!(plain(r#"{"sub":"u","exp":985.001}"#), Ok(()));
    assert_eq!(
        plain(r#"{"sub":"u","exp":985}"#),
        Err(OpenError::Expired { at: at(985) })
    );
    let free = ClaimDemands::default();
    assert_eq!(verdict(r#","nbf":1015"#, &free), Ok(()));
    assert_eq!(
        verdict(r#","nbf":1016"#, &free),
        Err(OpenError::NotYetValid { from: at(1016) })
    );
    assert_eq!(verdict(r#","iat":1015"#, &free), Ok(()));
    assert_eq!(
        verdict(r#","iat":1016"#, &free),
        Err(OpenError::IssuedInFuture { at: at(1016) })
    );
}

#[test]
fn no_session_outlasts_the_year_9999() {
    let plain = |exp: &str| {
        let claims = format!(r#"{{"sub":"u","exp":{exp}}}"#);
        admit(
            &claims,
            &RepeatedClaims::default(),
            &ClaimDemands::default(),
        )
        .map(|s| s.expires_at())
    };
    assert_eq!(
        plain("253402300799"),
        Ok(UnixTime::from_secs(253_402_300_799))
    );
    assert_eq!(plain("253402300799.5"), Err(OpenError::ExpiryOutOfRange));
    assert_eq!(plain("1e300"), Err(OpenError::ExpiryOutOfRange));
}

#[test]
fn a_demanded_issuer_must_be_exact() {
    let demands = ClaimDemands {
        issuer: Some("https://app".into()),
        ..Default::default()
    };
    assert_eq!(verdict(r#","iss":"https://app""#, &demands), Ok(()));
    for members in [
        "",
        r#","iss":"https://app/""#,
        r#","iss":["https://app"]"#,
        r#","iss":null"#,
    ] {
        assert_eq!(
            verdict(members, &demands),
            Err(OpenError::WrongIssuer),
            "{members}"
        );
    }
}

#[test]
fn a_demanded_audience_may_be_one_of_several() {
    let demands = ClaimDemands {
        audience: Some("gate".into()),
        ..Default::default()
    };
    assert_eq!(verdict(r#","aud":"gate""#, &demands), Ok(()));
    assert_eq!(verdict(r#","aud":["other","gate"]"#, &demands), Ok(()));
    for members in [
        "",
        r#","aud":"gates""#,
        r#","aud":[]"#,
        r#","aud":["gate",1]"#,
        r#","aud":{"gate":1}"#,
    ] {
        assert_eq!(
            verdict(members, &demands),
            Err(OpenError::WrongAudience),
            "{members}"
        );
    }
}

#[test]
fn a_maximum_age_needs_an_issue_time() {
    let demands = ClaimDemands {
        max_age: Some(Duration::from_secs(100)),
        ..Default::default()
    };
    assert_eq!(verdict("", &demands), Err(OpenError::MissingIssueTime));
    assert_eq!(verdict(r#","iat":886"#, &demands), Ok(()));
    let issued_at = UnixTime::from_secs(885);
    assert_eq!(
        verdict(r#","iat":885"#, &demands),
        Err(OpenError::TooOld { issued_at })
    );
    let endless = ClaimDemands {
        max_age: Some(Duration::MAX),
        ..Default::default()
    };
    assert_eq!(verdict(r#","iat":-5"#, &endless), Ok(()));
}

#[test]
fn claims_in_the_header_must_be_the_real_ones() {
    let verdict = |header: &str| {
        let claims = r#"{"sub":"u","exp":2000,"aud":["a","b"],"x":null}"#;
        let [aud, iss, sub] = json::members(header, ["aud", "iss", "sub"]).expect("strict");
        admit(
            claims,
            &RepeatedClaims { aud, iss, sub },
            &ClaimDemands::default(),
        )
        .map(|_| ())
    };
    assert_eq!(verdict(r#"{"sub":"u","aud":["a","b"]}"#), Ok(()));
    for (header, claim) in [
        (r#"{"sub":"v"}"#, "sub"),
        (r#"{"sub":null}"#, "sub"),
        (r#"{"aud":["b","a"]}"#, "aud"),
        (r#"{"aud":"a"}"#, "aud"),
        (r#"{"iss":"i"}"#, "iss"),
        (r#"{"iss":{}}"#, "iss"),
    ] {
        assert_eq!(
            verdict(header),
            Err(OpenError::HeaderMismatch { claim }),
            "{header}"
        );
    }
}

#[test]
fn a_subject_is_bounded_printable_text() {
    let verdict = |sub: &str| {
        let claims = format!(r#"{{"sub":"{sub}","exp":2000}}"#);
        admit(
            &claims,
            &RepeatedClaims::default(),
            &ClaimDemands::default(),
        )
        .map(|s| s.subject().to_owned())
    };
    let malformed = Err(OpenError::MalformedClaim { claim: "sub" });
    assert_eq!(verdict(&"x".repeat(1024)), Ok("x".repeat(1024)));
    assert_eq!(verdict(&"x".repeat(1025)), malformed);
    assert_eq!(verdict(r"a\u0000"), malformed);
    assert_eq!(verdict("a\u{7f}"), malformed);
    assert_eq!(verdict("a\u{85}"), malformed);
    assert_eq!(verdict(""), Err(OpenError::MissingSubject));
    assert_eq!(verdict("Zoë|1"), Ok("Zoë|1".to_owned()));
}

#[test]
fn identity_reads_the_same_with_and_without_escapes() {
    let claims = r#"{"email":"a\u0040b","name":null,"sub":"user\/1","exp":2000.5,"jti":"j"}"#;
    let session =
        admit(claims, &RepeatedClaims::default(), &ClaimDemands::default()).expect("a session");
    assert_eq!(session.subject(), "user/1");
    assert_eq!(
        (session.email(), session.name(), session.id()),
        (Some("a@b"), None, "j")
    );
    assert_eq!(session.expires_at(), UnixTime::from_millis(2_000_500));
    assert_eq!((session.issued_at(), session.claims_json()), (None, claims));
    assert_eq!(session.claims().get("email"), Some(&Value::from("a@b")));
}

#[test]
fn printing_a_session_shows_no_personal_claim() {
    let claims = r#"{"email":"ada@example.com","name":"Ada","sub":"u","exp":2000,"secret":"s3"}"#;
    let session =
        admit(claims, &RepeatedClaims::default(), &ClaimDemands::default()).expect("a session");
    let printed = format!("{session:?}");
    assert!(printed.contains("\"u\""), "{printed}");
    assert!(
        !["ada@", "Ada", "s3"]
            .iter()
            .any(|text| printed.contains(text)),
        "{printed}"
    );
}

#[test]
fn a_session_without_a_usable_id_has_the_hash_of_its_token_as_id() {
    let id = |members: &str| {
        let claims = format!(r#"{{"sub":"u","exp":2000{members}}}"#);
        admit(
            &claims,
            &RepeatedClaims::default(),
            &ClaimDemands::default(),
        )
        .expect("a session")
        .id()
        .to_owned()
    };
    let hashed = hash(b"a.b.c.d.e");
    assert_eq!(hashed.len(), 43);
    assert_eq!(id(r#","jti":"j""#), "j");
    for members in ["", r#","jti":"""#, r#","jti":7"#, r#","jti":"a\nb""#] {
        assert_eq!(id(members), *hashed, "{members}");
    }
}

#[test]
fn an_id_is_text_without_control_characters() {
    for id in ["u", "auth0|5f7c", "a b", "zoë", "用户", &"x".repeat(1024)] {
        assert!(is_subject(id), "{id:?}");
    }
    let too_long = "x".repeat(1025);
    for id in [
        "",
        "a\0",
        "a\nb",
        "\u{7f}",
        "zoë\u{85}",
        "\u{9f}用户",
        &too_long,
    ] {
        assert!(!is_subject(id), "{id:?}");
    }
}

/// The subject of claims with these members and an expiry, read from `subject_claim` if that is given.
fn subject_of(members: &str, subject_claim: Option<&str>) -> Result<String, OpenError> {
    let demands = ClaimDemands {
        subject_claim: subject_claim.map(str::to_owned),
        ..ClaimDemands::default()
    };
    let claims = format!(r#"{{"exp":2000{members}}}"#);
    admit(&claims, &RepeatedClaims::default(), &demands).map(|s| s.subject().to_owned())
}

#[test]
fn a_number_names_a_user_by_its_decimal_text() {
    let subject = |number: &str| subject_of(&format!(r#","sub":{number}"#), None);
    for id in ["7", "0", "-7", "9007199254740992", "-9007199254740992"] {
        assert_eq!(subject(id), Ok(id.to_owned()));
    }
    for other in [
        "7.0",
        "7.5",
        "7e0",
        "7E2",
        "1e21",
        "-0",
        "9007199254740993",
        "-9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "true",
        "null",
        "[7]",
        r#"{"id":7}"#,
    ] {
        let malformed = Err(OpenError::MalformedClaim { claim: "sub" });
        assert_eq!(subject(other), malformed, "{other}");
    }
}

#[test]
fn another_claim_can_identify_the_user() {
    let id = r#","sub":"no","id":"user-1","uid":7,"https://example.com/id":"auth0|1","user.id":"dotted""#;
    for (claim, subject) in [
        ("id", "user-1"),
        ("uid", "7"),
        ("https://example.com/id", "auth0|1"),
        ("user.id", "dotted"),
        ("sub", "no"),
    ] {
        assert_eq!(
            subject_of(id, Some(claim)).as_deref(),
            Ok(subject),
            "{claim}"
        );
    }
    // Claims that are also read for another purpose can name the user too.
    let known = r#","sub":"no","email":"ada@example.com","name":"Ada","jti":"j""#;
    for (claim, subject) in [("email", "ada@example.com"), ("name", "Ada"), ("jti", "j")] {
        assert_eq!(
            subject_of(known, Some(claim)).as_deref(),
            Ok(subject),
            "{claim}"
        );
    }
    // No other claim replaces the configured one.
    let missing = Err(OpenError::MissingSubject);
    assert_eq!(subject_of(r#","sub":"user-1""#, Some("id")), missing);
    assert_eq!(
        subject_of(r#","sub":"user-1","id":"""#, Some("id")),
        missing
    );
    assert_eq!(
        subject_of(r#","sub":"u","user":{"id":"7"}"#, Some("user.id")),
        missing
    );
    let refused = subject_of(r#","sub":"u","id":null"#, Some("id")).expect_err("no id");
    assert_eq!(
        refused.to_string(),
        "claim configured as SUBJECT_CLAIM is malformed"
    );
}

#[test]
fn a_session_shows_verification_and_impersonation() {
    let of = |members: &str| {
        let claims = format!(r#"{{"sub":"u","exp":2000{members}}}"#);
        let session = admit(
            &claims,
            &RepeatedClaims::default(),
            &ClaimDemands::default(),
        );
        let session = session.expect("a session");
        let by = session.impersonated_by().map(str::to_owned);
        (session.email_verified(), session.is_anonymous(), by)
    };
    assert_eq!(of(""), (None, false, None));
    assert_eq!(of(r#","email_verified":true"#), (Some(true), false, None));
    assert_eq!(
        of(r#","emailVerified":"false""#),
        (Some(false), false, None)
    );
    assert_eq!(of(r#","isAnonymous":true"#), (None, true, None));
    assert_eq!(of(r#","is_anonymous":true"#), (None, true, None));
    let by = of(r#","impersonatedBy":"adm\u0069n""#);
    assert_eq!(by, (None, false, Some("admin".to_owned())));
}

#[test]
fn the_time_of_sign_in_survives_a_renewal_where_a_claim_has_it() {
    let named = ClaimDemands {
        sign_in_claim: Some("auth_time".to_owned()),
        ..ClaimDemands::default()
    };
    for (members, expected) in [
        (r#","auth_time":500,"iat":900"#, Some(500)),
        (r#","auth_time":900,"iat":500"#, Some(500)),
        (r#","iat":900"#, None),
        (r#","auth_time":500"#, None),
        (r#","auth_time":"yesterday","iat":900"#, None),
    ] {
        let claims = format!(r#"{{"sub":"u","exp":2000{members}}}"#);
        let session = admit(&claims, &RepeatedClaims::default(), &named).unwrap();
        let signed_in = session.signed_in_at(&named).map(UnixTime::secs);
        assert_eq!(signed_in, expected, "{claims}");
        let by_iat = session.signed_in_at(&ClaimDemands::default());
        assert_eq!(by_iat, session.issued_at());
    }
}
