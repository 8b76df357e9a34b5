//! The decision, as a table: what a request carries, and the outcome.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gate::{
    Arrival, BuiltInProfile, Bypass, Condition, Exceeded, Facts, FindError, Gate, Hygiene,
    IdentityRules, Issuer, IssuerKeys, KnownSession, Lookup, LookupSource, Newer, PathPattern,
    Permit, Realm, Refusal, RefusalClass, Revocation, Revocations, Revoked, Rewrite, Routes,
    SessionStore, StoreError, User, UserStore,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use jsonwebtoken::EncodingKey;
use serde_json::json;
use session::{
    ClaimDemands, CookieName, JwtDemands, JwtKeys, KeyRing, Secret, SessionCookie, SessionToken,
    Standing, StoredColumns, StoredSession, UnixTime, seal,
};

/// The limit that a client with too many made-up tokens exceeds.
const LIMIT: Exceeded = Exceeded {
    policy: "bad-session",
    quota: 10,
    window: Duration::from_secs(1),
    wait: Duration::from_secs(3),
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_900_000_000;

/// A store that has `ada`, does not have `bob`, and does not answer for any other user.
struct FakeUsers;

impl UserStore for FakeUsers {
    async fn find(&self, subject: &str) -> Result<Lookup<User>, StoreError> {
        let found = match subject {
            "ada" => Some(User::default()),
            "bob" => None,
            _ => {
                return Err(StoreError::TimedOut {
                    store: LookupSource::Postgres,
                    limit: Duration::from_secs(2),
                });
            }
        };
        Ok(Lookup {
            found,
            source: LookupSource::Memory,
        })
    }
}

/// A store that has live sessions of `ada` and `bob` and one that ended, does not answer for one token, limits another, and knows
/// no other token.
struct FakeSessions {
    vouches: bool,
}

impl SessionStore for FakeSessions {
    async fn find(
        &self,
        token: &SessionToken,
        _: Option<IpAddr>,
    ) -> Result<Lookup<KnownSession>, FindError> {
        let subject = match token.expose() {
            "session-of-ada" => "ada",
            "session-of-bob" => "bob",
            "session-that-ended" => "eve",
            "session-in-the-dark" => {
                return Err(FindError::Store(StoreError::TimedOut {
                    store: LookupSource::Postgres,
                    limit: Duration::from_secs(2),
                }));
            }
            "session-too-many" => return Err(FindError::Limited(LIMIT)),
            _ => {
                return Ok(Lookup {
                    found: None,
                    source: LookupSource::Redis,
                });
            }
        };
        let left = if subject == "eve" { -1 } else { 60 };
        let session = StoredSession::new(StoredColumns {
            subject,
            email: Some("ada@example.com"),
            name: None,
            standing: Standing::default(),
            issued_at: None,
            expires_at: UnixTime::from_secs(NOW.checked_add_signed(left).unwrap()),
        });
        Ok(Lookup {
            found: Some(KnownSession {
                stored: session.unwrap(),
                user: User::default(),
            }),
            source: LookupSource::Redis,
        })
    }

    fn includes_user_check(&self) -> bool {
        self.vouches
    }
}

type TestGate = Gate<FakeUsers, FakeSessions>;
type TestRealm = Realm<FakeUsers, FakeSessions>;

fn keys() -> KeyRing {
    KeyRing::new(&[Secret::new(SECRET)], SessionCookie::defaults().into()).unwrap()
}

fn realm() -> TestRealm {
    Realm {
        name: "default".into(),
        keys: Arc::new(keys()),
        demands: ClaimDemands::default(),
        identity: IdentityRules::default(),
        active: Condition::ALWAYS,
        issuer: None,
        revocations: Arc::default(),
        users: Some(FakeUsers),
        sessions: None,
    }
}

fn gate() -> TestGate {
    gate_of(realm())
}

fn gate_of(realm: TestRealm) -> TestGate {
    let bypass_header = HeaderName::from_static("x-bypass-auth");
    let public = PathPattern::new("/public/").unwrap();
    Gate {
        routes: Routes::of_one_service(vec![public], true),
        hygiene: Hygiene::new(&bypass_header, [], vec![Arc::clone(&realm.keys)]),
        realms: vec![realm],
        profiles: vec![BuiltInProfile::Sessiongate.profile().clone()],
        bypass: None,
        passes_preflight: false,
    }
}

fn cookie(subject: &str, expires: u64) -> String {
    let claims =
        json!({ "sub": subject, "email": "ada@example.com", "iat": NOW - 60, "exp": expires });
    let name = CookieName::try_from("authjs.session-token").unwrap();
    let token = seal::authjs(
        &Secret::new(SECRET),
        &name,
        claims.as_object().unwrap(),
        [7; 16],
    );
    format!("theme=dark; {name}={token}")
}

fn decide(
    gate: &TestGate,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<String, String> {
    decide_from(
        gate,
        Ipv4Addr::new(192, 0, 2, 1).into(),
        method,
        path,
        headers,
    )
}

fn decide_from(
    gate: &TestGate,
    peer: IpAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<String, String> {
    let map = header_map(headers);
    let arrival = arrival(peer);
    let facts = Facts {
        method: &method,
        host: Some("app.example.com"),
        path: Some(path),
        headers: &map,
        arrival: &arrival,
    };
    let permit = at_once(gate, &facts)?;
    let mut request = Request::new(());
    *request.headers_mut() = map.clone();
    let (admitted, admission) = permit.admit(&request, &arrival, Rewrite::default());
    let fields = std::str::from_utf8(admitted.fields()).unwrap();
    let named = |line: &&str| {
        line.to_lowercase()
            .replace(['_', '.'], "-")
            .starts_with("x-user-id:")
    };
    let identities: Vec<_> = fields.split("\r\n").filter(named).collect();
    let identity = match identities[..] {
        [] => "anonymous",
        [identity] => identity.strip_prefix("x-user-id: ").unwrap(),
        _ => panic!("two identities: {identities:?}"),
    };
    Ok(format!("{} {identity}", admission.reason()))
}

/// Decides, and asserts that the decision is ready at once.
fn at_once<'g>(gate: &'g TestGate, facts: &Facts<'_>) -> Result<Permit<'g>, String> {
    let decision = pin!(gate.decide(facts, UnixTime::from_secs(NOW)));
    let Poll::Ready(decision) = decision.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("everything is in memory, so the decision must be ready at once");
    };
    decision.map_err(|refused| {
        let refusal = refused.refusal;
        format!("{} {:?}", refusal.reason(), refusal.class())
    })
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn arrival(peer: IpAddr) -> Arrival {
    Arrival {
        peer,
        client: peer,
        trusted_peer: false,
        relayed: false,
        secure: false,
        certificate: None,
        request_id: HeaderValue::from_static("id"),
    }
}

#[test]
fn each_request_is_decided_by_its_credentials() {
    let gate = gate();
    let good = cookie("ada", NOW + 60);
    let deleted = cookie("bob", NOW + 60);
    let outage = cookie("eve", NOW + 60);
    let expired = cookie("ada", NOW - 60);
    let forged = [("X-User-Id", "root"), ("X_User_Id", "root")];
    for (path, headers, expected) in [
        ("/a", &[("Cookie", good.as_str())][..], Ok("session ada")),
        (
            "/a",
            &[("Cookie", good.as_str()), forged[0], forged[1]],
            Ok("session ada"),
        ),
        (
            "/a",
            &[
                ("Cookie", good.as_str()),
                ("Connection", "x-user-id"),
                forged[0],
            ],
            Ok("session ada"),
        ),
        ("/a", &[], Err("no_credential SignIn")),
        ("/a", &[forged[0]], Err("no_credential SignIn")),
        ("/a", &[("Cookie", expired.as_str())], Err("expired SignIn")),
        (
            "/a",
            &[("Cookie", deleted.as_str())],
            Err("user_missing Forbid"),
        ),
        (
            "/a",
            &[("Cookie", outage.as_str())],
            Err("store_unavailable Unavailable"),
        ),
        (
            "/public/a",
            &[("Cookie", good.as_str()), forged[0], forged[1]],
            Ok("public anonymous"),
        ),
        ("/publicx", &[], Err("no_credential SignIn")),
        (
            "/public/../a",
            &[("Cookie", good.as_str())],
            Err("ambiguous_path BadRequest"),
        ),
        (
            "/a",
            &[("X-Bypass-Auth", "true")],
            Err("no_credential SignIn"),
        ),
    ] {
        let decided = decide(&gate, Method::GET, path, headers);
        let decided = decided.as_ref().map(String::as_str).map_err(String::as_str);
        assert_eq!(decided, expected, "{path} {headers:?}");
    }
}

#[test]
fn odd_paths_are_forwarded_unchanged_under_a_single_rule() {
    let gate = Gate {
        routes: Routes::of_one_service(Vec::new(), true),
        ..gate()
    };
    let good = cookie("ada", NOW + 60);
    let get = |path| decide(&gate, Method::GET, path, &[("Cookie", good.as_str())]);
    assert_eq!(get("/a//b/../c;d").as_deref(), Ok("session ada"));
    assert_eq!(get("/a%00").unwrap_err(), "ambiguous_path BadRequest");
}

#[test]
fn only_a_real_preflight_passes_where_allowed() {
    let preflight = [
        ("Origin", "https://a.example"),
        ("Access-Control-Request-Method", "PUT"),
    ];
    let refused = Err("no_credential SignIn".to_owned());
    assert_eq!(decide(&gate(), Method::OPTIONS, "/a", &preflight), refused);
    let gate = Gate {
        passes_preflight: true,
        ..gate()
    };
    assert_eq!(
        decide(&gate, Method::OPTIONS, "/a", &preflight).as_deref(),
        Ok("preflight anonymous")
    );
    assert_eq!(
        decide(&gate, Method::OPTIONS, "/a", &preflight[..1]),
        refused
    );
    assert_eq!(decide(&gate, Method::GET, "/a", &preflight), refused);
}

#[test]
fn the_bypass_needs_its_value_exactly_once() {
    let header = HeaderName::from_static("x-bypass-auth");
    let gate = Gate {
        bypass: Some(Bypass::new(header, Secret::new(SECRET))),
        ..gate()
    };
    let get = |headers: &[(&str, &str)]| decide(&gate, Method::GET, "/a", headers);
    assert_eq!(
        get(&[("X-Bypass-Auth", SECRET)]).as_deref(),
        Ok("bypass anonymous")
    );
    assert_eq!(
        get(&[("X-Bypass-Auth", SECRET), ("X-User-Id", "root")]).as_deref(),
        Ok("bypass anonymous")
    );
    assert!(get(&[("X-Bypass-Auth", "true")]).is_err());
    assert!(get(&[("X-Bypass-Auth", SECRET), ("X-Bypass-Auth", SECRET)]).is_err());
    assert!(get(&[("X_Bypass_Auth", SECRET)]).is_err());
}

#[test]
fn the_public_bypass_value_works_only_from_this_machine() {
    let header = HeaderName::from_static("x-bypass-auth");
    let gate = Gate {
        bypass: Some(Bypass::from_loopback(header, Secret::new("true"))),
        ..gate()
    };
    let get = |peer: &str, headers: &[(&str, &str)]| {
        decide_from(&gate, peer.parse().unwrap(), Method::GET, "/a", headers)
    };
    let value = ("X-Bypass-Auth", "true");
    assert_eq!(
        get("127.0.0.1", &[value]).as_deref(),
        Ok("bypass anonymous")
    );
    assert_eq!(get("::1", &[value]).as_deref(), Ok("bypass anonymous"));
    assert!(get("192.0.2.1", &[value]).is_err());
    assert!(get("127.0.0.1", &[value, ("X-Forwarded-For", "192.0.2.1")]).is_err());
}

#[test]
fn a_relaying_proxy_on_this_machine_is_not_the_client() {
    let header = HeaderName::from_static("x-bypass-auth");
    let gate = Gate {
        bypass: Some(Bypass::from_loopback(header, Secret::new("true"))),
        ..gate()
    };
    let headers = header_map(&[("X-Bypass-Auth", "true")]);
    let relayed = |relayed| {
        let arrival = Arrival {
            relayed,
            secure: false,
            certificate: None,
            ..arrival(Ipv4Addr::LOCALHOST.into())
        };
        let facts = Facts {
            method: &Method::GET,
            host: None,
            path: Some("/a"),
            headers: &headers,
            arrival: &arrival,
        };
        at_once(&gate, &facts).is_ok()
    };
    assert!(relayed(false) && !relayed(true));
}

#[test]
fn without_a_path_nothing_is_public() {
    let gate = gate();
    let decide = |headers: &[(&str, &str)]| {
        let (headers, arrival) = (header_map(headers), arrival(Ipv4Addr::LOCALHOST.into()));
        let facts = Facts {
            host: None,
            method: &Method::GET,
            path: None,
            headers: &headers,
            arrival: &arrival,
        };
        at_once(&gate, &facts).map(|_| ())
    };
    assert_eq!(decide(&[]), Err("no_credential SignIn".to_owned()));
    assert_eq!(decide(&[("Cookie", &cookie("ada", NOW + 60))]), Ok(()));
}

#[test]
fn a_calling_proxy_gets_every_identity_header_and_the_forged_names() {
    let gate = gate();
    let good = cookie("ada", NOW + 60);
    let forged = [
        ("X-User-Id", "root"),
        ("X_User_Id", "root"),
        ("Remote-User", "root"),
        ("X_Forwarded_For", "::1"),
        ("X-Forwarded-For", "192.0.2.7"),
    ];
    let attested = |path, cookie: &str, names: BuiltInProfile| {
        let mut headers = header_map(&forged);
        headers.insert("cookie", HeaderValue::from_str(cookie).unwrap());
        let arrival = arrival(Ipv4Addr::LOCALHOST.into());
        let facts = Facts {
            method: &Method::GET,
            host: Some("app.example.com"),
            path: Some(path),
            headers: &headers,
            arrival: &arrival,
        };
        let permit = at_once(&gate, &facts).expect("allowed");
        let identity: Vec<_> = permit
            .identity(names)
            .into_iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        let forged = permit.forged(names, &headers);
        let forged = forged.iter().map(HeaderName::as_str);
        (identity.join(", "), forged.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(
        attested("/a", &good, BuiltInProfile::Sessiongate),
        (
            "x-user-id: ada, x-user-email: ada@example.com, x-user-name: ".into(),
            "x_user_id, remote-user, x_forwarded_for".into()
        )
    );
    assert_eq!(
        attested("/public/", &good, BuiltInProfile::Sessiongate).0,
        "x-user-id: , x-user-email: , x-user-name: "
    );
    assert_eq!(
        attested("/a", &good, BuiltInProfile::Authelia),
        (
            "remote-user: ada, remote-email: ada@example.com, remote-name: , remote-groups: "
                .into(),
            "x-user-id, x_user_id, x_forwarded_for".into()
        )
    );
    assert_eq!(
        attested("/a", &good, BuiltInProfile::Vouch).0,
        "x-vouch-user: ada@example.com, x-vouch-success: true, x-vouch-idp-accesstoken: , \
         x-vouch-idp-idtoken: , x-vouch-idp-claims-groups: , x-vouch-idp-claims-given-name: "
    );
    // Headers that are written empty may be removed as well, for calling proxies that do not copy them.
    assert_eq!(
        attested("/public/", &good, BuiltInProfile::Sessiongate).1,
        "x-user-id, x_user_id, remote-user, x_forwarded_for"
    );
}

#[test]
fn without_a_user_check_a_session_is_enough() {
    let gate = gate_of(Realm {
        users: None,
        ..realm()
    });
    let good = cookie("bob", NOW + 60);
    assert_eq!(
        decide(&gate, Method::GET, "/a", &[("Cookie", &good)]).as_deref(),
        Ok("session bob")
    );
}

#[test]
fn every_flaw_of_a_session_looks_the_same_to_clients() {
    let gate = gate();
    let good = cookie("ada", NOW + 60);
    let tampered = good.replace("..", ".x.");
    for headers in [
        &[("Cookie", tampered.as_str())][..],
        &[("Cookie", "authjs.session-token=x")],
        &[("Cookie", "authjs.session-token.1=x")],
        &[("Authorization", "Bearer x")],
    ] {
        let refused = decide(&gate, Method::GET, "/a", headers).unwrap_err();
        assert!(refused.ends_with(" SignIn"), "{refused}");
    }
    assert_eq!(Refusal::NoSession.class(), RefusalClass::SignIn);
}

/// Returns a gate that accepts the tokens of database sessions.
fn opaque_gate(vouches: bool) -> TestGate {
    gate_of(opaque_realm(vouches))
}

fn opaque_realm(vouches: bool) -> TestRealm {
    let name = CookieName::try_from("authjs.session-token").unwrap();
    let keys = KeyRing::new(&[], vec![SessionCookie::authjs_database(name)]).unwrap();
    Realm {
        keys: Arc::new(keys),
        sessions: Some(FakeSessions { vouches }),
        ..realm()
    }
}

fn decide_token(gate: &TestGate, token: &str) -> Result<String, String> {
    let cookie = format!("authjs.session-token={token}");
    decide(gate, Method::GET, "/", &[("cookie", &cookie)])
}

#[test]
fn a_session_in_the_store_is_admitted() {
    for vouches in [true, false] {
        let gate = opaque_gate(vouches);
        assert_eq!(
            decide_token(&gate, "session-of-ada"),
            Ok("session ada".to_owned())
        );
    }
}

#[test]
fn the_user_of_a_stored_session_is_checked_unless_the_store_vouches_for_it() {
    let token = "session-of-bob";
    assert_eq!(
        decide_token(&opaque_gate(true), token),
        Ok("session bob".to_owned())
    );
    assert_eq!(
        decide_token(&opaque_gate(false), token),
        Err("user_missing Forbid".to_owned())
    );
}

#[test]
fn a_stored_session_that_ended_or_is_gone_asks_to_sign_in() {
    let gate = opaque_gate(true);
    for (token, reason) in [
        ("session-that-ended", "expired"),
        ("session-that-was-signed-out", "session_missing"),
    ] {
        assert_eq!(
            decide_token(&gate, token),
            Err(format!("{reason} SignIn")),
            "{token}"
        );
    }
}

#[test]
fn a_rate_limited_lookup_is_not_an_outage() {
    let refused = decide_token(&opaque_gate(true), "session-too-many");
    assert_eq!(refused, Err("rate_limited TooMany".to_owned()));
}

#[test]
fn a_failed_session_store_is_an_outage_and_a_missing_one_a_refusal() {
    assert_eq!(
        decide_token(&opaque_gate(true), "session-in-the-dark"),
        Err("store_unavailable Unavailable".to_owned())
    );
    let gate = gate_of(Realm {
        sessions: None,
        ..opaque_realm(true)
    });
    assert_eq!(
        decide_token(&gate, "session-of-ada"),
        Err("no_session_store SignIn".to_owned())
    );
}

/// An issuer that signs with the secret, and whose `newer` answers the search for newer keys.
#[derive(Debug)]
struct FakeIssuer {
    keys: Arc<JwtKeys>,
    newer: fn(&FakeIssuer) -> Newer,
}

impl IssuerKeys for FakeIssuer {
    fn current(&self) -> Arc<JwtKeys> {
        Arc::clone(&self.keys)
    }

    fn newer_than<'a>(
        &'a self,
        _: &'a Arc<JwtKeys>,
        _: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Newer> + Send + 'a>> {
        Box::pin(async { (self.newer)(self) })
    }
}

/// Returns a gate that accepts an issuer's tokens too.
fn gate_with_issuer(check_user: bool, newer: fn(&FakeIssuer) -> Newer) -> TestGate {
    let keys = JwtKeys::new(Some(&Secret::new(SECRET)), None).unwrap();
    gate_of(Realm {
        issuer: Some(Issuer {
            keys: Arc::new(FakeIssuer {
                keys: Arc::new(keys),
                newer,
            }),
            demands: JwtDemands::new("issuer", "api"),
            check_user,
        }),
        ..realm()
    })
}

/// Returns the `Authorization` value with a token of the issuer.
fn bearer(subject: &str) -> String {
    let claims = json!({ "iss": "issuer", "aud": "api", "sub": subject, "exp": NOW + 60 });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    format!("Bearer {token}")
}

#[test]
fn a_token_of_the_issuer_is_admitted_and_its_subject_checked_if_configured() {
    let checking = gate_with_issuer(true, |_| Newer::None);
    let trusting = gate_with_issuer(false, |_| Newer::None);
    for (gate, subject, expected) in [
        (&checking, "ada", Ok("session ada")),
        (&checking, "bob", Err("user_missing Forbid")),
        (&checking, "eve", Err("store_unavailable Unavailable")),
        (&trusting, "bob", Ok("session bob")),
    ] {
        let value = bearer(subject);
        let decided = decide(gate, Method::GET, "/a", &[("Authorization", &value)]);
        let decided = decided.as_ref().map(String::as_str).map_err(String::as_str);
        assert_eq!(decided, expected, "{subject}");
    }
}

/// Returns revocations with one that was made a moment ago.
fn revoked(what: Revoked) -> Arc<Revocations> {
    let revocations = Revocations::default();
    let revocation = Revocation {
        what,
        before: UnixTime::from_secs(NOW - 1),
        until: UnixTime::from_secs(NOW + 3600),
    };
    revocations.replace([revocation].into_iter().collect());
    Arc::new(revocations)
}

#[test]
fn a_revoked_session_must_sign_in_again_whatever_its_credential() {
    let carried = |gate: TestGate, (name, value): (&str, &str)| {
        decide(&gate, Method::GET, "/a", &[(name, value)]).map_err(|refused| {
            assert_eq!(refused, "revoked SignIn");
            "revoked"
        })
    };
    let cookie = cookie("ada", NOW + 60);
    let (token, opaque) = (bearer("ada"), "authjs.session-token=session-of-ada");
    let users = [
        (Revoked::All, Err("revoked")),
        (Revoked::User("ada".into()), Err("revoked")),
        (Revoked::User("bob".into()), Ok("session ada".to_owned())),
        (
            Revoked::Session("other".into()),
            Ok("session ada".to_owned()),
        ),
    ];
    for (what, expected) in users {
        let revocations = || revoked(what.clone());
        let in_cookie = gate_of(Realm {
            revocations: revocations(),
            ..realm()
        });
        assert_eq!(carried(in_cookie, ("Cookie", &cookie)), expected);
        let looked_up = gate_of(Realm {
            revocations: revocations(),
            ..opaque_realm(true)
        });
        assert_eq!(carried(looked_up, ("Cookie", opaque)), expected);
        for checks_user in [true, false] {
            let mut signed = gate_with_issuer(checks_user, |_| Newer::None);
            signed.realms[0].revocations = revocations();
            assert_eq!(carried(signed, ("Authorization", &token)), expected);
        }
    }
}

#[test]
fn a_renewal_of_the_app_does_not_outlive_a_revocation_where_a_claim_has_the_time_of_sign_in() {
    let named = ClaimDemands {
        sign_in_claim: Some("auth_time".to_owned()),
        ..ClaimDemands::default()
    };
    let renewed = |signed_in: u64, demands: &ClaimDemands| {
        let claims = json!({ "sub": "ada", "iat": NOW, "exp": NOW + 60, "auth_time": signed_in });
        let name = CookieName::try_from("authjs.session-token").unwrap();
        let claims = claims.as_object().unwrap();
        let token = seal::authjs(&Secret::new(SECRET), &name, claims, [7; 16]);
        let gate = gate_of(Realm {
            revocations: revoked(Revoked::User("ada".into())),
            demands: demands.clone(),
            ..realm()
        });
        decide(
            &gate,
            Method::GET,
            "/a",
            &[("Cookie", &format!("{name}={token}"))],
        )
        .is_ok()
    };
    assert!(!renewed(NOW - 60, &named));
    assert!(renewed(NOW, &named), "signed in again");
    assert!(renewed(NOW - 60, &ClaimDemands::default()));
}

#[test]
fn a_list_of_revocations_that_cannot_be_read_is_an_outage_and_public_paths_are_open() {
    let lost = StoreError::TimedOut {
        store: LookupSource::Postgres,
        limit: Duration::from_secs(2),
    };
    let gate = gate_of(Realm {
        revocations: Arc::new(Revocations::unknown(lost)),
        ..realm()
    });
    let cookie = cookie("ada", NOW + 60);
    let at = |path| decide(&gate, Method::GET, path, &[("Cookie", &cookie)]);
    assert_eq!(at("/a").unwrap_err(), "store_unavailable Unavailable");
    assert!(at("/public/").is_ok());
    let without = decide(&gate, Method::GET, "/a", &[]);
    assert_eq!(without.unwrap_err(), "no_credential SignIn");
}

#[test]
fn a_session_cookie_takes_precedence_over_a_token_even_if_it_does_not_open() {
    let gate = gate_with_issuer(true, |_| Newer::None);
    let (token, good) = (bearer("bob"), cookie("ada", NOW + 60));
    let beside = |cookie: &str| {
        let headers = [("Authorization", token.as_str()), ("Cookie", cookie)];
        decide(&gate, Method::GET, "/a", &headers)
    };
    assert_eq!(beside(&good).as_deref(), Ok("session ada"));
    let expired = cookie("ada", NOW - 60);
    assert_eq!(beside(&expired).unwrap_err(), "expired SignIn");
}

#[test]
fn without_an_issuer_a_token_is_a_session_that_does_not_open() {
    let value = bearer("ada");
    let refused = decide(&gate(), Method::GET, "/a", &[("Authorization", &value)]);
    assert_eq!(refused.unwrap_err(), "malformed_token SignIn");
}

#[test]
fn an_encrypted_bearer_session_is_accepted_with_an_issuer() {
    let gate = gate_with_issuer(true, |_| Newer::None);
    let claims = json!({ "sub": "ada", "exp": NOW + 60 });
    let token = seal::nextauth(&Secret::new(SECRET), claims.as_object().unwrap(), [7; 12]);
    let value = format!("Bearer {token}");
    let decided = decide(&gate, Method::GET, "/a", &[("Authorization", &value)]);
    assert_eq!(decided.as_deref(), Ok("session ada"));
}

#[test]
fn an_unknown_key_is_fetched_once() {
    // `{"alg":"ES256"}`, and this issuer has no such key.
    let value = "Bearer eyJhbGciOiJFUzI1NiJ9.e30.AAAA";
    let newest: fn(&FakeIssuer) -> Newer = |own| Newer::Keys(Arc::clone(&own.keys));
    for (newer, refusal) in [
        (newest, "unknown_key SignIn"),
        (|_| Newer::None, "unknown_key SignIn"),
        (|_| Newer::Unknown, "issuer_unavailable Unavailable"),
    ] {
        let gate = gate_with_issuer(true, newer);
        let refused = decide(&gate, Method::GET, "/a", &[("Authorization", value)]);
        assert_eq!(refused.unwrap_err(), refusal);
    }
}

#[test]
fn several_authorization_fields_are_ambiguous() {
    let gate = gate_with_issuer(true, |_| Newer::None);
    let value = bearer("ada");
    let twice = [("Authorization", value.as_str()), ("Authorization", "x")];
    let refused = decide(&gate, Method::GET, "/a", &twice).unwrap_err();
    assert_eq!(refused, "ambiguous_authorization SignIn");
}

#[test]
fn the_valid_session_is_found_among_several() {
    let named = |name: &str, value: &str| format!("{name}={value}");
    let opaque = |value: &str| named("next-auth.session-token", value);
    let keys = || {
        let cookies = SessionCookie::defaults().map(SessionCookie::or_opaque);
        KeyRing::new(&[Secret::new(SECRET)], cookies.into()).unwrap()
    };
    let gate = |sessions| {
        gate_of(Realm {
            keys: Arc::new(keys()),
            sessions,
            ..realm()
        })
    };
    let [good, ended, gone] = ["ada", "ended", "gone"].map(|user| match user {
        "ada" => cookie("ada", NOW + 60),
        "ended" => cookie("ada", NOW - 60),
        _ => cookie("bob", NOW + 60),
    });
    let with_store = gate(Some(FakeSessions { vouches: false }));
    let without = gate(None);
    for (gate, cookies, expected) in [
        (&with_store, [&*ended, &good].join("; "), Ok("session ada")),
        (
            &with_store,
            [&*ended, &opaque("session-of-ada")].join("; "),
            Ok("session ada"),
        ),
        (
            &with_store,
            [&*opaque("gone"), &opaque("session-of-ada")].join("; "),
            Ok("session ada"),
        ),
        (
            &with_store,
            [&*opaque("session-that-ended"), &opaque("session-of-ada")].join("; "),
            Ok("session ada"),
        ),
        // An outage says nothing about a session, so the request cannot be decided.
        (
            &with_store,
            [&*opaque("session-in-the-dark"), &opaque("session-of-ada")].join("; "),
            Err("store_unavailable Unavailable"),
        ),
        // But a cookie that comes later in the ring's order is not looked up.
        (
            &with_store,
            [&*opaque("session-in-the-dark"), &good].join("; "),
            Ok("session ada"),
        ),
        (
            &with_store,
            [&*opaque("session-of-bob"), &opaque("session-of-ada")].join("; "),
            Err("ambiguous_cookie SignIn"),
        ),
        (
            &without,
            [&*opaque("a"), &good].join("; "),
            Ok("session ada"),
        ),
        (
            &without,
            [&*opaque("a"), &ended].join("; "),
            Err("expired SignIn"),
        ),
        // Only the user of the chosen session is checked.
        (
            &without,
            [&*gone, &ended].join("; "),
            Err("user_missing Forbid"),
        ),
        (
            &without,
            [&*gone, &good].join("; "),
            Err("ambiguous_cookie SignIn"),
        ),
    ] {
        let decided = decide(gate, Method::GET, "/a", &[("Cookie", &cookies)]);
        let decided = decided.as_ref().map(String::as_str).map_err(String::as_str);
        assert_eq!(decided, expected, "{cookies}");
    }
}
