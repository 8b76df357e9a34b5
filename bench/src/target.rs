//! A server under measurement: before it is measured, it must prove that it does its work.

use std::fs;

use anyhow::{Context, Result, ensure};
use xtask::step::command;

use super::http::{Address, Connection, get};
use super::kind::Kind;
use super::lab::{Cookies, Lab, SENT, USERS, user};
use super::service::Service;
use super::unary;

/// A running server, with the programs that it alone needs. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) cores: Option<usize>,
    pub(crate) address: Address,
    /// The programs whose CPU time and memory count as the target's.
    pub(crate) services: Vec<Service>,
    /// An upstream of its own, limited to the same cores, if the target may not use all.
    pub(crate) _own_upstream: Option<Service>,
}

impl Target {
    /// Returns the processes whose CPU time and memory count as the target's.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.services.iter().map(Service::id).collect()
    }

    /// Verifies that the target does its work: requests that it permits reach the upstream completely and, when it
    /// authenticates, under the user's name; requests without a session are then refused.
    ///
    /// # Errors
    /// When it does not do so.
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
        // Some refusals have no length, so the connection cannot be used after them.
        let connect = || match kind.speaks_tls() {
            true => Connection::open_tls(&self.address),
            false => Connection::open(&self.address),
        };
        if kind.authenticates() {
            for cookies in [Cookies::None, Cookies::WrongTag] {
                let mut connection = connect()?;
                let status = connection.exchange(&request("/", cookies)?)?.status;
                ensure!(status == 401, "{kind:?} answers {status} to {cookies:?}");
            }
        }
        let mut connection = connect()?;
        if kind.has_files() {
            for (name, length) in SENT {
                let request = request(&format!("/{name}"), Cookies::One)?;
                let answered = connection.exchange(&request)?.body.len();
                ensure!(
                    answered == length,
                    "{kind:?} answers {answered} bytes at {name}"
                );
            }
            return Ok(());
        }
        let seen = connection.exchange(&request("/seen", Cookies::One)?)?;
        ensure!(seen.status == 200, "{kind:?} answers {}", seen.status);
        if let Kind::Decisions(_) = kind {
            let named = seen.header("x-user-id");
            ensure!(named == Some(&user), "{kind:?} names the user {named:?}");
            return Ok(());
        }
        let seen = String::from_utf8_lossy(seen.body);
        let expected = if kind.sends_user() { &user } else { "" };
        ensure!(seen == expected, "the upstream of {kind:?} saw {seen:?}");
        for (path, length) in [("/", 72), ("/64k", 64 * 1024)] {
            let answered = connection
                .exchange(&request(path, Cookies::One)?)?
                .body
                .len();
            ensure!(
                answered == length,
                "{kind:?} answers {answered} bytes at {path}"
            );
        }
        Ok(())
    }

    /// [`Self::verify`] for decisions over gRPC: every answer has status 200, and only its body holds the decision.
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
            let printed = String::from_utf8_lossy(&nghttp.stdout);
            ensure!(
                printed.contains(&user(0)) == enters,
                "nghttp printed {printed:?} for a call with {cookies:?}"
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
            let printed = String::from_utf8_lossy(&nghttp.stdout);
            let enters = has_session || !self.kind.authenticates();
            let status = if enters {
                "grpc-status: 0"
            } else {
                "grpc-status: 16"
            };
            ensure!(
                printed.contains(status),
                "{:?} answers a call with {cookies:?}: {printed}",
                self.kind
            );
        }
        Ok(())
    }

    /// Sends one request of every user, so that the target remembers them all.
    ///
    /// # Errors
    /// When a request is refused.
    pub(crate) fn warm_up_all_users(&self, lab: &Lab) -> Result<()> {
        let cookies = fs::read_to_string(lab.cookies(Cookies::Many))?;
        let cookies: Vec<_> = cookies.lines().collect();
        std::thread::scope(|scope| {
            let threads = cookies.chunks(USERS / 8).map(|cookies| {
                scope.spawn(move || {
                    let mut connection = Connection::open(&self.address)?;
                    for cookie in cookies {
                        let headers = [("Cookie".to_owned(), (*cookie).to_owned())];
                        let status = connection.exchange(&get("/", &headers))?.status;
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
