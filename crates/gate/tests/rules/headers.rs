//! The identity headers that a service receives about the user, and that no client can forge.

use gate::{Access, BuiltInProfile, Encoding, Gate, HeaderProfile, HeaderSource, IdentityHeader};
use http::HeaderName;
use serde_json::{Value, json};
use session::{CookieName, Secret, seal};

use crate::world::{
    BANNED, DEFAULT_COOKIE, DELETED, NOW, Rows, SECRET, TEAM, TestRequest, Who, claim, column,
    gate, route,
};

/// The position of the test's own profile.
const OWN: usize = 1;

/// Returns a gate whose route `/` has this profile.
fn gate_with(profile: HeaderProfile) -> Gate<Rows, Rows> {
    let mut matched = route("/", Access::ANY_SESSION);
    matched.route.profile = OWN;
    let open = route("/public/", Access::Public);
    let mut shop = route("/shop/", Access::ANY_SESSION);
    shop.route.realm = 1;
    gate(vec![matched, open, shop], vec![profile])
}

/// Returns the fields that belong to a profile, in order.
fn written(gate: &Gate<Rows, Rows>, path: &str, who: Who) -> Vec<String> {
    let seen = TestRequest::get(path, who).ask(gate).unwrap();
    let is_of_profile = |field: &String| {
        let (name, _) = field.split_once(": ").unwrap();
        let mut profiles = gate.profiles.iter().flat_map(|profile| &profile.headers);
        profiles.any(|header| header.name == name)
    };
    seen.fields.into_iter().filter(is_of_profile).collect()
}

#[test]
fn every_profile_writes_all_of_its_headers() {
    use BuiltInProfile::*;
    let groups = "staff,%C3%84rzte";
    let (user, email, name) = ("ada", "ada@example.com", "Zo%C3%AB");
    let table: [(BuiltInProfile, &[(&str, &str)]); 9] = [
        (
            Sessiongate,
            &[
                ("x-user-id", user),
                ("x-user-email", email),
                ("x-user-name", name),
            ],
        ),
        (
            Grafana,
            &[
                ("x-webauth-user", user),
                ("x-webauth-email", email),
                ("x-webauth-name", name),
                ("x-webauth-groups", groups),
                ("x-webauth-role", ""),
            ],
        ),
        (
            Jenkins,
            &[
                ("x-forwarded-user", user),
                ("x-forwarded-groups", "staff|a,b|%C3%84rzte"),
                ("x-forwarded-mail", email),
                ("x-forwarded-displayname", name),
            ],
        ),
        (
            Gitea,
            &[
                ("x-webauth-user", user),
                ("x-webauth-email", email),
                ("x-webauth-fullname", name),
            ],
        ),
        (
            OAuth2Proxy,
            &[
                ("x-forwarded-user", user),
                ("x-forwarded-email", email),
                ("x-forwarded-preferred-username", ""),
                ("x-forwarded-groups", groups),
                ("x-forwarded-access-token", ""),
            ],
        ),
        (
            Authelia,
            &[
                ("remote-user", user),
                ("remote-email", email),
                ("remote-name", name),
                ("remote-groups", groups),
            ],
        ),
        (
            Authentik,
            &[
                ("x-authentik-username", user),
                ("x-authentik-uid", user),
                ("x-authentik-email", email),
                ("x-authentik-name", name),
                ("x-authentik-groups", "staff|a,b|%C3%84rzte"),
                ("x-authentik-entitlements", ""),
                ("x-authentik-jwt", ""),
                ("x-authentik-meta-app", ""),
                ("x-authentik-meta-jwks", ""),
                ("x-authentik-meta-outpost", ""),
                ("x-authentik-meta-provider", ""),
                ("x-authentik-meta-version", ""),
            ],
        ),
        (
            Vouch,
            &[
                ("x-vouch-user", email),
                ("x-vouch-success", "true"),
                ("x-vouch-idp-accesstoken", ""),
                ("x-vouch-idp-idtoken", ""),
                ("x-vouch-idp-claims-groups", groups),
                ("x-vouch-idp-claims-given-name", ""),
            ],
        ),
        (
            RemoteUser,
            &[("remote-user", user), ("x-remote-user", user)],
        ),
    ];
    for (built_in, fields) in table {
        let gate = gate_with(built_in.profile().clone());
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(written(&gate, "/", Who::Ada), fields, "{built_in:?}");
        assert!(
            written(&gate, "/public/", Who::Ada).is_empty(),
            "{built_in:?}"
        );
    }
    assert_eq!(table.len(), BuiltInProfile::BY_NAME.len());
}

fn header(name: &'static str, source: HeaderSource, encoding: Encoding) -> IdentityHeader {
    IdentityHeader {
        name: HeaderName::from_static(name),
        source,
        encoding,
        separator: ",".into(),
    }
}

fn own(headers: Vec<IdentityHeader>) -> HeaderProfile {
    HeaderProfile {
        name: "own".into(),
        headers,
    }
}

#[test]
fn every_source_is_written_in_every_encoding() {
    use HeaderSource::{
        Claim, Column as OfColumn, Constant, Email, Entered, Name, Route, Subject, Unknown,
    };
    let (percent, printable) = (Encoding::Percent, Encoding::QuotedPrintable);
    let (base64, latin_1) = (Encoding::Base64, Encoding::Latin1);
    let groups = || HeaderSource::Groups;
    for (source, encoding, value) in [
        (Name, percent, "Zo%C3%AB"),
        (Name, printable, "Zo=C3=AB"),
        (Name, base64, "Wm/Dqw=="),
        (Name, latin_1, "Zo\u{fffd}"),
        (groups(), percent, "staff,%C3%84rzte"),
        (groups(), printable, "staff,=C3=84rzte"),
        (groups(), base64, "c3RhZmYsw4RyenRl"),
        (groups(), latin_1, "staff,\u{fffd}rzte"),
        (Subject, latin_1, "ada"),
        (Email, percent, "ada@example.com"),
        (Entered, percent, "true"),
        (Route, percent, "/"),
        (Unknown, percent, ""),
        (Claim(claim("role")), percent, "admin"),
        (Claim(claim("org.plan")), percent, "team"),
        (Claim(claim("org")), percent, ""),
        (Claim(claim("absent")), percent, ""),
        (Claim(claim("groups")), percent, "staff,%C3%84rzte"),
        (OfColumn(column(TEAM)), percent, "red, blue"),
        (OfColumn(column(BANNED)), percent, "false"),
        (OfColumn(column(DELETED)), percent, ""),
        (OfColumn(column(9)), percent, ""),
        (Constant(Secret::new("s3cret=")), printable, "s3cret="),
    ] {
        let label = format!("{source} {encoding:?}");
        let gate = gate_with(own(vec![header("x-own", source, encoding)]));
        let seen = TestRequest::get("/", Who::Ada).ask(&gate).unwrap();
        assert_eq!(seen.field("x-own"), Some(value), "{label}");
        // Routes that do not use the profile write none of its headers.
        for path in ["/public/", "/shop/"] {
            let seen = TestRequest::get(path, Who::Shopper).ask(&gate).unwrap();
            assert_eq!(seen.field("x-own"), None, "{label}");
        }
    }
}

#[test]
fn a_value_unfit_for_a_field_is_encoded_or_refused() {
    let team = |encoding| {
        let source = HeaderSource::Claim(claim("injected"));
        own(vec![header("x-own", source, encoding)])
    };
    let ask = |encoding, injected: Value| {
        let gate = gate_with(team(encoding));
        let name = CookieName::try_from(DEFAULT_COOKIE).unwrap();
        let claims = json!({"sub": "ada", "exp": NOW + 60, "injected": injected});
        let secret = Secret::new(SECRET);
        let token = seal::authjs(&secret, &name, claims.as_object().unwrap(), [7; 16]);
        let cookie = format!("{name}={token}");
        let headers = [("cookie", cookie.as_str())];
        let request = TestRequest {
            headers: &headers,
            ..TestRequest::get("/", Who::Anonymous)
        };
        let seen = request.ask(&gate)?;
        Ok(seen.field("x-own").unwrap().to_owned())
    };
    let refused = || Err("header_unwritable Forbid".to_owned());
    let forged = json!("a\r\nx-user-id: root");
    let percent = "a%0D%0Ax-user-id%3A%20root";
    assert_eq!(
        ask(Encoding::Percent, forged.clone()),
        Ok(percent.to_owned())
    );
    assert_eq!(
        ask(Encoding::QuotedPrintable, forged.clone()),
        Ok("a=0D=0Ax-user-id: root".to_owned())
    );
    assert_eq!(ask(Encoding::Latin1, forged.clone()), refused());
    assert_eq!(ask(Encoding::Latin1, json!(["a", "日本"])), refused());
    // Each entry of a list is checked, and one that would be read as several, or as another, is left out.
    for (encoding, value) in [
        (Encoding::Percent, "a%0Db,c%252C"),
        (Encoding::QuotedPrintable, "a=0Db,c%2C"),
    ] {
        let list = json!(["a\rb", "x,y", " root", "root\t", "", "c%2C", null, {"a": 1}]);
        assert_eq!(ask(encoding, list), Ok(value.to_owned()), "{encoding:?}");
    }
}

#[test]
fn the_name_of_the_route_is_written_without_a_user() {
    let key = HeaderSource::Constant(Secret::new("s3cret"));
    let profile = own(vec![
        header("x-route", HeaderSource::Route, Encoding::Percent),
        header("x-login", HeaderSource::Subject, Encoding::Percent),
        header("x-key", key, Encoding::Percent),
    ]);
    let mut open = route("/open/", Access::Public);
    open.route.profile = 1;
    let gate = gate(vec![open], vec![profile]);
    let headers = [("x-route", "forged")];
    let request = TestRequest {
        headers: &headers,
        ..TestRequest::get("/open/", Who::Anonymous)
    };
    let seen = request.ask(&gate).unwrap();
    assert_eq!(seen.field("x-route"), Some("/open/"));
    assert_eq!(seen.field("x-login"), Some(""));
    assert_eq!(seen.field("x-key"), Some(""));
}

#[test]
fn no_header_of_any_profile_can_be_forged_on_any_route() {
    let secret = HeaderSource::Constant(Secret::new("s3cret"));
    let profile = own(vec![
        header("x-team", HeaderSource::Route, Encoding::Percent),
        header("x-proxy-secret", secret, Encoding::Percent),
        header("my-own-login", HeaderSource::Subject, Encoding::Percent),
    ]);
    let mut all = vec![profile.clone()];
    all.extend(BuiltInProfile::BY_NAME.map(|(_, built_in)| built_in.profile().clone()));
    let mut routes: Vec<_> = (0..=all.len())
        .map(|place| {
            let mut matched = route(&format!("/{place}/"), Access::ANY_SESSION);
            matched.route.profile = place;
            matched
        })
        .collect();
    routes.push(route("/public/", Access::Public));
    let mut shop = route("/shop/", Access::ANY_SESSION);
    (shop.route.realm, shop.route.forwards_session) = (1, true);
    routes.push(shop);
    let paths: Vec<_> = routes
        .iter()
        .map(|matched| matched.route.name.to_string())
        .collect();
    let names = all.iter().flat_map(|profile| &profile.headers);
    let names: Vec<_> = names.map(|header| header.name.to_string()).collect();
    let gate = gate(routes, all);
    let spellings: [fn(&str) -> String; 5] = [
        str::to_owned,
        |name| name.replace('-', "_"),
        |name| name.replace('-', "."),
        |name| name.replacen('-', "_", 1),
        |name| name.to_uppercase().replace('-', "~"),
    ];
    let forged: Vec<_> = names
        .iter()
        .flat_map(|name| spellings.map(|spell| spell(name)))
        .collect();
    let forged: Vec<_> = forged
        .iter()
        .map(|name| (name.as_str(), "forged"))
        .collect();
    let bypass = [&forged[..], &[("x-bypass-auth", "let me in")]].concat();
    for path in &paths {
        for (who, headers) in [
            (Who::Ada, &forged),
            (Who::Shopper, &forged),
            (Who::Anonymous, &forged),
            (Who::Anonymous, &bypass),
        ] {
            let request = TestRequest {
                headers,
                ..TestRequest::get(path, who)
            };
            let Ok(seen) = request.ask(&gate) else {
                continue;
            };
            let forged = seen.fields.iter().find(|field| field.contains("forged"));
            assert_eq!(forged, None, "{path} {who:?}");
            // A profile that a route names is written without a user too, with empty values.
            let written = match (path.as_str(), seen.grounds) {
                ("/1/", "session") => Some("s3cret"),
                ("/1/", _) => Some(""),
                _ => None,
            };
            assert_eq!(seen.field("x-proxy-secret"), written, "{path}");
            assert_eq!(seen.field("x-team").is_some(), written.is_some(), "{path}");
        }
    }
}
