//! Tests that every algorithm opens with its key, and that known attacks on JWTs fail.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use super::*;
use crate::Secret;

const NOW: u64 = 1_900_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// One key pair of each kind serves all tests, because key pairs are slow to make.
static RSA_PAIR: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static P256_PAIR: LazyLock<EcdsaKeyPair> = LazyLock::new(p256_pair);
static P384_PAIR: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
static ED25519_PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

fn p256_pair() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs as an issuer does.
fn sign(alg: &str, signed: &[u8]) -> Vec<u8> {
    let ec = |pair: &EcdsaKeyPair| {
        let signature = pair.sign(&SystemRandom::new(), signed).unwrap();
        signature.as_ref().to_vec()
    };
    let hmac = |algorithm| hmac_by(algorithm, SECRET, signed);
    let rsa = |encoding: &'static dyn RsaEncoding| {
        let mut signature = vec![0; RSA_PAIR.public_modulus_len()];
        let random = SystemRandom::new();
        RSA_PAIR
            .sign(encoding, &random, signed, &mut signature)
            .unwrap();
        signature
    };
    match alg {
        "ES256" => ec(&P256_PAIR),
        "ES384" => ec(&P384_PAIR),
        "EdDSA" | "Ed25519" => ED25519_PAIR.sign(signed).as_ref().to_vec(),
        "HS256" => hmac(hmac::HMAC_SHA256),
        "HS384" => hmac(hmac::HMAC_SHA384),
        "HS512" => hmac(hmac::HMAC_SHA512),
        "PS256" => rsa(&RSA_PSS_SHA256),
        "PS384" => rsa(&RSA_PSS_SHA384),
        "PS512" => rsa(&RSA_PSS_SHA512),
        "RS256" => rsa(&RSA_PKCS1_SHA256),
        "RS384" => rsa(&RSA_PKCS1_SHA384),
        "RS512" => rsa(&RSA_PKCS1_SHA512),
        other => panic!("no key for {other}"),
    }
}

fn hmac_by(algorithm: hmac::Algorithm, secret: &[u8], signed: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(algorithm, secret);
    hmac::sign(&key, signed).as_ref().to_vec()
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "api", "sub": "job", "iat": NOW - 60, "exp": NOW + 60
    })
}

/// Header and claims as they are signed.
fn signed_part(header: &Value, claims: &Value) -> String {
    let (header, claims) = (header.to_string(), claims.to_string());
    format!("{}.{}", base64(header), base64(claims))
}

/// A token with this header and these claims, signed by `alg` whatever the header says.
fn token_of(alg: &str, header: &Value, claims: &Value) -> String {
    let signed = signed_part(header, claims);
    let signature = base64(sign(alg, signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn token(alg: &str, kid: &str) -> String {
    let header = json!({ "alg": alg, "kid": kid, "typ": "JWT" });
    token_of(alg, &header, &claims())
}

fn nameless(alg: &str) -> String {
    token_of(alg, &json!({ "alg": alg }), &claims())
}

fn rsa_jwk() -> Value {
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(RSA_PAIR.public_key());
    json!({ "kty": "RSA", "kid": "rsa", "n": base64(public.n), "e": base64(public.e) })
}

fn ec_jwk(kid: &str, crv: &str, pair: &EcdsaKeyPair) -> Value {
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({ "kty": "EC", "kid": kid, "crv": crv, "x": base64(x), "y": base64(y) })
}

fn ed25519_jwk() -> Value {
    let x = base64(ED25519_PAIR.public_key());
    json!({ "kty": "OKP", "kid": "ed25519", "crv": "Ed25519", "x": x })
}

/// One key of each kind, each with a name.
fn jwks() -> Value {
    let p256 = ec_jwk("p256", "P-256", &P256_PAIR);
    let p384 = ec_jwk("p384", "P-384", &P384_PAIR);
    set_of([rsa_jwk(), p256, p384, ed25519_jwk()])
}

fn set_of<const N: usize>(jwks: [Value; N]) -> Value {
    json!({ "keys": jwks.as_slice() })
}

fn published(jwks: &Value) -> JwtKeys {
    JwtKeys::new(None, Some(&jwks.to_string())).unwrap()
}

fn all_keys() -> JwtKeys {
    JwtKeys::new(Some(&Secret::new(SECRET)), Some(&jwks().to_string())).unwrap()
}

/// The subject of the session that a token opens to.
fn open(keys: &JwtKeys, token: &str) -> Result<String, OpenError> {
    let authorization = format!("Bearer {token}");
    let jwt = Jwt::find([authorization.as_bytes()])?.expect("three segments");
    let demands = JwtDemands::new("https://issuer.example", "api");
    let session = jwt.open(keys, &demands, UnixTime::from_secs(NOW))?;
    Ok(session.subject().to_owned())
}

/// The object with one member set to `value`; `null` removes the member.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
    object
}

/// The names of the keys, and the algorithms that they serve. The secret has no name.
const KINDS: [(&str, &[&str]); 5] = [
    ("", &["HS256", "HS384", "HS512"]),
    (
        "rsa",
        &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    ),
    ("p256", &["ES256"]),
    ("p384", &["ES384"]),
    ("ed25519", &["EdDSA", "Ed25519"]),
];

#[test]
fn every_algorithm_opens_only_with_its_key() {
    let keys = all_keys();
    for (kid, alg) in KINDS
        .iter()
        .flat_map(|(kid, algs)| algs.iter().map(move |alg| (kid, alg)))
    {
        assert_eq!(open(&keys, &token(alg, kid)).as_deref(), Ok("job"), "{alg}");
        for (other, _) in KINDS.iter().filter(|(other, _)| other != kid) {
            let opened = open(&keys, &token(alg, other));
            let expected = match (*kid, *other) {
                ("", _) => Ok("job".to_owned()),
                (_, "") => Err(OpenError::UnknownKey),
                _ => Err(OpenError::UnsupportedAlgorithm),
            };
            assert_eq!(opened, expected, "{alg} by key {other}");
        }
    }
}

#[test]
fn the_header_cannot_make_a_key_serve_another_algorithm() {
    for (signed_by, said, kid) in [
        ("RS256", "PS256", "rsa"),
        ("RS256", "RS512", "rsa"),
        ("RS256", "HS256", "rsa"),
        ("ES256", "RS256", "p256"),
        ("ES256", "ES384", "p384"),
        ("HS256", "RS256", "rsa"),
        ("HS256", "HS512", ""),
    ] {
        let header = json!({ "alg": said, "kid": kid });
        let opened = open(&all_keys(), &token_of(signed_by, &header, &claims()));
        assert!(opened.is_err(), "{signed_by} as {said}: {opened:?}");
    }
}

#[test]
fn a_public_key_is_not_an_hmac_secret() {
    let header = json!({ "alg": "HS256", "kid": "rsa" });
    let signed = signed_part(&header, &claims());
    let modulus = RsaPublicKeyComponents::<Vec<u8>>::from(RSA_PAIR.public_key()).n;
    for secret in [
        jwks().to_string().as_bytes(),
        RSA_PAIR.public_key().as_ref(),
        &modulus,
        b"",
    ] {
        let signature = hmac_by(hmac::HMAC_SHA256, secret, signed.as_bytes());
        let token = format!("{signed}.{}", base64(signature));
        let opened = open(&published(&jwks()), &token);
        assert_eq!(opened, Err(OpenError::UnsupportedAlgorithm));
        let opened = open(&all_keys(), &token);
        assert_eq!(opened, Err(OpenError::RejectedSignature));
    }
}

#[test]
fn unsigned_tokens_and_unknown_algorithms_are_refused() {
    for alg in [
        "none", "None", "NONE", "", "hs256", "ES256K", "ES512", "HS1", "dir", "RSA-OAEP",
    ] {
        let signed = signed_part(&json!({ "alg": alg }), &claims());
        let opened = open(&all_keys(), &format!("{signed}.AAAA"));
        assert_eq!(opened, Err(OpenError::UnsupportedAlgorithm), "{alg}");
        let segment = Segment::Signature;
        let opened = open(&all_keys(), &format!("{signed}."));
        assert_eq!(opened, Err(OpenError::MalformedToken { segment }));
    }
    for header in [
        json!({}),
        json!({ "alg": null }),
        json!({ "alg": ["HS256"] }),
    ] {
        let opened = open(&all_keys(), &token_of("HS256", &header, &claims()));
        assert_eq!(opened, Err(OpenError::UnsupportedAlgorithm), "{header}");
    }
}

#[test]
fn a_published_key_serves_only_its_published_purpose() {
    let token = token("RS256", "rsa");
    let opened = |name, value| open(&published(&set_of([with(rsa_jwk(), name, value)])), &token);
    for (name, value) in [
        ("alg", json!("RS256")),
        ("use", json!("sig")),
        ("key_ops", json!(["sign", "verify"])),
        ("x5c", json!(["anything"])),
    ] {
        assert_eq!(opened(name, value).as_deref(), Ok("job"), "{name}");
    }
    let narrowed = opened("alg", json!("PS256"));
    assert_eq!(narrowed, Err(OpenError::UnsupportedAlgorithm));
    for (name, value) in [
        ("alg", json!("ES256")),
        ("alg", json!("HS256")),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!(7)),
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("key_ops", json!([])),
        ("kty", json!("oct")),
        ("kty", json!("unheard-of")),
        ("n", Value::Null),
        ("n", json!("AQAB")),
        ("n", json!("not base64!")),
        ("e", Value::Null),
    ] {
        let ignored = opened(name, value.clone());
        assert_eq!(ignored, Err(OpenError::UnknownKey), "{name} {value}");
    }
}

#[test]
fn a_published_symmetric_key_is_ignored() {
    let jwk = json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": base64(SECRET) });
    let keys = published(&set_of([jwk]));
    assert_eq!(keys.published(), 0);
    let opened = open(&keys, &token("HS256", "s"));
    assert_eq!(opened, Err(OpenError::UnsupportedAlgorithm));
}

#[test]
fn curves_and_sizes_are_exact() {
    let usable = |jwk: Value| published(&set_of([jwk])).published() == 1;
    let p256 = ec_jwk("p256", "P-256", &P256_PAIR);
    assert!(usable(p256.clone()));
    for crv in ["P-384", "P-521", "secp256k1", "Ed25519"] {
        assert!(!usable(with(p256.clone(), "crv", json!(crv))), "{crv}");
    }
    assert!(!usable(with(ed25519_jwk(), "crv", json!("X25519"))));
    assert!(!usable(with(ed25519_jwk(), "x", json!(base64([7; 31])))));

    let rsa = |modulus: &[u8]| usable(with(rsa_jwk(), "n", json!(base64(modulus))));
    let leading_zero = [&[0], &[0xff; 256][..]].concat();
    assert!(rsa(&[0x80; 256]) && rsa(&[0xff; 1024]) && rsa(&leading_zero));
    for (byte, count) in [(0x7f, 256), (0xff, 255), (0xff, 1025), (0, 256), (0, 0)] {
        assert!(!rsa(&vec![byte; count]), "{count} bytes of {byte}");
    }
}

#[test]
fn a_point_off_the_curve_verifies_nothing() {
    let jwk = ec_jwk("p256", "P-256", &P256_PAIR);
    let keys = published(&set_of([with(jwk, "y", json!(base64([7; 32])))]));
    let opened = open(&keys, &token("ES256", "p256"));
    assert_eq!(opened, Err(OpenError::RejectedSignature));
}

#[test]
fn signatures_have_one_encoding() {
    let genuine = token("ES256", "p256");
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let opened = |signature: &str| open(&all_keys(), &format!("{signed}.{signature}"));

    // ASN.1, which TLS uses for ECDSA and JWS does not (RFC 7518 section 3.4).
    let pkcs8 = P256_PAIR.to_pkcs8v1().unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let asn1 = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    // All zeros, which verified anything in Java (CVE-2022-21449).
    for other in [base64(asn1), base64([0; 64]), "AAAA".to_owned()] {
        assert_eq!(opened(&other), Err(OpenError::RejectedSignature), "{other}");
    }

    // 64 bytes leave four bits of the last character unused.
    let (stem, last) = signature.split_at(signature.len() - 1);
    let twin = char::from(last.as_bytes()[0] + 1);
    let segment = Segment::Signature;
    for other in [
        format!("{stem}{twin}"),
        format!("{signature}="),
        format!("{signature}\u{e4}"),
    ] {
        let malformed = Err(OpenError::MalformedToken { segment });
        assert_eq!(opened(&other), malformed, "{other}");
    }
    assert_eq!(opened(signature).as_deref(), Ok("job"));
}

#[test]
fn a_token_changed_after_signing_is_refused() {
    let genuine = token("EdDSA", "ed25519");
    let segments: Vec<_> = genuine.split('.').collect();
    let claims = base64(with(claims(), "sub", json!("root")).to_string());
    let header = base64(r#"{"alg":"EdDSA","kid":"ed25519","extra":1}"#);
    for changed in [
        [segments[0], &claims, segments[2]],
        [&header, segments[1], segments[2]],
    ] {
        let opened = open(&all_keys(), &changed.join("."));
        assert_eq!(opened, Err(OpenError::RejectedSignature));
    }
}

#[test]
fn keys_inside_a_token_are_ignored() {
    // The issuer has another key than the one that signs here.
    let keys = published(&set_of([ec_jwk("p256", "P-256", &p256_pair())]));
    for (name, value) in [
        ("jwk", ec_jwk("p256", "P-256", &P256_PAIR)),
        ("jku", json!("https://attacker.example/jwks")),
        ("x5u", json!("https://attacker.example/certificate")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = json!({ "alg": "ES256", "kid": "p256", name: value });
        let opened = open(&keys, &token_of("ES256", &header, &claims()));
        assert_eq!(opened, Err(OpenError::RejectedSignature), "{name}");
    }
}

#[test]
fn headers_that_change_a_tokens_meaning_are_refused() {
    let opened = |name: &str, value: &Value| {
        let header = json!({ "alg": "HS256", name: value });
        open(&all_keys(), &token_of("HS256", &header, &claims()))
    };
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("application/logout+jwt")),
        ("typ", json!(["JWT"])),
        ("typ", json!("")),
    ] {
        let refused = Err(OpenError::UnsupportedHeader { member });
        assert_eq!(opened(member, &value), refused, "{member} {value}");
    }
    for typ in [
        "JWT",
        "jwt",
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/JWT",
    ] {
        assert_eq!(opened("typ", &json!(typ)).as_deref(), Ok("job"), "{typ}");
    }
}

#[test]
fn without_a_kid_only_one_key_may_match() {
    for alg in ["RS256", "PS512", "ES256", "ES384", "EdDSA", "HS256"] {
        let opened = open(&all_keys(), &nameless(alg));
        assert_eq!(opened.as_deref(), Ok("job"), "{alg}");
    }
    let second = with(rsa_jwk(), "kid", json!("second"));
    let two = published(&set_of([rsa_jwk(), second.clone()]));
    let unknown = Err(OpenError::UnknownKey);
    assert_eq!(open(&two, &nameless("RS256")), unknown);
    let apart = published(&set_of([rsa_jwk(), with(second, "alg", json!("PS256"))]));
    assert_eq!(open(&apart, &nameless("RS256")).as_deref(), Ok("job"));
    assert_eq!(open(&apart, &nameless("PS256")), unknown);
    assert_eq!(open(&published(&set_of([])), &nameless("RS256")), unknown);
}

#[test]
fn a_kid_names_exactly_one_key() {
    for kid in [
        json!("rsa "),
        json!("RSA"),
        json!("gone"),
        json!(""),
        json!(7),
        json!(null),
        json!(["rsa"]),
    ] {
        let header = json!({ "alg": "RS256", "kid": kid });
        let opened = open(&all_keys(), &token_of("RS256", &header, &claims()));
        assert_eq!(opened, Err(OpenError::UnknownKey), "{kid}");
    }
    // A token that names a key does not select a key without a name.
    let nameless = published(&set_of([with(rsa_jwk(), "kid", Value::Null)]));
    let opened = open(&nameless, &token("RS256", "rsa"));
    assert_eq!(opened, Err(OpenError::UnknownKey));
}

#[test]
fn a_genuine_token_needs_subject_audience_issuer_and_expiry() {
    let at = UnixTime::from_secs;
    let malformed = |claim| OpenError::MalformedClaim { claim };
    for (name, value, error) in [
        ("exp", Value::Null, OpenError::MissingExpiry),
        (
            "exp",
            json!(NOW - 16),
            OpenError::Expired { at: at(NOW - 16) },
        ),
        ("exp", json!("2099"), malformed("exp")),
        (
            "nbf",
            json!(NOW + 16),
            OpenError::NotYetValid { from: at(NOW + 16) },
        ),
        (
            "iat",
            json!(NOW + 16),
            OpenError::IssuedInFuture { at: at(NOW + 16) },
        ),
        ("sub", Value::Null, OpenError::MissingSubject),
        ("sub", json!(""), OpenError::MissingSubject),
        ("sub", json!(7.5), malformed("sub")),
        ("aud", Value::Null, OpenError::WrongAudience),
        ("aud", json!("API"), OpenError::WrongAudience),
        ("aud", json!(["other"]), OpenError::WrongAudience),
        ("aud", json!([["api"]]), OpenError::WrongAudience),
        ("iss", Value::Null, OpenError::WrongIssuer),
        (
            "iss",
            json!("https://issuer.example/"),
            OpenError::WrongIssuer,
        ),
        (
            "iss",
            json!(["https://issuer.example"]),
            OpenError::WrongIssuer,
        ),
    ] {
        let claims = with(claims(), name, value);
        let opened = open(
            &all_keys(),
            &token_of("HS256", &json!({ "alg": "HS256" }), &claims),
        );
        assert_eq!(opened, Err(error), "{claims}");
    }
    let several = with(claims(), "aud", json!(["other", "api"]));
    let token = token_of("HS256", &json!({ "alg": "HS256" }), &several);
    assert_eq!(open(&all_keys(), &token).as_deref(), Ok("job"));
}

#[test]
fn ambiguous_claims_are_refused() {
    let header = base64(r#"{"alg":"HS256"}"#);
    for claims in [
        r#"{"sub":"job","sub":"root","exp":1900000060}"#,
        "[]",
        "\"job\"",
        "{",
        "\u{feff}{}",
    ] {
        let signed = format!("{header}.{}", base64(claims));
        let token = format!("{signed}.{}", base64(sign("HS256", signed.as_bytes())));
        let opened = open(&all_keys(), &token);
        assert_eq!(opened, Err(OpenError::MalformedClaims), "{claims}");
    }
}

#[test]
fn only_one_bearer_value_of_three_segments_is_a_token() {
    let found = |values: &[&str]| {
        let values = values.iter().map(|value| value.as_bytes());
        Jwt::find(values).map(|jwt| jwt.is_some())
    };
    for value in [
        "Bearer a.b.c",
        "bearer a.b.c",
        "BEARER   a.b.c ",
        "Bearer ..",
    ] {
        assert_eq!(found(&[value]), Ok(true), "{value}");
    }
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a.b",
        "Bearer a.b.c.d",
        "Bearer a..b.c.d",
        "Basic a.b.c",
        "Bearera.b.c",
    ] {
        assert_eq!(found(&[value]), Ok(false), "{value}");
    }
    assert_eq!(found(&[]), Ok(false));
    let twice = found(&["Bearer a.b.c", "Bearer a.b.c"]);
    assert_eq!(twice, Err(OpenError::AmbiguousAuthorization));
    let large = format!("Bearer a.b.{}", "c".repeat(MAX_TOKEN_LEN));
    assert_eq!(found(&[&large]), Err(OpenError::Oversize));
}

#[test]
fn the_secret_is_at_least_as_long_as_the_hash() {
    let keys = |bytes: usize| JwtKeys::new(Some(&Secret::new(&SECRET[..bytes])), None);
    let short = keys(31).err();
    assert_eq!(short, Some(JwtKeysError::ShortSecret { bytes: 31 }));
    for (bytes, served) in [(32, 1), (47, 1), (48, 2), (63, 2), (64, 3)] {
        let keys = keys(bytes).unwrap();
        for (index, alg) in ["HS256", "HS384", "HS512"].into_iter().enumerate() {
            let refused = open(&keys, &nameless(alg)) == Err(OpenError::UnsupportedAlgorithm);
            assert_eq!(refused, index >= served, "{alg} with {bytes} bytes");
        }
    }
}

#[test]
fn a_jwks_is_strict_and_bounded() {
    let error = |text: &str| JwtKeys::new(None, Some(text)).err();
    for text in [
        "",
        "[]",
        "{}",
        "<html>",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kid":"a","kid":"b"}]}"#,
    ] {
        assert_eq!(error(text), Some(JwtKeysError::Malformed), "{text}");
    }
    let many = |count: usize| json!({ "keys": vec![json!({}); count] }).to_string();
    assert_eq!(error(&many(64)), None);
    assert_eq!(error(&many(65)), Some(JwtKeysError::TooManyKeys));
    let padding = "x".repeat(JwtKeys::MAX_JWKS_LEN);
    let large = error(&format!(r#"{{"keys":[],"x":"{padding}"}}"#));
    assert_eq!(large, Some(JwtKeysError::Oversize));
    let twice = set_of([rsa_jwk(), with(ed25519_jwk(), "kid", json!("rsa"))]);
    let twice = error(&twice.to_string());
    assert_eq!(twice, Some(JwtKeysError::DuplicateKid));
}

#[test]
fn an_unsupported_key_does_not_affect_others() {
    let encryption = with(rsa_jwk(), "use", json!("enc"));
    let set = json!({ "keys": [rsa_jwk(), encryption, null, 7, "key", [], {}] });
    assert_eq!(published(&set).published(), 1);
}

#[test]
fn printing_shows_neither_tokens_nor_keys() {
    let keys = format!("{:?}", all_keys());
    assert_eq!(keys, "JwtKeys { secret: true, published: 4, .. }");
    let jwt = Jwt::find([&b"Bearer a.b.c"[..]]).unwrap().unwrap();
    assert_eq!(format!("{jwt:?}"), "Jwt { bytes: 5, .. }");
}
