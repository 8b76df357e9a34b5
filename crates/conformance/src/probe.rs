//! What a case works with: the gateway, the recorder, and a token of its own.

mod judge;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{Exchange, Sending};
use crate::recorder::{Record, Recorder, Reply, tokens};
use crate::request::Request;
use crate::target::Target;

/// One run of one case.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    pub(crate) target: &'a Target,
    pub(crate) recorder: &'a Recorder,
    /// Stands in whatever this case sends, so that what the upstream saw can be matched to it.
    pub(crate) token: String,
    /// How many records there were before the last exchange.
    before: AtomicUsize,
}

impl<'a> Probe<'a> {
    pub(crate) fn new(target: &'a Target, recorder: &'a Recorder) -> Self {
        let number = fastrand::u64(..1 << 40);
        Self {
            target,
            recorder,
            token: format!("n{number:010x}z"),
            before: AtomicUsize::new(recorder.count()),
        }
    }

    /// A value that a client chose for an identity header.
    pub(crate) fn forged(&self) -> String {
        format!("evil-{}", self.token)
    }

    /// The identity header that names the user.
    pub(crate) fn identity_name(&self) -> &str {
        let first = self.target.identity_headers.first();
        first.map_or("X-User-Id", String::as_str)
    }

    /// A forged identity header.
    pub(crate) fn forged_line(&self) -> String {
        format!("{}: {}", self.identity_name(), self.forged())
    }

    /// The path plus a query by which the upstream's record can be matched to this case.
    pub(crate) fn marked(&self, path: &str) -> String {
        let joint = if path.contains('?') { '&' } else { '?' };
        format!("{path}{joint}c={}", self.token)
    }

    /// The public folder, `/public/`, and the protected path without its first slash, `private`.
    pub(crate) fn places(&self) -> (String, String) {
        let protected = self.target.protected();
        let protected = protected.strip_prefix('/').unwrap_or(protected);
        (self.target.public_folder(), protected.to_owned())
    }

    /// A GET of this target, byte for byte.
    pub(crate) fn get(&self, target: impl Into<String>) -> Request {
        Request::get(target, &self.target.host)
    }

    /// A GET of something public.
    pub(crate) fn public(&self) -> Request {
        self.get(self.marked(&format!("{}x", self.target.public_folder())))
    }

    /// A POST to something public.
    pub(crate) fn post(&self) -> Request {
        self.public().method("POST")
    }

    /// A GET of the protected path, without a session.
    pub(crate) fn protected(&self) -> Request {
        self.get(self.marked(self.target.protected()))
    }

    /// The same with the session.
    pub(crate) fn with_session(&self, request: Request) -> Request {
        match &self.target.cookie {
            Some(cookie) => request.line(format!("Cookie: {cookie}")),
            None => request,
        }
    }

    /// A request for something protected, to be hidden where a request has no place.
    pub(crate) fn hidden(&self) -> String {
        self.hidden_at(self.target.protected())
    }

    pub(crate) fn hidden_at(&self, folder: &str) -> String {
        let folder = folder.trim_end_matches('/');
        let request = self.get(format!("{folder}/smug-{}", self.token));
        request.line(self.forged_line()).text()
    }

    /// Name and value of the session cookie, or what could be one.
    pub(crate) fn cookie(&self) -> (&str, &str) {
        let parts = self.target.cookie_parts();
        parts.unwrap_or(("session", "AAAA.AAAA.AAAA.AAAA.AAAA"))
    }

    /// Sends one request and waits for its answer.
    pub(crate) fn send(&self, request: impl Into<String>) -> Exchange {
        self.perform(&self.sending(request))
    }

    /// What [`Probe::send`] sends, to be changed before.
    pub(crate) fn sending(&self, request: impl Into<String>) -> Sending<'a> {
        Sending::new(request, self.target.timeout)
    }

    pub(crate) fn perform(&self, sending: &Sending<'_>) -> Exchange {
        self.forget();
        let exchange = sending.send(self.target.proxy);
        thread::sleep(SETTLING);
        exchange
    }

    /// Answers every request of this case in this way from now on.
    pub(crate) fn reply(&self, reply: Reply) {
        self.recorder.reply(&self.token, reply);
    }

    /// Looks only at what comes from now on.
    pub(crate) fn forget(&self) {
        self.before.store(self.recorder.count(), Ordering::Relaxed);
    }

    /// What the upstream saw of the last exchange: what holds this case's token, or no token at all.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = self.recorder.since(self.before.load(Ordering::Relaxed));
        records.retain(|record| {
            let raw = record.raw();
            let mut found = tokens(&raw).peekable();
            found.peek().is_none() || found.any(|token| token == self.token)
        });
        records
    }

    /// What arrived of this case, where other cases run beside it.
    pub(crate) fn arrived_with_token(&self) -> Vec<Record> {
        let mut records = self.arrived();
        records.retain(|record| record.raw().contains(&self.token));
        records
    }

    /// Those of them that an upstream would act on.
    pub(crate) fn arrived(&self) -> Vec<Record> {
        let mut records = self.records();
        records.retain(|record| record.complete || record.garbage);
        records
    }
}

/// How long what a gateway lets through may need to arrive after it has answered.
const SETTLING: Duration = Duration::from_millis(10);
