//! What a case works with: the gateway, the recorder, and its own token.

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
    /// A text in everything that this case sends, which identifies the case's records at the upstream.
    pub(crate) token: String,
    /// The number of records before the last exchange.
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

    /// Returns a forged value for an identity header.
    pub(crate) fn forged(&self) -> String {
        format!("evil-{}", self.token)
    }

    /// Returns the identity header that names the user.
    pub(crate) fn identity_name(&self) -> &str {
        let first = self.target.identity_headers.first();
        first.map_or("X-User-Id", String::as_str)
    }

    /// Returns a forged identity header.
    pub(crate) fn forged_line(&self) -> String {
        format!("{}: {}", self.identity_name(), self.forged())
    }

    /// Returns the path with a query that identifies the upstream's record as this case's.
    pub(crate) fn marked(&self, path: &str) -> String {
        let delimiter = if path.contains('?') { '&' } else { '?' };
        format!("{path}{delimiter}c={}", self.token)
    }

    /// Returns the public folder, `/public/`, and the protected path without its first slash, `private`.
    pub(crate) fn places(&self) -> (String, String) {
        let protected = self.target.protected();
        let protected = protected.strip_prefix('/').unwrap_or(protected);
        (self.target.public_folder(), protected.to_owned())
    }

    /// A GET of this target, byte for byte.
    pub(crate) fn get(&self, target: impl Into<String>) -> Request {
        Request::get(target, &self.target.host)
    }

    /// A GET of a public path.
    pub(crate) fn public(&self) -> Request {
        self.get(self.marked(&format!("{}x", self.target.public_folder())))
    }

    /// A POST to a public path.
    pub(crate) fn post(&self) -> Request {
        self.public().method("POST")
    }

    /// A GET of the protected path, without a session.
    pub(crate) fn protected(&self) -> Request {
        self.get(self.marked(self.target.protected()))
    }

    /// Adds the session cookie to a request.
    pub(crate) fn with_session(&self, request: Request) -> Request {
        match &self.target.cookie {
            Some(cookie) => request.line(format!("Cookie: {cookie}")),
            None => request,
        }
    }

    /// Returns a request for the protected path, to be hidden inside another one.
    pub(crate) fn hidden(&self) -> String {
        self.hidden_at(self.target.protected())
    }

    pub(crate) fn hidden_at(&self, folder: &str) -> String {
        let folder = folder.trim_end_matches('/');
        let request = self.get(format!("{folder}/smug-{}", self.token));
        request.line(self.forged_line()).text()
    }

    /// Returns the name and value of the session cookie, or made-up ones.
    pub(crate) fn cookie(&self) -> (&str, &str) {
        let parts = self.target.cookie_parts();
        parts.unwrap_or(("session", "AAAA.AAAA.AAAA.AAAA.AAAA"))
    }

    /// Sends one request and waits for its response.
    pub(crate) fn send(&self, request: impl Into<String>) -> Exchange {
        self.perform(&self.sending(request))
    }

    /// Prepares the exchange of [`Probe::send`], which the caller can adjust before it is sent.
    pub(crate) fn sending(&self, request: impl Into<String>) -> Sending<'a> {
        Sending::new(request, self.target.timeout)
    }

    pub(crate) fn perform(&self, sending: &Sending<'_>) -> Exchange {
        self.skip_records();
        let exchange = sending.send(self.target.proxy);
        thread::sleep(ARRIVAL_TIME);
        exchange
    }

    /// Sets how the upstream answers requests of this case.
    pub(crate) fn reply(&self, reply: Reply) {
        self.recorder.reply(&self.token, reply);
    }

    /// Ignores everything that has arrived so far.
    pub(crate) fn skip_records(&self) {
        self.before.store(self.recorder.count(), Ordering::Relaxed);
    }

    /// Returns what the upstream received in the last exchange: records with this case's token, or without any token.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records = self.recorder.since(self.before.load(Ordering::Relaxed));
        records.retain(|record| {
            let raw = record.raw();
            let mut found = tokens(&raw).peekable();
            found.peek().is_none() || found.any(|token| token == self.token)
        });
        records
    }

    /// Returns what arrived with this case's token, for cases that run in parallel with others.
    pub(crate) fn arrived_with_token(&self) -> Vec<Record> {
        let mut records = self.arrived();
        records.retain(|record| record.raw().contains(&self.token));
        records
    }

    /// Returns the records of the last exchange that an upstream would act on.
    pub(crate) fn arrived(&self) -> Vec<Record> {
        let mut records = self.records();
        records.retain(|record| record.complete || record.garbage);
        records
    }
}

/// How long a forwarded request may take to arrive after the gateway has answered.
const ARRIVAL_TIME: Duration = Duration::from_millis(10);
