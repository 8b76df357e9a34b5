//! The gate as a library in an axum service: a layer decides about each request, and handlers take the caller as an argument.
//!
//! ```sh
//! AUTH_SECRET='the secret of your app' cargo run -p sessiongate-gate --example axum_service
//! cookie=$(AUTH_SECRET='the secret of your app' sessiongate mint --format authjs --user 42)
//! curl -H "Cookie: $cookie" http://127.0.0.1:8000/
//! ```

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;
use std::{env, io};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header::HOST};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use gate::{
    Arrival, BuiltInProfile, Condition, Facts, FindError, Gate, Hygiene, IdentityRules,
    KnownSession, Lookup, PathPattern, Realm, RefusalClass, Routes, SessionStore, StoreError, User,
    UserStore,
};
use session::{ClaimDemands, KeyRing, Secret, Session, SessionCookie, SessionToken, UnixTime};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "a program reads its settings")]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::new(env::var("AUTH_SECRET")?);
    let listener = TcpListener::bind("127.0.0.1:8000").await?;
    serve(listener, gate(&secret)?).await?;
    Ok(())
}

/// Serves two pages: one for users who are signed in, and a public one.
async fn serve(listener: TcpListener, gate: DemoGate) -> io::Result<()> {
    let app = Router::new()
        .route("/", get(page))
        .route("/healthz", get(|| async { "fine" }))
        .layer(middleware::from_fn_with_state(Arc::new(gate), decide))
        .into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await
}

async fn page(caller: Caller) -> String {
    let email = caller.email.as_deref().unwrap_or("no address");
    format!("user {}, {email}\n", caller.id)
}

/// The signed-in user who sent the request. A handler that takes it as an argument answers 401 without one.
#[derive(Clone, Debug)]
struct Caller {
    id: String,
    email: Option<String>,
}

impl Caller {
    fn of(session: &Session) -> Self {
        Self {
            id: session.subject().to_owned(),
            email: session.email().map(str::to_owned),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let caller = parts.extensions.get().cloned();
        caller.ok_or(StatusCode::UNAUTHORIZED)
    }
}

/// Passes a request on to its handler, with its [`Caller`], or refuses it.
async fn decide(
    State(gate): State<Arc<DemoGate>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let arrival = Arrival {
        peer: peer.ip(),
        client: peer.ip(),
        trusted_peer: false,
        relayed: false,
        secure: false,
        certificate: None,
        request_id: HeaderValue::from_static("-"),
    };
    let facts = Facts {
        method: &parts.method,
        host: parts.headers.get(HOST).and_then(|host| host.to_str().ok()),
        path: Some(parts.uri.path()),
        headers: &parts.headers,
        arrival: &arrival,
    };
    let caller = match gate.decide(&facts, now()).await {
        Ok(permit) => permit.admission().session().map(Caller::of),
        Err(refused) => {
            eprintln!("refused: {}", refused.refusal);
            return status(refused.refusal.class()).into_response();
        }
    };
    if let Some(caller) = caller {
        parts.extensions.insert(caller);
    }
    next.run(Request::from_parts(parts, body)).await
}

/// The status that the client receives for a refusal.
fn status(class: RefusalClass) -> StatusCode {
    match class {
        RefusalClass::BadRequest => StatusCode::BAD_REQUEST,
        RefusalClass::Forbid => StatusCode::FORBIDDEN,
        RefusalClass::NotFound => StatusCode::NOT_FOUND,
        RefusalClass::SignIn => StatusCode::UNAUTHORIZED,
        RefusalClass::TooMany => StatusCode::TOO_MANY_REQUESTS,
        RefusalClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

type DemoGate = Gate<Nowhere, Nowhere>;

/// A gate for one service. Everything except `/healthz` demands a session.
fn gate(secret: &Secret) -> Result<DemoGate, Box<dyn Error>> {
    let keys = KeyRing::new(
        std::slice::from_ref(secret),
        SessionCookie::defaults().into(),
    )?;
    let keys = Arc::new(keys);
    let realm = Realm {
        name: "default".into(),
        keys: Arc::clone(&keys),
        demands: ClaimDemands::default(),
        identity: IdentityRules::default(),
        active: Condition::ALWAYS,
        issuer: None,
        revocations: Arc::default(),
        users: None,
        sessions: None,
    };
    let bypass_header = HeaderName::from_static("x-bypass-auth");
    Ok(Gate {
        routes: Routes::of_one_service(vec![PathPattern::new("/healthz")?], false),
        hygiene: Hygiene::new(&bypass_header, [], vec![keys]),
        realms: vec![realm],
        profiles: vec![BuiltInProfile::Sessiongate.profile().clone()],
        bypass: None,
        passes_preflight: false,
    })
}

/// The type of the stores, of which this gate has none. To refuse users who were deleted, write a store that queries your
/// database.
#[derive(Debug)]
enum Nowhere {}

impl UserStore for Nowhere {
    async fn find(&self, _: &str) -> Result<Lookup<User>, StoreError> {
        match *self {}
    }
}

impl SessionStore for Nowhere {
    async fn find(
        &self,
        _: &SessionToken,
        _: Option<IpAddr>,
    ) -> Result<Lookup<KnownSession>, FindError> {
        match *self {}
    }

    fn includes_user_check(&self) -> bool {
        match *self {}
    }
}

fn now() -> UnixTime {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    UnixTime::from_secs(since_1970.as_secs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use session::seal;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_handler_knows_its_caller_and_strangers_are_refused() {
        let secret = Secret::new("a secret for tests, 32 bytes or more");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, gate(&secret).unwrap()));

        let claims = json!({"sub": "42", "email": "ada@example.com", "exp": now().secs() + 60});
        let name = "authjs.session-token".parse().unwrap();
        let token = seal::authjs(&secret, &name, claims.as_object().unwrap(), [7; 16]);
        for (path, cookie, status, body) in [
            ("/", Some(&token), "200", "user 42, ada@example.com\n"),
            ("/", None, "401", ""),
            ("/healthz", None, "200", "fine"),
        ] {
            let cookie = cookie.map(|token| format!("Cookie: {name}={token}\r\n"));
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n",
                cookie.unwrap_or_default()
            );
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            let (_, received) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(received, body, "{path}");
        }
    }
}
