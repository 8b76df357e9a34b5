//! Judgements that many cases share.

use super::Probe;
use crate::client::{Exchange, Sending};
use crate::judgment::{Judgment, Rejection, broken, weak};
use crate::latin::{excerpt, folded};
use crate::readings::may_be;
use crate::recorder::Record;
use crate::request::Request;

impl Probe<'_> {
    /// Checks that a request is refused, and nothing arrives.
    pub(crate) fn refused(&self, request: impl Into<String>, how: Rejection) -> Judgment {
        let mut sending = self.sending(request);
        sending.expects_close = how == Rejection::Closing;
        let exchange = self.perform(&sending);
        self.judge_refused(&exchange, how)
    }

    pub(crate) fn judge_refused(&self, exchange: &Exchange, how: Rejection) -> Judgment {
        let records = self.records();
        let arrived: Vec<_> = processed(&records).collect();
        check_not_forwarded(&records)?;
        self.smuggled(&records)?;
        if arrived.is_empty() && matches!(exchange.status(), 500 | 502 | 503) && exchange.closed {
            return weak(format!(
                "nothing arrived, but the client's error is answered with {exchange}"
            ));
        }
        if let Some(first) = arrived.first() {
            let anomalies = first.anomalies.join("; ");
            return broken(format!(
                "reached the upstream: {} {anomalies}",
                first.brief()
            ));
        }
        if exchange.answers.is_empty() {
            return match (exchange.closed, exchange.timed_out) {
                (true, _) => Ok(exchange.to_string()),
                (false, _) => broken(format!("the gateway hangs: {exchange}")),
            };
        }
        if !exchange.refuses() {
            return broken(format!("not refused: {exchange}"));
        }
        if how == Rejection::Closing && !exchange.closed {
            return broken(format!(
                "refused, but the connection stays open: {exchange}"
            ));
        }
        Ok(exchange.to_string())
    }

    /// Checks that a request is refused and the connection closed, or arrives as one canonical request with this body.
    pub(crate) fn refused_or_canonical(&self, request: impl Into<String>, body: &str) -> Judgment {
        let mut sending = self.sending(request);
        sending.expects_close = true;
        self.judge_refused_or_canonical(&sending, body, Rejection::Closing)
    }

    /// Checks that a request is refused, or arrives as one canonical request with this body.
    pub(crate) fn refused_or_forwarded(&self, request: impl Into<String>, body: &str) -> Judgment {
        self.judge_refused_or_canonical(&self.sending(request), body, Rejection::Open)
    }

    pub(crate) fn judge_refused_or_canonical(
        &self,
        sending: &Sending<'_>,
        body: &str,
        how: Rejection,
    ) -> Judgment {
        let exchange = self.perform(sending);
        let records = self.records();
        check_not_forwarded(&records)?;
        match processed(&records).next() {
            Some(_) => self.canonical(&exchange, Some(body)),
            None => self.judge_refused(&exchange, how),
        }
    }

    /// Checks that a request was refused, or arrived as exactly one canonical request without a forged identity.
    pub(crate) fn canonical(&self, exchange: &Exchange, body: Option<&str>) -> Judgment {
        let records = self.records();
        self.smuggled(&records)?;
        self.unforged(&records)?;
        let arrived: Vec<_> = processed(&records).collect();
        let record = match arrived.as_slice() {
            [] => return not_forwarded(exchange),
            [record] => record,
            many => return broken(format!("{} requests arrived", many.len())),
        };
        if !record.anomalies.is_empty() {
            let anomalies = record.anomalies.join("; ");
            return broken(format!(
                "forwarded in a form that is not canonical: {anomalies}"
            ));
        }
        if body.is_some_and(|body| body != record.body) {
            let arrived = excerpt(&record.body, 60);
            return broken(format!("another body arrived: {arrived}"));
        }
        if exchange.status() >= 500 {
            return broken(format!("forwarded, but {exchange}"));
        }
        Ok(format!("one canonical request arrived; {exchange}"))
    }

    /// Checks that a request arrived as one canonical request.
    pub(crate) fn forwarded(&self, exchange: &Exchange, body: Option<&str>) -> Judgment {
        match self.arrived().is_empty() {
            true => broken(format!("nothing arrived: {exchange}")),
            false => self.canonical(exchange, body),
        }
    }

    /// Checks that a request without a session is denied, and nothing arrives.
    pub(crate) fn denied(&self, request: impl Into<String>) -> Judgment {
        let exchange = self.send(request);
        self.judge_denied(&exchange)
    }

    pub(crate) fn judge_denied(&self, exchange: &Exchange) -> Judgment {
        let records = self.records();
        self.smuggled(&records)?;
        if let Some(first) = records.first() {
            return broken(format!(
                "reached the upstream without a session: {}",
                first.brief()
            ));
        }
        match exchange.status() {
            0 if !exchange.closed => broken(format!("no answer: {exchange}")),
            0 | 300..=499 | 501 | 505 => Ok(exchange.to_string()),
            500.. => weak(format!("nothing arrived, but the answer is {exchange}")),
            _ => broken(format!("no session, but {exchange}")),
        }
    }

    /// Checks that a request is denied, or enters as the right user.
    pub(crate) fn denied_or_identified(&self, request: Request) -> Judgment {
        let exchange = self.send(request);
        match self.arrived().is_empty() {
            true => self.judge_denied(&exchange),
            false => {
                self.canonical(&exchange, None)?;
                self.identified()
            }
        }
    }

    /// Checks that what arrived carries the right identity, exactly once.
    pub(crate) fn identified(&self) -> Judgment {
        let arrived = self.arrived();
        if arrived.is_empty() {
            return broken("nothing arrived");
        }
        for record in &arrived {
            let matching = self.identity_of(record);
            let [value] = matching.as_slice() else {
                return broken(format!("{} identity headers arrived", matching.len()));
            };
            let expected = self.target.user.as_deref();
            if expected.is_some_and(|expected| expected != *value) || value.contains(&self.forged())
            {
                let value = excerpt(value, 60);
                return broken(format!("another identity arrived: {value}"));
            }
        }
        Ok("the identity arrived once".to_owned())
    }

    /// Returns the values of all headers that a service may read as the one that names the user.
    pub(crate) fn identity_of<'r>(&self, record: &'r Record) -> Vec<&'r str> {
        let wanted = folded(self.identity_name());
        let fields = record.fields.iter();
        let matching = fields.filter(|(name, _)| folded(name) == wanted);
        matching.map(|(_, value)| value.as_str()).collect()
    }

    /// Checks that what arrived names no user.
    pub(crate) fn anonymous(&self) -> Judgment {
        let owned: Vec<_> = self
            .target
            .identity_headers
            .iter()
            .map(|name| folded(name))
            .collect();
        for record in self.records() {
            let matching = record.fields.iter();
            let mut matching =
                matching.filter(|(name, value)| owned.contains(&folded(name)) && !value.is_empty());
            if let Some((name, value)) = matching.next() {
                let value = excerpt(value, 40);
                return broken(format!("without a session {name}: {value} arrived"));
            }
        }
        Ok("no identity arrived".to_owned())
    }

    /// Checks that these header lines forge nothing, on a public path and, with a session, on the protected path.
    pub(crate) fn stripped<S: AsRef<str>>(&self, lines: &[S]) -> Judgment {
        let exchange = self.send(self.public().lines(lines));
        self.canonical(&exchange, None)?;
        self.anonymous()?;
        if self.target.cookie.is_none() {
            return Ok(exchange.to_string());
        }
        let exchange = self.send(self.with_session(self.protected()).lines(lines));
        self.canonical(&exchange, None)?;
        if !self.arrived().is_empty() {
            self.identified()?;
        }
        Ok(exchange.to_string())
    }

    /// Checks that none of these headers arrived with the value that the client chose.
    pub(crate) fn not_chosen(&self, names: &[&str]) -> Judgment {
        let wanted: Vec<_> = names.iter().map(|name| folded(name)).collect();
        let forged = self.forged();
        for record in self.records() {
            let mut fields = record.fields.iter();
            let chosen = fields
                .find(|(name, value)| wanted.contains(&folded(name)) && value.contains(&forged));
            if let Some((name, _)) = chosen {
                return broken(format!("{name} arrived as the client wrote it"));
            }
        }
        Ok("none arrived as the client wrote it".to_owned())
    }

    /// Checks that none of these headers arrived.
    pub(crate) fn absent(&self, names: &[&str]) -> Judgment {
        for record in self.arrived() {
            let present = names.iter().find(|name| !record.all(name).is_empty());
            if let Some(name) = present {
                return broken(format!("{name} arrived"));
            }
        }
        Ok("removed".to_owned())
    }

    /// Checks that nothing arrives without a session that an upstream could read as the protected path.
    pub(crate) fn path(&self, path: &str) -> Judgment {
        let exchange = self.send(self.get(self.marked(path)));
        for record in self.arrived() {
            if let Some(reading) = may_be(&record.target, self.target.protected()) {
                let target = excerpt(&record.target, 60);
                return broken(format!(
                    "forwarded without a session as {target}, which may be read as {}",
                    excerpt(&reading, 40)
                ));
            }
        }
        self.canonical(&exchange, None)
    }

    /// Checks that no hidden request arrived.
    pub(crate) fn smuggled(&self, records: &[Record]) -> Judgment {
        let mark = format!("smug-{}", self.token);
        for record in records {
            let first = record.head.split("\r\n").next().unwrap_or_default();
            if record.target.contains(&format!("/{mark}"))
                || (record.number > 0 && first.contains(&mark))
            {
                return broken(format!("a hidden request arrived: {}", record.brief()));
            }
            if record.garbage {
                return broken(format!("garbage arrived: {}", excerpt(&record.head, 60)));
            }
        }
        Ok("nothing hidden arrived".to_owned())
    }

    /// Checks that no forged identity arrived, in any spelling, or in a line that a laxer upstream would read.
    fn unforged(&self, records: &[Record]) -> Judgment {
        let owned: Vec<_> = self
            .target
            .identity_headers
            .iter()
            .map(|name| folded(name))
            .collect();
        let forged = self.forged();
        for record in records {
            let mut fields = record.fields.iter();
            let found = fields
                .find(|(name, value)| owned.contains(&folded(name)) && value.contains(&forged));
            if let Some((name, _)) = found {
                return broken(format!("a forged {name} arrived"));
            }
            let raw = format!("{}{}", record.head, record.raw_body);
            let forged_line = raw.split(['\r', '\n']).find(|line| {
                let (name, value) = line.split_once(':').unwrap_or_default();
                owned.contains(&folded(name)) && value.contains(&forged)
            });
            if let Some(line) = forged_line.filter(|_| !record.anomalies.is_empty()) {
                return broken(format!("a forged line arrived: {}", excerpt(line, 60)));
            }
        }
        Ok("nothing forged arrived".to_owned())
    }
}

fn processed(records: &[Record]) -> impl Iterator<Item = &Record> {
    records
        .iter()
        .filter(|record| record.complete || record.garbage)
}

/// Checks that malformed framing was not forwarded to the upstream, even if the exchange failed later.
fn check_not_forwarded(records: &[Record]) -> Judgment {
    let malformed = |record: &&Record| !record.complete && !record.anomalies.is_empty();
    match records.iter().find(malformed) {
        Some(record) => broken(format!(
            "malformed framing was passed on: {}",
            record.anomalies.join("; ")
        )),
        None => Ok("nothing malformed was passed on".to_owned()),
    }
}

fn not_forwarded(exchange: &Exchange) -> Judgment {
    match exchange.status() {
        0 if !exchange.closed => broken(format!("the gateway hangs: {exchange}")),
        0 | 300..=499 | 501 | 505 => Ok(format!("refused: {exchange}")),
        _ => broken(format!("not forwarded, but {exchange}")),
    }
}
