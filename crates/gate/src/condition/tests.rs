//! Conditions, as a table.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use serde_json::json;
use session::{Opened, SealedSession, Secret, SessionCookie, seal};

use super::*;
use crate::{Arrival, ClientCertificate};

const NOW: u64 = 1_900_000_000;

fn session(claims: &Value) -> Session {
    let secret = Secret::new("0123456789abcdef0123456789abcdef");
    let cookies = SessionCookie::defaults().into();
    let keys = session::KeyRing::new(std::slice::from_ref(&secret), cookies).unwrap();
    let name = "authjs.session-token".parse().unwrap();
    let token = seal::authjs(&secret, &name, claims.as_object().unwrap(), [7; 16]);
    let cookie = format!("{name}={token}");
    let sealed = SealedSession::find(&keys, [cookie.as_bytes()], []).unwrap();
    let opened = sealed.unwrap().open(
        &keys,
        &session::ClaimDemands::default(),
        UnixTime::from_secs(NOW),
    );
    match opened.unwrap() {
        Opened::Session(session) => session,
        Opened::Lookup { .. } => panic!("a sealed session needs no lookup"),
    }
}

fn verdict(condition: &Condition) -> Verdict {
    judged(|evidence| condition.verdict(evidence))
}

fn judged<T>(judge: impl FnOnce(&Evidence<'_>) -> T) -> T {
    let claims = json!({
        "sub": "ada", "exp": NOW + 60, "iat": NOW - 100,
        "role": "admin, editor", "level": 3, "on": true, "none": null, "empty": "",
        "groups": ["staff", "ops"], "mixed": ["staff", 1], "object": {"a": {"b": "deep"}},
        "https://a.example/role": "dotted", "activeOrganizationId": "o1",
        "large": 9_007_199_254_740_993_i64, "seconds": NOW - 1, "millis": (NOW + 1) * 1000, "iso": "2030-03-17T17:46:41.000Z",
    });
    let session = session(&claims);
    let user = User::with_columns(vec![
        json!("team"),
        json!(1),
        json!(null),
        json!({"o1": "member,owner", "o2": "admin"}),
    ]);
    let arrival = Arrival {
        peer: Ipv4Addr::LOCALHOST.into(),
        client: "::ffff:10.1.2.3".parse::<IpAddr>().unwrap(),
        trusted_peer: false,
        relayed: false,
        secure: false,
        certificate: Some(Arc::new(ClientCertificate::new([
            "CN=billing,O=Example".to_owned(),
            "DNS:billing.internal".to_owned(),
        ]))),
        request_id: HeaderValue::from_static("id"),
    };
    let facts = Facts {
        method: &Method::GET,
        host: None,
        path: Some("/"),
        headers: &HeaderMap::new(),
        arrival: &arrival,
    };
    let now = UnixTime::from_secs(NOW);
    judge(&Evidence::new(&facts, &session, &user, now))
}

fn test(kind: TestKind) -> Test {
    Test {
        kind,
        separator: None,
    }
}

fn claim(path: &str, kind: TestKind) -> Condition {
    Condition::Claim(ClaimPath::new(path).unwrap(), test(kind))
}

fn column(index: usize, kind: TestKind) -> Condition {
    let name = "c".into();
    Condition::Column(ColumnRef { index, name }, test(kind))
}

fn text(text: &str) -> Scalar {
    Scalar::Text(text.into())
}

#[test]
fn every_kind_of_value_meets_every_kind_of_test() {
    use TestKind::*;
    use Verdict::*;
    let separated = |separator: &str, wanted: &str| {
        let test = Test {
            kind: Contains(vec![text(wanted)]),
            separator: Some(separator.into()),
        };
        Condition::Claim(ClaimPath::new("role").unwrap(), test)
    };
    let separated_number = Condition::Claim(
        ClaimPath::new("role").unwrap(),
        Test {
            kind: Contains(vec![text("none"), Scalar::Number(3.0)]),
            separator: Some(",".into()),
        },
    );
    for (condition, wanted) in [
        (claim("role", Equals(text("admin, editor"))), Met),
        (claim("role", Equals(text("Admin, editor"))), Unmet),
        (claim("role", Equals(Scalar::Number(1.0))), Incomparable),
        (claim("level", Equals(Scalar::Number(3.0))), Met),
        (claim("level", Equals(text("3"))), Incomparable),
        // The next whole number is the same floating-point number.
        (
            claim("large", Equals(Scalar::Number(9_007_199_254_740_992.0))),
            Incomparable,
        ),
        (claim("level", Equals(Scalar::Bool(true))), Incomparable),
        (claim("on", Equals(Scalar::Bool(true))), Met),
        (claim("on", Equals(Scalar::Bool(false))), Unmet),
        (claim("on", Equals(text("true"))), Incomparable),
        (claim("absent", Equals(text("x"))), Unmet),
        (claim("none", Equals(text("x"))), Unmet),
        (claim("object", Equals(text("x"))), Incomparable),
        (claim("object.a.b", Equals(text("deep"))), Met),
        (claim("object.a.b.c", Equals(text("deep"))), Unmet),
        (claim("https://a.example/role", Equals(text("dotted"))), Met),
        (
            claim("level", OneOf(vec![text("3"), Scalar::Number(3.0)])),
            Met,
        ),
        (claim("level", OneOf(vec![text("3")])), Incomparable),
        (
            claim(
                "level",
                OneOf(vec![Scalar::Number(1.0), Scalar::Number(2.0)]),
            ),
            Unmet,
        ),
        (claim("groups", Contains(vec![text("ops")])), Met),
        (claim("groups", Contains(vec![text("op")])), Unmet),
        (claim("mixed", Contains(vec![text("staff")])), Met),
        (claim("mixed", Contains(vec![text("ops")])), Incomparable),
        (claim("role", Contains(vec![text("admin")])), Incomparable),
        (separated(",", "admin"), Met),
        (separated(",", "editor"), Met),
        (separated(",", "edit"), Unmet),
        (separated_number, Incomparable),
        (separated(" ", "editor"), Met),
        (separated(" ", "admin"), Unmet),
        (claim("absent", Contains(vec![text("x")])), Unmet),
        (claim("role", Present(true)), Met),
        (claim("none", Present(true)), Unmet),
        (claim("absent", Present(false)), Met),
        (claim("empty", Present(true)), Met),
        (claim("empty", Empty(true)), Met),
        (claim("none", Empty(true)), Met),
        (claim("role", Empty(false)), Met),
        (claim("level", Empty(true)), Unmet),
        (claim("seconds", Past), Met),
        (claim("seconds", Future), Unmet),
        (claim("millis", Future), Met),
        (claim("millis", Past), Unmet),
        (claim("iso", Future), Met),
        (claim("role", Past), Incomparable),
        (claim("none", Past), Unmet),
        (claim("none", Future), Unmet),
        (column(0, Equals(text("team"))), Met),
        // A database without booleans stores 1 and 0.
        (column(1, Equals(Scalar::Bool(true))), Met),
        (column(1, Equals(Scalar::Bool(false))), Unmet),
        (column(2, Empty(true)), Met),
        (column(2, Equals(Scalar::Bool(false))), Unmet),
        (column(9, Present(true)), Incomparable),
        (
            Condition::Not(Box::new(column(9, Present(true)))),
            Incomparable,
        ),
    ] {
        assert_eq!(verdict(&condition), wanted, "{condition:?}");
    }
}

#[test]
fn combined_conditions_have_three_outcomes() {
    let yes = || claim("on", TestKind::Equals(Scalar::Bool(true)));
    let no = || claim("on", TestKind::Equals(Scalar::Bool(false)));
    let odd = || claim("on", TestKind::Equals(text("true")));
    let not = |condition| Condition::Not(Box::new(condition));
    for (condition, wanted) in [
        (Condition::ALWAYS, Verdict::Met),
        (Condition::All(vec![yes(), yes()]), Verdict::Met),
        (Condition::All(vec![yes(), no()]), Verdict::Unmet),
        (Condition::All(vec![yes(), odd()]), Verdict::Incomparable),
        (Condition::Any(vec![]), Verdict::Unmet),
        (Condition::Any(vec![no(), yes()]), Verdict::Met),
        (Condition::Any(vec![no(), no()]), Verdict::Unmet),
        (Condition::Any(vec![odd(), yes()]), Verdict::Met),
        (Condition::Any(vec![odd(), no()]), Verdict::Incomparable),
        (not(yes()), Verdict::Unmet),
        (not(no()), Verdict::Met),
        // A value that cannot be compared does not meet the negation either.
        (not(odd()), Verdict::Incomparable),
    ] {
        assert_eq!(verdict(&condition), wanted, "{condition:?}");
    }
}

#[test]
fn conditions_also_check_requests_and_sessions() {
    let network = |text: &str| Condition::Network(vec![text.parse().unwrap()]);
    let certificate = |name: &str| Condition::Certificate(vec!["CN=other".into(), name.into()]);
    let role = |role: &str, active: &str| Condition::OrganizationRole {
        active: ClaimPath::new(active).unwrap(),
        roles: ColumnRef {
            index: 3,
            name: "roles".into(),
        },
        one_of: vec![role.into()],
    };
    for (condition, wanted) in [
        (certificate("CN=billing,O=Example"), Verdict::Met),
        (certificate("DNS:billing.internal"), Verdict::Met),
        (certificate("CN=billing"), Verdict::Unmet),
        (certificate("DNS:Billing.internal"), Verdict::Unmet),
        (network("10.0.0.0/8"), Verdict::Met),
        (network("192.168.0.0/16"), Verdict::Unmet),
        (Condition::MaxAge(Duration::from_secs(100)), Verdict::Met),
        (Condition::MaxAge(Duration::from_secs(99)), Verdict::Unmet),
        (Condition::Methods(vec![Method::GET]), Verdict::Met),
        (Condition::Methods(vec![Method::POST]), Verdict::Unmet),
        (role("owner", "activeOrganizationId"), Verdict::Met),
        // That is a role in another organization.
        (role("admin", "activeOrganizationId"), Verdict::Unmet),
        (role("owner", "absent"), Verdict::Unmet),
        (role("owner", "on"), Verdict::Incomparable),
    ] {
        assert_eq!(verdict(&condition), wanted, "{condition:?}");
    }
}

#[test]
fn every_condition_is_shown_with_the_value_it_checked() {
    let text = |text: &str| Scalar::Text(text.into());
    let claim = |path: &str, kind| Condition::Claim(ClaimPath::new(path).unwrap(), test(kind));
    let column = |index, name: &str, kind| {
        let name = name.into();
        Condition::Column(ColumnRef { index, name }, test(kind))
    };
    let role = || claim("role", TestKind::Equals(text("admin")));
    for (condition, words, seen) in [
        (role(), "role admin", "claim role is \"admin, editor\""),
        (
            claim(
                "groups",
                TestKind::Contains(vec![text("ops"), text("the boss")]),
            ),
            "groups containing ops or \"the boss\"",
            "claim groups is [\"staff\",\"ops\"]",
        ),
        (
            claim(
                "object.a.b",
                TestKind::OneOf(vec![text("deep"), Scalar::Number(2.0)]),
            ),
            "object.a.b deep or 2",
            "claim object.a.b is \"deep\"",
        ),
        (
            claim("role", TestKind::Present(true)),
            "any role",
            "claim role is a string",
        ),
        (
            claim("none", TestKind::Present(false)),
            "no none",
            "claim none is absent",
        ),
        (
            column(1, "banned", TestKind::Equals(Scalar::Bool(false))),
            "banned false",
            "column banned is 1",
        ),
        // The name suggests a secret, so the value must not be shown.
        (
            column(0, "reset_token", TestKind::Equals(text("team"))),
            "reset_token team",
            "column reset_token is a string",
        ),
        (
            claim("seconds", TestKind::Past),
            "seconds in the past",
            "claim seconds is 1899999999",
        ),
        (
            Condition::Certificate(vec!["CN=a".into(), "DNS:b".into()]),
            "a certificate of CN=a or DNS:b",
            "the certificate has the names CN=billing,O=Example and DNS:billing.internal",
        ),
        (
            Condition::MaxAge(Duration::from_secs(90)),
            "an age of at most 1 min 30 s",
            "it was issued 1 min 40 s ago",
        ),
        (
            Condition::Network(vec!["10.0.0.0/8".parse().unwrap()]),
            "a client in 10.0.0.0/8",
            "the client is 10.1.2.3",
        ),
        (
            Condition::Methods(vec![Method::POST, Method::PUT]),
            "method POST or PUT",
            "the method is GET",
        ),
    ] {
        let demand = judged(|evidence| condition.explain(Some(evidence)));
        assert_eq!(demand.words, words);
        assert_eq!(demand.seen.as_deref(), Some(seen), "{words}");
        assert_eq!(demand.verdict, Some(verdict(&condition)), "{words}");
        let unjudged = condition.explain(None);
        assert_eq!((unjudged.verdict, unjudged.seen), (None, None), "{words}");
    }
}

#[test]
fn the_smallest_unmet_conditions_are_named() {
    let is = |path: &str, value: &str| {
        let equals = TestKind::Equals(Scalar::Text(value.into()));
        Condition::Claim(ClaimPath::new(path).unwrap(), test(equals))
    };
    let good = || is("object.a.b", "deep");
    for (condition, words, unmet) in [
        (good(), "object.a.b deep", &[][..]),
        (is("role", "root"), "role root", &["role root"]),
        (
            Condition::All(vec![
                good(),
                Condition::Any(vec![is("role", "root"), is("level", "9")]),
            ]),
            "object.a.b deep and (role root or level 9)",
            &["role root", "level 9"],
        ),
        (
            Condition::Not(Box::new(good())),
            "not (object.a.b deep)",
            &["not (object.a.b deep)"],
        ),
    ] {
        let demand = judged(|evidence| condition.explain(Some(evidence)));
        assert_eq!(demand.words, words);
        assert_eq!(demand.unmet(), unmet, "{words}");
    }
}
