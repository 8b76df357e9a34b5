//! A server under measurement: it must prove what it does before it is measured doing it.

use std::fs;

use anyhow::{Context, Result, ensure};
use xtask::step::command;

use super::http::{Address, Connection, get};
use super::kind::Kind;
use super::lab::{Cookies, Lab, SENT, USERS, user};
use super::service::Service;
use super::unary;

/// A server that runs, with all that it needs for itself. Stopped on drop.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) cores: Option<usize>,
    pub(crate) address: Address,
    /// What is accounted to it.
    pub(crate) services: Vec<Service>,
    /// Where it may not use all cores, its upstream may not either.
    pub(crate) _own_upstream: Option<Service>,
}

impl Target {
    /// The processes that are accounted to it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.services.iter().map(Service::id).collect()
    }

    /// Sees that it does what it is measured doing: that what it lets in reaches the upstream whole and, when it
    /// authenticates, under the user's name; and that then nothing without a session gets in.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn verify(&self, lab: &Lab) -> Result<()> {
        if self.kind == Kind::DecisionsGrpc {
            return self.verify_calls(lab);
        }
        if self.kind.speaks_grpc() {
            return self.verify_unary(lab);
        }
        let (kind, user) = (self.kind, user(0));
        let request = |path: &str, cookies: Cookies| {
            let mut headers = kind.headers();
            if let Some(cookie) = lab.first_cookie(cookies)? {
                headers.push(("Cookie".to_owned(), cookie));
            }
            anyhow::Ok(get(kind.path(path), &headers))
        };
        // Some answers to refused requests have no length, which a connection does not survive.
        let connect = || match kind.speaks_tls() {
            true => Connection::open_tls(&self.address),
            false => Connection::open(&self.address),
        };
        if kind.authenticates() {
            for cookies in [Cookies::None, Cookies::WrongTag] {
                let mut connection = connect()?;
                let status = connection.ask(&request("/", cookies)?)?.status;
                ensure!(status == 401, "{kind:?} answers {status} to {cookies:?}");
            }
        }
        let mut connection = connect()?;
        if kind.has_files() {
            for (name, length) in SENT {
                let request = request(&format!("/{name}"), Cookies::One)?;
                let answered = connection.ask(&request)?.body.len();
                ensure!(
                    answered == length,
                    "{kind:?} answers {answered} bytes at {name}"
                );
            }
            return Ok(());
        }
        let seen = connection.ask(&request("/seen", Cookies::One)?)?;
        ensure!(seen.status == 200, "{kind:?} answers {}", seen.status);
        if let Kind::Decisions(_) = kind {
            let said = seen.header("x-user-id");
            ensure!(said == Some(&user), "{kind:?} says it is {said:?}");
            return Ok(());
        }
        let said = String::from_utf8_lossy(seen.body);
        let expected = if kind.tells_user() { &user } else { "" };
        ensure!(said == expected, "the upstream of {kind:?} saw {said:?}");
        for (path, length) in [("/", 72), ("/64k", 64 * 1024)] {
            let answered = connection.ask(&request(path, Cookies::One)?)?.body.len();
            ensure!(
                answered == length,
                "{kind:?} answers {answered} bytes at {path}"
            );
        }
        Ok(())
    }

    /// [`Self::verify`] for decisions over gRPC: every answer has status 200, and only its body says what is decided.
    fn verify_calls(&self, lab: &Lab) -> Result<()> {
        for (cookies, enters) in [(Cookies::One, true), (Cookies::WrongTag, false)] {
            let body = lab.folder().join("call");
            fs::write(&body, lab.call(cookies)?)?;
            let mut nghttp = command(
                "nghttp --header=te:trailers --header=content-type:application/grpc --data",
            );
            nghttp
                .arg(body)
                .arg(format!("http://{}{}", self.address, self.kind.path("/")));
            let nghttp = nghttp.output().context("cannot start nghttp")?;
            let said = String::from_utf8_lossy(&nghttp.stdout);
            ensure!(
                said.contains(&user(0)) == enters,
                "a call with {cookies:?} says {said:?}"
            );
        }
        Ok(())
    }

    /// [`Self::verify`] for a proxy of gRPC: a call with a session gets the service's answer, and one without gets
    /// status 16, UNAUTHENTICATED, where the proxy authenticates.
    fn verify_unary(&self, lab: &Lab) -> Result<()> {
        let body = lab.folder().join("message");
        fs::write(&body, unary::message())?;
        for (cookies, has_session) in [(Cookies::One, true), (Cookies::WrongTag, false)] {
            let cookie = lab.first_cookie(cookies)?.context("a session")?;
            let mut nghttp = command(
                "nghttp --verbose --header=te:trailers --header=content-type:application/grpc --data",
            );
            nghttp
                .arg(&body)
                .arg(format!("--header=cookie:{cookie}"))
                .arg(format!("http://{}{}", self.address, unary::PATH));
            let nghttp = nghttp.output().context("cannot start nghttp")?;
            let said = String::from_utf8_lossy(&nghttp.stdout);
            let enters = has_session || !self.kind.authenticates();
            let status = if enters {
                "grpc-status: 0"
            } else {
                "grpc-status: 16"
            };
            ensure!(
                said.contains(status),
                "{:?} answers a call with {cookies:?}: {said}",
                self.kind
            );
        }
        Ok(())
    }

    /// Has every user looked up once, so that they are remembered.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) fn meet_everybody(&self, lab: &Lab) -> Result<()> {
        let cookies = fs::read_to_string(lab.cookies(Cookies::Many))?;
        let cookies: Vec<_> = cookies.lines().collect();
        std::thread::scope(|scope| {
            let threads = cookies.chunks(USERS / 8).map(|cookies| {
                scope.spawn(move || {
                    let mut connection = Connection::open(&self.address)?;
                    for cookie in cookies {
                        let headers = [("Cookie".to_owned(), (*cookie).to_owned())];
                        let status = connection.ask(&get("/", &headers))?.status;
                        ensure!(status == 200, "{:?} answers {status}", self.kind);
                    }
                    Ok(())
                })
            });
            let threads: Vec<_> = threads.collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().ok().context("a thread failed")?)
        })
    }
}
