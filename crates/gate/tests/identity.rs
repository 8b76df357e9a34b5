//! Which users enter, and which of their addresses are written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gate::{
    Admission, Arrival, BuiltInProfile, Condition, EmailHeader, Facts, FindError, Gate, Hygiene,
    IdentityRules, KnownSession, Lookup, LookupSource, Permit, Realm, Refusal, Rewrite, Routes,
    SessionStore, StoreError, User, UserStore,
};
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use serde_json::{Map, Value, json};
use session::{
    ClaimDemands, CookieName, KeyRing, Secret, SessionCookie, SessionToken, UnixTime, seal,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_900_000_000;

/// Stores that are never asked.
struct UnusedStore;

impl UserStore for UnusedStore {
    async fn find(&self, _: &str) -> Result<Lookup<User>, StoreError> {
        Ok(Lookup {
            found: Some(User::default()),
            source: LookupSource::Memory,
        })
    }
}

impl SessionStore for UnusedStore {
    async fn find(
        &self,
        _: &SessionToken,
        _: Option<IpAddr>,
    ) -> Result<Lookup<KnownSession>, FindError> {
        Ok(Lookup {
            found: None,
            source: LookupSource::Memory,
        })
    }

    fn includes_user_check(&self) -> bool {
        false
    }
}

fn gate(identity: IdentityRules) -> Gate<UnusedStore, UnusedStore> {
    let bypass_header = HeaderName::from_static("x-bypass-auth");
    let keys = KeyRing::new(&[Secret::new(SECRET)], SessionCookie::defaults().into());
    let realm = Realm {
        name: "default".into(),
        keys: Arc::new(keys.unwrap()),
        demands: ClaimDemands::default(),
        identity,
        active: Condition::ALWAYS,
        issuer: None,
        revocations: Arc::default(),
        users: None,
        sessions: None,
    };
    Gate {
        routes: Routes::of_one_service(Vec::new(), true),
        hygiene: Hygiene::new(&bypass_header, [], vec![Arc::clone(&realm.keys)]),
        realms: vec![realm],
        profiles: vec![BuiltInProfile::Sessiongate.profile().clone()],
        bypass: None,
        passes_preflight: false,
    }
}

fn email(email: EmailHeader) -> Gate<UnusedStore, UnusedStore> {
    gate(IdentityRules {
        email,
        ..IdentityRules::default()
    })
}

fn arrival() -> Arrival {
    let peer = Ipv4Addr::new(192, 0, 2, 1).into();
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

/// Returns the headers of a request with a session of user `u` that has these claims too.
fn headers(claims: Value) -> HeaderMap {
    let mut all = Map::from_iter([
        ("sub".to_owned(), json!("u")),
        ("email".to_owned(), json!("ada@example.com")),
        ("exp".to_owned(), json!(NOW + 60)),
    ]);
    all.extend(claims.as_object().unwrap().clone());
    let name = CookieName::try_from("authjs.session-token").unwrap();
    let token = seal::authjs(&Secret::new(SECRET), &name, &all, [7; 16]);
    let cookie = HeaderValue::try_from(format!("{name}={token}")).unwrap();
    HeaderMap::from_iter([(COOKIE, cookie)])
}

fn decide<'g>(
    gate: &'g Gate<UnusedStore, UnusedStore>,
    headers: &HeaderMap,
) -> Result<Permit<'g>, Refusal> {
    let facts = Facts {
        method: &Method::GET,
        host: None,
        path: Some("/"),
        headers,
        arrival: &arrival(),
    };
    let decision = pin!(gate.decide(&facts, UnixTime::from_secs(NOW)));
    match decision.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(decided) => decided.map_err(|refused| refused.refusal),
        Poll::Pending => panic!("nothing has to be waited for"),
    }
}

/// Returns the address in each family's headers, the one that the service gets, and the one of the admission.
fn written(gate: &Gate<UnusedStore, UnusedStore>, claims: Value) -> Vec<String> {
    let headers = headers(claims);
    let permit = decide(gate, &headers).unwrap();
    let families = [
        (BuiltInProfile::Sessiongate, "x-user-email"),
        (BuiltInProfile::OAuth2ProxyAnswers, "x-auth-request-email"),
        (BuiltInProfile::Authelia, "remote-email"),
        (BuiltInProfile::Authentik, "x-authentik-email"),
        (BuiltInProfile::Vouch, "x-vouch-user"),
    ];
    let mut written: Vec<String> = families
        .into_iter()
        .map(|(family, header)| {
            let (_, value) = permit
                .identity(family)
                .into_iter()
                .find(|(name, _)| name == header)
                .unwrap();
            value.to_str().unwrap().to_owned()
        })
        .collect();
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let (admitted, admission) = permit.admit(&request, &arrival(), Rewrite::default());
    let fields = String::from_utf8(admitted.fields().to_vec()).unwrap();
    let forwarded = fields
        .split("\r\n")
        .find_map(|line| line.strip_prefix("x-user-email: "));
    written.push(forwarded.unwrap_or_default().to_owned());
    written.push(admission.email().unwrap_or_default().to_owned());
    written
}

#[test]
fn an_unverified_address_is_never_written() {
    let gate = email(EmailHeader::Verified);
    for claims in [
        json!({"email_verified": false}),
        json!({"email_verified": "false"}),
        json!({"emailVerified": false}),
        json!({"emailVerified": true, "email_verified": false}),
    ] {
        assert_eq!(written(&gate, claims.clone()), [""; 7], "{claims}");
    }
}

#[test]
fn every_other_address_is_written_in_every_profile() {
    let ada = ["ada@example.com"; 7];
    for claims in [
        json!({}),
        json!({"email_verified": true}),
        json!({"email_verified": "true"}),
        json!({"emailVerified": "2026-01-02T03:04:05.000Z"}),
        json!({"emailVerified": null}),
    ] {
        let gate = email(EmailHeader::Verified);
        assert_eq!(written(&gate, claims.clone()), ada, "{claims}");
    }
    let gate = email(EmailHeader::Always);
    assert_eq!(written(&gate, json!({"email_verified": false})), ada);
}

#[test]
fn an_unverified_address_is_not_accepted_as_id() {
    let decided = |email_header, claims| {
        let gate = email(email_header);
        match decide(&gate, &headers(claims)) {
            Ok(permit) => permit.admission().reason().to_owned(),
            Err(refusal) => {
                assert!(refusal.session().is_some());
                format!("{} {:?}", refusal.reason(), refusal.class())
            }
        }
    };
    let named_by_address = json!({"sub": "Ada@Example.com", "email_verified": false});
    assert_eq!(
        decided(EmailHeader::Verified, named_by_address.clone()),
        "email_unverified Forbid"
    );
    assert_eq!(decided(EmailHeader::Always, named_by_address), "session");
    let verified = json!({"sub": "ada@example.com", "email_verified": true});
    assert_eq!(decided(EmailHeader::Verified, verified), "session");
    assert_eq!(
        decided(EmailHeader::Verified, json!({"email_verified": false})),
        "session"
    );
}

#[test]
fn guests_are_admitted_unless_refused() {
    let guest = headers(json!({"isAnonymous": true}));
    let permissive = gate(IdentityRules::default());
    let permit = decide(&permissive, &guest).unwrap();
    assert!(matches!(
        permit.admission(),
        Admission::Session { session, .. } if session.is_anonymous()
    ));

    let strict = gate(IdentityRules {
        allow_anonymous: false,
        ..IdentityRules::default()
    });
    let refusal = decide(&strict, &guest).unwrap_err();
    assert_eq!(refusal.reason(), "anonymous");
    assert_eq!(refusal.class(), gate::RefusalClass::SignIn);
    assert_eq!(refusal.session().unwrap().subject(), "u");
    assert!(decide(&strict, &headers(json!({"isAnonymous": false}))).is_ok());
    assert!(decide(&strict, &headers(json!({}))).is_ok());
}
