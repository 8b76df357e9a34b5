//! The sample app: it signs people in the way an Auth.js app does, and shows what reaches it.
//!
//! It never opens a session. Who is calling it learns from the headers that the gate writes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::thread;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use maud::Markup;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::pages;
use super::people::{PEOPLE, People};
use super::received::Received;
use super::sessions::Sessions;

/// Where the gate sends people who are not signed in.
pub(super) const SIGN_IN: &str = "/signin";

/// What must work for someone who has no session, or whose user is gone.
pub(super) const PUBLIC_PATHS: &str = "/deleted,/restore,/signin,/signout";

/// Starts the app on a free port of this machine, on a thread that ends with the process. Returns its address.
pub(super) fn start(sessions: Sessions) -> anyhow::Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let people = runtime.block_on(People::open())?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;

    let app = App { people, sessions };
    thread::Builder::new()
        .name("sample-app".to_owned())
        .spawn(move || runtime.block_on(app.serve(&listener)))?;
    Ok(address)
}

#[derive(Clone)]
struct App {
    people: People,
    sessions: Sessions,
}

impl App {
    async fn serve(self, listener: &TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // Only the gate connects, and it tries again.
                    let Ok((stream, _)) = accepted else { continue };
                    let app = self.clone();
                    connections.spawn(async move {
                        let service = service_fn(|request| app.respond(request));
                        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    });
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let answer = self.answer(request).await.unwrap_or_else(|error| {
            tracing::error!("the sample app failed: {error:#}");
            Answer::Page(StatusCode::INTERNAL_SERVER_ERROR, pages::broken())
        });
        Ok(answer.into_response())
    }

    /// The forms carry no token against forged requests: the cookie is `SameSite=Lax`, so another site's `POST` comes
    /// without a session, and what is public here harms nobody. An app with more to lose needs one.
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Answer> {
        let (head, body) = request.into_parts();
        let received = Received(&head.headers);
        match (head.method.as_str(), head.uri.path()) {
            ("GET" | "HEAD", "/") => Ok(home(&received)),
            ("POST", "/delete") => {
                self.people.delete(&received.user_id()).await?;
                Ok(Answer::SeeOther("/deleted".to_owned()))
            }
            ("GET" | "HEAD", "/deleted") => Ok(Answer::Page(StatusCode::OK, pages::deleted())),
            ("POST", "/restore") => {
                self.people.restore().await?;
                Ok(Answer::SeeOther(SIGN_IN.to_owned()))
            }
            ("GET" | "HEAD", "/signin") => {
                let callback =
                    local_path(field(head.uri.query().unwrap_or_default(), "callbackUrl"));
                let present = self.people.present().await?;
                Ok(Answer::Page(
                    StatusCode::OK,
                    pages::sign_in(&PEOPLE, &present, &callback),
                ))
            }
            ("POST", "/signin") => self.sign_in(body).await,
            ("POST", "/signout") => Ok(Answer::Cookie {
                cookie: self.sessions.sign_out(),
                to: SIGN_IN.to_owned(),
            }),
            _ => Ok(Answer::Page(StatusCode::NOT_FOUND, pages::not_found())),
        }
    }

    async fn sign_in(&self, body: Incoming) -> anyhow::Result<Answer> {
        // Far more than the form sends; a longer or broken body chooses nobody.
        let body = Limited::new(body, 8 * 1024)
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let form = String::from_utf8_lossy(&body);
        let chosen = field(&form, "user");
        let Some(person) = PEOPLE
            .iter()
            .find(|person| Some(person.id) == chosen.as_deref())
        else {
            return Ok(Answer::SeeOther(SIGN_IN.to_owned()));
        };
        Ok(Answer::Cookie {
            cookie: self.sessions.sign_in(person)?,
            to: local_path(field(&form, "callbackUrl")),
        })
    }
}

/// The protected page, or a few lines of it for `curl`.
fn home(received: &Received<'_>) -> Answer {
    let (name, rows) = (received.user_name(), received.rows());
    if received.wants_page() {
        return Answer::Page(
            StatusCode::OK,
            pages::home(&name, &rows, &received.forgery()),
        );
    }
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("  {name}: {value}\n"))
        .collect();
    Answer::Text(format!(
        "Hello, {name}. This is what the gate told the app about you:\n\n{rows}"
    ))
}

/// What the app can say.
enum Answer {
    Cookie { cookie: String, to: String },
    Page(StatusCode, Markup),
    SeeOther(String),
    Text(String),
}

impl Answer {
    fn into_response(self) -> Response<Full<Bytes>> {
        let (status, body, fields) = match self {
            Answer::Cookie { cookie, to } => (
                StatusCode::SEE_OTHER,
                String::new(),
                vec![(SET_COOKIE, cookie), (LOCATION, to)],
            ),
            Answer::Page(status, page) => {
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
            Answer::SeeOther(to) => (StatusCode::SEE_OTHER, String::new(), vec![(LOCATION, to)]),
            Answer::Text(text) => (
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

/// The first field of this name in a query or a form.
fn field(form: &str, name: &str) -> Option<String> {
    let mut fields = form.split('&').filter_map(|field| field.split_once('='));
    let (_, value) = fields.find(|(key, _)| *key == name)?;
    Some(
        percent_decode_str(&value.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned(),
    )
}

/// Where to go after signing in: a path on this site, and nothing that a browser could take for another one.
fn local_path(callback: Option<String>) -> String {
    let is_local = |path: &String| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    callback.filter(is_local).unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for path in ["/", "/reports?year=2026&q=a%20b", "/a//b"] {
            assert_eq!(local_path(Some(path.to_owned())), path);
        }
        for elsewhere in [
            "",
            "https://example.com/",
            "//example.com",
            "/\\example.com",
            "/a\r\nX: y",
            "/ä",
            "reports",
        ] {
            assert_eq!(local_path(Some(elsewhere.to_owned())), "/", "{elsewhere:?}");
        }
        assert_eq!(local_path(None), "/");
    }

    #[test]
    fn form_fields_are_decoded() {
        let form = "user=zoe&callbackUrl=%2Fa%3Fb%3D1&note=a+b%C3%A4";
        assert_eq!(field(form, "callbackUrl").as_deref(), Some("/a?b=1"));
        assert_eq!(field(form, "note").as_deref(), Some("a bä"));
        assert_eq!(field(form, "absent"), None);
    }
}
