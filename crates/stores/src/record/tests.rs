use serde_json::json;

use super::*;

const TABLES: &str = "app users id";
const LIFETIME: Duration = Duration::from_secs(600);

fn write<F: Recorded>(found: Option<&F>, scope: &RecordScope, key: &str) -> Vec<u8> {
    super::write(found, scope, key, LIFETIME)
}

fn read<F: Recorded>(value: &[u8], scope: &RecordScope, key: &str) -> Option<Option<F>> {
    super::read(value, scope, key).map(|known| known.found)
}

fn scope(description: &str) -> RecordScope {
    scope_of_columns(description, 0)
}

fn scope_of_columns(description: &str, columns: usize) -> RecordScope {
    RecordScope {
        description: description.to_owned(),
        columns,
        claims: 0,
    }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for (user, len) in [(Some(User::default()), 56), (None, 57)] {
        let value = write(user.as_ref(), &scope(TABLES), "7");
        assert_eq!(read(&value, &scope(TABLES), "7"), Some(user));
        assert_eq!(value.len(), len);
    }
}

#[test]
fn a_record_holds_its_lifetime_unless_an_earlier_release_wrote_it() {
    let value = write(Some(&User::default()), &scope(TABLES), "7");
    let of = binding(TABLES, "7");
    assert_eq!(of, "568c8d102013ff26");
    let expected = format!(r#"{{"v":1,"of":"{of}","for":600000,"user":true}}"#);
    assert_eq!(str::from_utf8(&value).unwrap(), expected);
    let lifetime = |value: &str| {
        let known = super::read::<User>(value.as_bytes(), &scope(TABLES), "7");
        known.map(|known| known.lifetime)
    };
    assert_eq!(lifetime(&expected), Some(Some(LIFETIME)));
    assert_eq!(
        lifetime(&expected.replace(r#""for":600000,"#, "")),
        Some(None)
    );
    for wrong in ["-1", "1.5", "\"1\"", "[]", "18446744073709551616"] {
        assert_eq!(
            lifetime(&expected.replace("600000", wrong)),
            None,
            "{wrong}"
        );
    }
}

#[test]
fn the_columns_of_a_user_are_read_as_they_were_written_and_never_fewer() {
    let values = vec![
        json!("admin,editor"),
        Value::Null,
        json!(9_007_199_254_740_993_i64),
    ];
    let user = User::with_columns(values);
    let value = write(Some(&user), &scope_of_columns(TABLES, 3), "7");
    assert_eq!(
        read(&value, &scope_of_columns(TABLES, 3), "7"),
        Some(Some(user))
    );
    for columns in [0, 2, 4] {
        let scope = scope_of_columns(TABLES, columns);
        assert_eq!(read::<User>(&value, &scope, "7"), None, "{columns}");
    }
    let absent = write::<User>(None, &scope_of_columns(TABLES, 3), "7");
    assert_eq!(
        read::<User>(&absent, &scope_of_columns(TABLES, 3), "7"),
        Some(None)
    );
    let absent = String::from_utf8(absent).unwrap();
    let forged = absent.replace("false}", r#"false,"columns":[1,2,3]}"#);
    assert_eq!(
        read::<User>(forged.as_bytes(), &scope_of_columns(TABLES, 3), "7"),
        None
    );
}

#[test]
fn a_record_about_another_table_or_user_is_a_miss() {
    for (description, subject) in [
        ("app accounts id", "7"),
        (TABLES, "8"),
        ("app users id7", ""),
        ("", "app users id7"),
    ] {
        assert_eq!(
            read::<User>(
                &write(Some(&User::default()), &scope(description), subject),
                &scope(TABLES),
                "7"
            ),
            None
        );
    }
}

#[test]
fn a_value_that_we_would_not_write_is_a_miss() {
    let ours = String::from_utf8(write(Some(&User::default()), &scope(TABLES), "7")).unwrap();
    for value in [
        "",
        "1",
        "true",
        "null",
        "{}",
        "[]",
        r#"{"v":1,"user":true}"#,
        "\u{0}",
        &ours.replace("\"v\":1", "\"v\":2"),
        &ours.replace("\"v\":1", "\"v\":257"),
        &ours.replace("true", "1"),
        &ours.replace("true", "\"true\""),
        &ours.replace("\"user\":true", "\"user\":false,\"user\":true"),
        &ours.replace("true}", "true,\"admin\":true}"),
        &ours.replace("true}", "true}}"),
        &ours[..ours.len() - 1],
        &format!("{ours}{}", " ".repeat(User::max_len(0))),
    ] {
        assert_eq!(
            read::<User>(value.as_bytes(), &scope(TABLES), "7"),
            None,
            "{value}"
        );
    }
    assert_eq!(read::<User>(&[0xff, 0xfe], &scope(TABLES), "7"), None);
}

#[test]
fn a_session_is_read_as_it_was_written() {
    let session = |email: Option<&str>, name: Option<&str>, standing, issued: Option<u64>| {
        let stored = StoredSession::new(StoredColumns {
            subject: "7",
            email,
            name,
            standing,
            issued_at: issued.map(UnixTime::from_millis),
            expires_at: UnixTime::from_millis(1_900_000_000_123),
        })
        .unwrap();
        KnownSession {
            stored,
            user: User::default(),
        }
    };
    let longest = &*"\u{1}".repeat(1024);
    let nothing = Standing::default();
    let unverified = Standing {
        email_verified: Some(false),
        is_anonymous: true,
        impersonated_by: Some(longest),
    };
    let verified = Standing {
        email_verified: Some(true),
        ..nothing
    };
    let (ada, name) = (Some("ada@example.com"), Some("Ada \"λ\""));
    for found in [
        None,
        Some(session(None, None, nothing, None)),
        Some(session(ada, name, verified, Some(1))),
        Some(session(
            Some(longest),
            Some(longest),
            unverified,
            Some(u64::MAX),
        )),
    ] {
        let value = write(found.as_ref(), &scope(TABLES), "id");
        assert!(value.len() <= KnownSession::max_len(0));
        assert_eq!(read(&value, &scope(TABLES), "id"), Some(found));
        assert_eq!(read::<KnownSession>(&value, &scope(TABLES), "other"), None);
        assert_eq!(read::<KnownSession>(&value, &scope("other"), "id"), None);
        assert_eq!(read::<User>(&value, &scope(TABLES), "id"), None);
    }
}

#[test]
fn the_claims_of_a_session_are_read_as_they_were_written_and_never_left_out() {
    let known = |claims: &Value| KnownSession {
        stored: StoredSession::new(StoredColumns {
            subject: "7",
            email: None,
            name: None,
            standing: Standing::default(),
            issued_at: None,
            expires_at: UnixTime::from_millis(1_900_000_000_123),
        })
        .unwrap()
        .with_more_claims(claims.as_object().unwrap().clone()),
        user: User::default(),
    };
    let scope = |claims| RecordScope {
        claims,
        ..scope(TABLES)
    };
    let with = known(&json!({"session": {"activeOrganizationId": "o1", "impersonatedBy": null}}));
    let without = known(&json!({}));
    for (found, claims) in [(&with, 2), (&without, 0)] {
        let value = write(Some(found), &scope(claims), "id");
        assert_eq!(
            read(&value, &scope(claims), "id"),
            Some(Some(found.clone()))
        );
        assert_eq!(read::<KnownSession>(&value, &scope(2 - claims), "id"), None);
    }
    let absent = write::<KnownSession>(None, &scope(2), "id");
    assert_eq!(read::<KnownSession>(&absent, &scope(2), "id"), Some(None));
}

#[test]
fn a_session_that_we_would_not_write_is_a_miss() {
    let record = |session: &str| {
        format!(
            r#"{{"v":2,"of":"{}","session":{session}}}"#,
            binding(TABLES, "id")
        )
    };
    let good = r#"{"sub":"7","email":null,"name":null,"verified":null,"anonymous":false,"by":null,"iat_ms":null,"exp_ms":1900000000000}"#;
    let read = |value: &str| read::<KnownSession>(value.as_bytes(), &scope(TABLES), "id");
    assert!(read(&record(good)).is_some_and(|found| found.is_some()));
    assert_eq!(read(&record("null")), Some(None));
    assert_eq!(
        read(&format!(r#"{{"v":2,"of":"{}"}}"#, binding(TABLES, "id"))),
        None
    );
    assert_eq!(read(&record(good).replace("\"v\":2", "\"v\":3")), None);
    // A record of an earlier release says nothing about the address, which is not the same as "verified".
    let earlier = r#"{"sub":"7","email":null,"name":null,"iat_ms":null,"exp_ms":1900000000000}"#;
    assert_eq!(read(&record(earlier)), None);
    assert_eq!(read(&record(earlier).replace("\"v\":2", "\"v\":1")), None);
    for (part, hostile) in [
        (r#""7""#, r#""""#),
        (r#""7""#, "7"),
        (r#""7""#, "null"),
        (r#""7""#, r#""7\r\nX-Admin: 1""#),
        (r#""7""#, r#""7\u0000""#),
        (r#""sub":"7","#, ""),
        (r#""email":null,"#, ""),
        (r#""verified":null,"#, ""),
        (r#""verified":null"#, r#""verified":"true""#),
        (r#""anonymous":false,"#, ""),
        (r#""anonymous":false"#, r#""anonymous":null"#),
        (r#""by":null,"#, ""),
        (r#""by":null"#, r#""by":7"#),
        (r#""email":null"#, r#""email":["ada@example.com"]"#),
        ("1900000000000", "null"),
        ("1900000000000", "-1"),
        ("1900000000000", "1e300"),
        ("1900000000000", "1900000000000.5"),
        ("1900000000000", "\"1900000000000\""),
        ("1900000000000", "253402300799001"),
        ("1900000000000", "18446744073709551616"),
        ("}", r#","admin":true}"#),
        (r#""sub":"7""#, r#""sub":"7","sub":"8""#),
    ] {
        let value = record(&good.replace(part, hostile));
        assert_eq!(read(&value), None, "{value}");
    }
    for session in ["true", "\"7\"", "[]", "{}"] {
        assert_eq!(read(&record(session)), None, "{session}");
    }
    let long = good.replace('7', &"7".repeat(1025));
    assert_eq!(read(&record(&long)), None);
}
