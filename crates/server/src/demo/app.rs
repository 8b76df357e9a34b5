//! The three services: each shows the requests that it receives, and the public one signs users in as an Auth.js app does.
//!
//! None of them opens a session. The headers that the gate writes tell them who is calling.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::{process, thread};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use maud::Markup;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::area::Area;
use super::file::FILE;
use super::form::{field, local_path};
use super::pages;
use super::people::{People, Person, PersonChange};
use super::received::ReceivedHeaders;
use super::refusals::LastRefusal;
use super::sessions::DemoSessions;
use super::words::PlainRefusal;

/// The sign-in page, to which the gate redirects users who are not signed in.
const SIGN_IN: &str = "/api/auth/signin";

/// The addresses of the services.
pub(super) struct DemoServices {
    pub(super) public: SocketAddr,
    pub(super) members: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// Starts the services on free ports of this machine, on one thread that ends with the process. The thread ends the process when
/// the terminal closes.
pub(super) fn start(
    sessions: DemoSessions,
    refusals: Arc<LastRefusal>,
) -> anyhow::Result<DemoServices> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let people = runtime.block_on(People::open())?;
    let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0"));
    let [public, members, admin] = [bind()?, bind()?, bind()?];
    let services = DemoServices {
        public: public.local_addr()?,
        members: members.local_addr()?,
        admin: admin.local_addr()?,
    };
    let app = DemoApp {
        people,
        refusals,
        sessions,
    };
    let mut hangup = {
        let _context = runtime.enter();
        signal(SignalKind::hangup())?
    };
    let serving = async move {
        tokio::join!(
            app.clone().serve(Area::Public, &public),
            app.clone().serve(Area::Members, &members),
            app.serve(Area::Admin, &admin),
            async {
                hangup.recv().await;
                leave();
            },
        );
    };
    thread::Builder::new()
        .name("demo-services".to_owned())
        .spawn(move || runtime.block_on(serving))?;
    Ok(services)
}

/// Ends the process. `sessiongate serve` reloads on this signal, but without a terminal the demo would run on unseen.
#[expect(
    clippy::exit,
    reason = "the terminal has closed, and nothing needs to be finished"
)]
fn leave() -> ! {
    process::exit(0)
}

#[derive(Clone)]
struct DemoApp {
    people: People,
    refusals: Arc<LastRefusal>,
    sessions: DemoSessions,
}

impl DemoApp {
    async fn serve(self, area: Area, listener: &TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // Only the gate connects, and it tries again.
                    let Ok((stream, _)) = accepted else { continue };
                    let app = self.clone();
                    connections.spawn(async move {
                        let service = service_fn(|request| app.respond(area, request));
                        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    });
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }

    async fn respond(
        &self,
        area: Area,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let answer = match area {
            Area::Admin | Area::Members => self.enter(area, &request).await,
            Area::Public => self.receive(request).await,
        };
        let answer = answer.unwrap_or_else(|error| {
            tracing::error!("a service of the demo failed: {error:#}");
            DemoResponse::Page(StatusCode::INTERNAL_SERVER_ERROR, pages::broken())
        });
        Ok(answer.into_response())
    }

    /// Answers requests for the member area and the admin area, which the gate has permitted.
    async fn enter(&self, area: Area, request: &Request<Incoming>) -> anyhow::Result<DemoResponse> {
        if request.uri().path() == area.path().trim_end_matches('/') {
            return Ok(DemoResponse::SeeOther(area.path().to_owned()));
        }
        if request.uri().path() != area.path() {
            return Ok(DemoResponse::Page(
                StatusCode::NOT_FOUND,
                pages::not_found(area),
            ));
        }
        let received = ReceivedHeaders(request.headers());
        if !received.wants_page() {
            return Ok(greeting(area, &received));
        }
        let person = Person::of_id(&received.user_id());
        let row = match person {
            Some(person) => self.people.row(person).await?,
            None => None,
        };
        let you = person.zip(row.as_ref());
        let page = pages::area(area, &received, you);
        Ok(DemoResponse::Page(StatusCode::OK, page))
    }

    /// Answers requests for the public page, the sign-in, the last refusal, and changes to the user table.
    async fn receive(&self, request: Request<Incoming>) -> anyhow::Result<DemoResponse> {
        let (head, body) = request.into_parts();
        let received = ReceivedHeaders(&head.headers);
        let page = |page| Ok(DemoResponse::Page(StatusCode::OK, page));
        match (head.method.as_str(), head.uri.path()) {
            ("GET" | "HEAD", "/") if !received.wants_page() => {
                Ok(greeting(Area::Public, &received))
            }
            ("GET" | "HEAD", "/") => page(pages::public(&received, &self.people.everyone().await?)),
            ("GET" | "HEAD", "/refusal") => self.last_refusal(&received).await,
            ("GET" | "HEAD", "/sessiongate.toml") => Ok(DemoResponse::Text(FILE.to_owned())),
            ("GET" | "HEAD", SIGN_IN) => {
                let query = head.uri.query().unwrap_or_default();
                let callback = local_path(field(query, "callbackUrl"));
                page(pages::sign_in(&self.people.everyone().await?, &callback))
            }
            ("POST", SIGN_IN) => self.sign_in(&text(body).await),
            ("POST", "/api/auth/signout") => Ok(DemoResponse::Cookie {
                cookie: self.sessions.sign_out(),
                to: SIGN_IN.to_owned(),
            }),
            ("POST", "/users") => self.change(&text(body).await).await,
            _ => Ok(DemoResponse::Page(
                StatusCode::NOT_FOUND,
                pages::not_found(Area::Public),
            )),
        }
    }

    /// Signs in the user whom the form names, even one whom the gate will refuse: a session outlives changes to its user.
    ///
    /// The form carries no token against forged requests: they do no harm here. An app with more to lose needs one.
    fn sign_in(&self, form: &str) -> anyhow::Result<DemoResponse> {
        let chosen = field(form, "user");
        let Some(person) = chosen.and_then(|id| Person::of_id(&id)) else {
            return Ok(DemoResponse::SeeOther(SIGN_IN.to_owned()));
        };
        Ok(DemoResponse::Cookie {
            cookie: self.sessions.sign_in(person)?,
            to: local_path(field(form, "callbackUrl")),
        })
    }

    /// Changes a row of the user table. Pages of other sites cannot send this form: the gate refuses that (`csrf = true`).
    async fn change(&self, form: &str) -> anyhow::Result<DemoResponse> {
        let person = field(form, "user").and_then(|id| Person::of_id(&id));
        let named = field(form, "change").unwrap_or_default();
        let change = PersonChange::ALL
            .iter()
            .find(|change| change.as_str() == named);
        if let Some((person, change)) = person.zip(change) {
            self.people.change(person, *change).await?;
        }
        Ok(DemoResponse::SeeOther(local_path(field(form, "back"))))
    }

    /// The explanation of the last refusal.
    async fn last_refusal(&self, received: &ReceivedHeaders<'_>) -> anyhow::Result<DemoResponse> {
        let Some(refused) = self.refusals.last() else {
            return Ok(match received.wants_page() {
                true => DemoResponse::Page(StatusCode::OK, pages::nothing_refused()),
                false => DemoResponse::Text("Nothing has been refused yet.\n".to_owned()),
            });
        };
        let person = refused.user_id.as_deref().and_then(Person::of_id);
        let row = match person {
            Some(person) => self.people.row(person).await?,
            None => None,
        };
        let words = PlainRefusal::explain(&refused, person, row.as_ref());
        if !received.wants_page() {
            return Ok(DemoResponse::Text(words.as_text(&refused)));
        }
        let explained = self.refusals.explained(&refused.request_id).await;
        let page = pages::refusal(&refused, &words, person, explained.as_deref());
        Ok(DemoResponse::Page(StatusCode::OK, page))
    }
}

/// A few lines of text for `curl`.
fn greeting(area: Area, received: &ReceivedHeaders<'_>) -> DemoResponse {
    let rows = received.rows();
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("  {name}: {value}\n"))
        .collect();
    let hello = match area {
        Area::Admin | Area::Members => format!("Hello, {}. ", received.user_name()),
        Area::Public => String::new(),
    };
    let name = area.name().to_lowercase();
    DemoResponse::Text(format!(
        "{hello}This is the {name}. The gate sent it:\n\n{rows}"
    ))
}

/// Reads a form. One that breaks off reads as empty; the `body_limit` of its route refuses one that is too long.
async fn text(body: Incoming) -> String {
    let body = body.collect().await.map(|body| body.to_bytes());
    String::from_utf8_lossy(&body.unwrap_or_default()).into_owned()
}

/// An answer of a service.
enum DemoResponse {
    Cookie { cookie: String, to: String },
    Page(StatusCode, Markup),
    SeeOther(String),
    Text(String),
}

impl DemoResponse {
    fn into_response(self) -> Response<Full<Bytes>> {
        let (status, body, fields) = match self {
            DemoResponse::Cookie { cookie, to } => (
                StatusCode::SEE_OTHER,
                String::new(),
                vec![(SET_COOKIE, cookie), (LOCATION, to)],
            ),
            DemoResponse::Page(status, page) => {
                let policy = (
                    CONTENT_SECURITY_POLICY,
                    crate::pages::CONTENT_SECURITY_POLICY.to_owned(),
                );
                (
                    status,
                    page.into_string(),
                    vec![
                        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
                        policy,
                    ],
                )
            }
            DemoResponse::SeeOther(to) => {
                (StatusCode::SEE_OTHER, String::new(), vec![(LOCATION, to)])
            }
            DemoResponse::Text(text) => (
                StatusCode::OK,
                text,
                vec![(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned())],
            ),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        // "Back" after signing out must not show what was there before.
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in fields {
            let value =
                HeaderValue::try_from(value).expect("cookies and local paths are visible ASCII");
            response.headers_mut().insert(name, value);
        }
        response
    }
}
