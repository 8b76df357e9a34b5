//! The users and realms of these tests, and how a user's request is decided.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gate::{
    Access, Arrival, BuiltInProfile, Bypass, ClaimPath, ColumnRef, Condition, Facts, FindError,
    Gate, Groups, GroupsSource, HeaderProfile, Hygiene, IdentityRules, Issuer, IssuerKeys,
    KnownSession, Lookup, LookupSource, Matched, Methods, Newer, PathPattern, Realm, Rewrite,
    Route, Routes, Scalar, SessionStore, StoreError, Test, TestKind, User, UserStore,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};
use session::{
    ClaimDemands, CookieName, JwtDemands, JwtKeys, KeyRing, Secret, SessionCookie, SessionToken,
    Standing, StoredColumns, StoredSession, UnixTime, seal,
};

pub(crate) const NOW: u64 = 1_900_000_000;

/// The user whose session a request has: of the realm `default`, with a cookie of Auth.js, or of the realm `shop`, whose sessions
/// are in a store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Who {
    Anonymous,
    /// In the realm `default`: an admin of two teams, whose session is ten minutes old.
    Ada,
    /// The session of [`Who::Ada`] as a Bearer value.
    AdaBearer,
    /// In the realm `default`: has a role of a type that cannot be compared.
    Odd,
    /// In the realm `default`, and banned.
    Eve,
    /// In the realm `shop`, by its cookie.
    Shopper,
    /// In the realm `shop`, by a token of its issuer.
    ShopperBearer,
}

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const SHOP_TOKEN: &str = "token-of-the-shopper";

impl Who {
    pub(crate) fn headers(self) -> Vec<(&'static str, String)> {
        let claims = |sub: &str, role: Value| {
            json!({
                "sub": sub, "email": "ada@example.com", "name": "Zoë", "exp": NOW + 60, "iat": NOW - 600,
                "role": role, "groups": ["staff", "a,b", " root", "Ärzte"], "org": {"plan": "team"},
                "activeOrganizationId": "o1", "impersonatedBy": null,
            })
        };
        let token = |sub: &str, role: Value| {
            let name = CookieName::try_from(DEFAULT_COOKIE).unwrap();
            let claims = claims(sub, role);
            seal::authjs(
                &Secret::new(SECRET),
                &name,
                claims.as_object().unwrap(),
                [7; 16],
            )
        };
        let cookie =
            |name: &str, token: &str| vec![("cookie", format!("theme=dark; {name}={token}"))];
        let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
        match self {
            Self::Anonymous => Vec::new(),
            Self::Ada => cookie(DEFAULT_COOKIE, &token("ada", json!("admin"))),
            Self::AdaBearer => bearer(&token("ada", json!("admin"))),
            Self::Odd => cookie(DEFAULT_COOKIE, &token("ada", json!({"admin": true}))),
            Self::Eve => cookie(DEFAULT_COOKIE, &token("eve", json!("admin"))),
            Self::Shopper => cookie(SHOP_COOKIE, SHOP_TOKEN),
            Self::ShopperBearer => bearer(&issued("shopper", json!("guest"))),
        }
    }
}

/// Returns a token of the issuer of the realm `shop`.
pub(crate) fn issued(subject: &str, role: Value) -> String {
    let claims =
        json!({"iss": "issuer", "aud": "api", "sub": subject, "role": role, "exp": NOW + 60});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// The keys of an issuer that signs with the secret and has no newer keys.
#[derive(Debug)]
pub(crate) struct Signer(Arc<JwtKeys>);

impl IssuerKeys for Signer {
    fn current(&self) -> Arc<JwtKeys> {
        Arc::clone(&self.0)
    }

    fn newer_than<'a>(
        &'a self,
        _: &'a Arc<JwtKeys>,
        _: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Newer> + Send + 'a>> {
        Box::pin(async { Newer::None })
    }
}

pub(crate) fn issuer(check_user: bool) -> Issuer {
    let keys = JwtKeys::new(Some(&Secret::new(SECRET)), None).unwrap();
    Issuer {
        keys: Arc::new(Signer(Arc::new(keys))),
        demands: JwtDemands::new("issuer", "api"),
        check_user,
    }
}

pub(crate) const DEFAULT_COOKIE: &str = "authjs.session-token";
pub(crate) const SHOP_COOKIE: &str = "shop.session-token";

/// A store that has every user, with columns.
pub(crate) struct Rows;

/// Returns a user's columns: whether the user is banned, the teams, the roles in organizations, when the trial ends, and when the
/// user was deleted.
pub(crate) fn columns(subject: &str) -> Vec<Value> {
    vec![
        json!(subject == "eve"),
        json!("red, blue"),
        json!({"o1": "member,owner", "o2": "admin"}),
        json!((NOW + 5) * 1000),
        json!(null),
    ]
}

pub(crate) const BANNED: usize = 0;
pub(crate) const TEAM: usize = 1;
pub(crate) const ROLES: usize = 2;
pub(crate) const TRIAL_ENDS: usize = 3;
pub(crate) const DELETED: usize = 4;

impl UserStore for Rows {
    async fn find(&self, subject: &str) -> Result<Lookup<User>, StoreError> {
        Ok(Lookup {
            found: Some(User::with_columns(columns(subject))),
            source: LookupSource::Memory,
        })
    }
}

impl SessionStore for Rows {
    async fn find(
        &self,
        token: &SessionToken,
        _: Option<IpAddr>,
    ) -> Result<Lookup<KnownSession>, FindError> {
        let stored = StoredSession::new(StoredColumns {
            subject: "shopper",
            email: None,
            name: None,
            standing: Standing::default(),
            issued_at: None,
            expires_at: UnixTime::from_secs(NOW + 60),
        });
        let known = KnownSession {
            stored: stored.unwrap(),
            user: User::with_columns(columns("shopper")),
        };
        Ok(Lookup {
            found: (token.expose() == SHOP_TOKEN).then_some(known),
            source: LookupSource::Redis,
        })
    }

    fn includes_user_check(&self) -> bool {
        true
    }
}

pub(crate) fn column(index: usize) -> ColumnRef {
    ColumnRef {
        index,
        name: "c".into(),
    }
}

pub(crate) fn claim(path: &str) -> ClaimPath {
    ClaimPath::new(path).unwrap()
}

pub(crate) fn text(text: &str) -> Scalar {
    Scalar::Text(text.into())
}

pub(crate) fn test(kind: TestKind) -> Test {
    Test {
        kind,
        separator: None,
    }
}

pub(crate) fn realm(name: &str, cookie: SessionCookie) -> Realm<Rows, Rows> {
    let secrets = [Secret::new(SECRET)];
    let banned = Condition::Column(column(BANNED), test(TestKind::Equals(Scalar::Bool(false))));
    Realm {
        name: name.into(),
        keys: Arc::new(KeyRing::new(&secrets, vec![cookie]).unwrap()),
        demands: ClaimDemands::default(),
        identity: IdentityRules {
            groups: Some(Groups {
                source: GroupsSource::Claim(claim("groups")),
                separator: ",".into(),
            }),
            ..IdentityRules::default()
        },
        active: Condition::All(vec![banned]),
        issuer: None,
        revocations: Arc::default(),
        users: Some(Rows),
        sessions: Some(Rows),
    }
}

/// Returns a route as a configuration without any other key makes it.
pub(crate) fn route(path: &str, access: Access) -> Matched {
    Matched {
        hosts: Vec::new(),
        paths: vec![PathPattern::new(path).unwrap()],
        methods: Methods::ANY,
        route: Route {
            id: 0,
            name: path.into(),
            access,
            realm: 0,
            profile: 0,
            forwards_session: false,
            same_origin: false,
            strip_segments: 0,
        },
    }
}

pub(crate) fn gate(mut all: Vec<Matched>, own: Vec<HeaderProfile>) -> Gate<Rows, Rows> {
    for (id, matched) in all.iter_mut().enumerate() {
        matched.route.id = id;
    }
    let name = |name| CookieName::try_from(name).unwrap();
    let mut shop = realm("shop", SessionCookie::authjs_database(name(SHOP_COOKIE)));
    shop.issuer = Some(issuer(true));
    let default = realm("default", SessionCookie::authjs(name(DEFAULT_COOKIE)));
    let realms = vec![default, shop];
    let mut profiles = vec![BuiltInProfile::Sessiongate.profile().clone()];
    profiles.extend(own);
    let bypass = HeaderName::from_static("x-bypass-auth");
    let rings = realms.iter().map(|realm| Arc::clone(&realm.keys));
    Gate {
        routes: Routes::new(all, false).unwrap(),
        hygiene: Hygiene::new(&bypass, &profiles, rings.collect()),
        realms,
        profiles,
        bypass: Some(Bypass::new(bypass, Secret::new("let me in"))),
        passes_preflight: true,
    }
}

/// The parts of a request that rules look at.
#[derive(Clone)]
pub(crate) struct TestRequest<'a> {
    pub(crate) method: Method,
    pub(crate) host: &'a str,
    pub(crate) target: &'a str,
    pub(crate) who: Who,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) client: &'a str,
    pub(crate) rewrite_host: Option<&'a str>,
    pub(crate) by_listed_proxy: bool,
}

impl<'a> TestRequest<'a> {
    pub(crate) fn get(target: &'a str, who: Who) -> Self {
        Self {
            method: Method::GET,
            host: "app.example",
            target,
            who,
            headers: &[],
            client: "192.0.2.1",
            rewrite_host: None,
            by_listed_proxy: false,
        }
    }

    pub(crate) fn post(target: &'a str, who: Who, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            method: Method::POST,
            headers,
            ..Self::get(target, who)
        }
    }

    /// Returns the request as the service sees it, or why it was refused.
    pub(crate) fn ask(&self, gate: &Gate<Rows, Rows>) -> Result<Forwarded, String> {
        let mut headers = HeaderMap::new();
        headers.insert("host", self.host.parse().unwrap());
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        for (name, value) in own.chain(self.who.headers()) {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let mut request = Request::new(());
        *request.uri_mut() = self.target.parse().unwrap();
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = headers;
        let arrival = Arrival {
            peer: self.client.parse().unwrap(),
            client: self.client.parse().unwrap(),
            trusted_peer: self.by_listed_proxy,
            relayed: false,
            secure: false,
            certificate: None,
            request_id: HeaderValue::from_static("id"),
        };
        let facts = Facts {
            method: request.method(),
            host: Some(self.host),
            path: Some(request.uri().path()),
            headers: request.headers(),
            arrival: &arrival,
        };
        let decision = pin!(gate.decide(&facts, UnixTime::from_secs(NOW)));
        let Poll::Ready(decision) = decision.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("everything is in memory");
        };
        let permit = decision.map_err(|refused| {
            let refusal = refused.refusal;
            format!("{} {:?}", refusal.reason(), refusal.class())
        })?;
        let host = self.rewrite_host.map(|host| host.parse().unwrap());
        let rewrite = Rewrite {
            via: false,
            host: host.as_ref(),
        };
        let (admitted, admission) = permit.admit(&request, &arrival, rewrite);
        let fields = String::from_utf8_lossy(admitted.fields()).into_owned();
        Ok(Forwarded {
            grounds: admission.reason(),
            target: admitted.uri().to_string(),
            fields: fields.split_terminator("\r\n").map(str::to_owned).collect(),
        })
    }

    /// Returns the grounds on which the request enters, or why it was refused.
    pub(crate) fn outcome(&self, gate: &Gate<Rows, Rows>) -> String {
        match self.ask(gate) {
            Ok(seen) => seen.grounds.to_owned(),
            Err(refusal) => refusal,
        }
    }
}

/// A request as its service sees it.
pub(crate) struct Forwarded {
    pub(crate) grounds: &'static str,
    pub(crate) target: String,
    pub(crate) fields: Vec<String>,
}

impl Forwarded {
    /// Returns the value of a field, which must not occur twice.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let values = self
            .fields
            .iter()
            .filter_map(|field| field.split_once(": "));
        let mut values = values.filter(|(other, _)| *other == name);
        let value = values.next().map(|(_, value)| value);
        assert!(values.next().is_none(), "{name} occurs twice");
        value
    }
}
