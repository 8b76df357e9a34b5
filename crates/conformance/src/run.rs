//! Runs all cases against a gateway.

use std::io;
use std::net::SocketAddr;
use std::thread;

use thiserror::Error;

use crate::case::{Case, Level};
use crate::cases;
use crate::clock::now;
use crate::http2;
use crate::judgment::{Finding, Judgment};
use crate::probe::Probe;
use crate::recorder::Recorder;
use crate::report::{Outcome, Report, Row};
use crate::target::Target;

/// Why no case could run.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The recorder cannot listen on the upstream's address.
    #[error("cannot listen on {address}, where the gateway expects its upstream: {source}")]
    Listen {
        /// The upstream's address.
        address: SocketAddr,
        /// The error.
        source: io::Error,
    },
    /// An address that is not on this machine, without consent.
    #[error(
        "{0} is not on this machine; only test gateways that you are allowed to test, and confirm that with \
         --i-am-allowed-to-test-this-gateway"
    )]
    NotLocal(SocketAddr),
    /// The public path is not public, or not forwarded to the recorder.
    #[error(
        "GET {path} must be forwarded to {upstream} without a session, but the gateway answers with {answer}; \
         check that this is its upstream, and that the path is public"
    )]
    NotPublic {
        /// The path of the request.
        path: String,
        /// The address on which the recorder listens.
        upstream: SocketAddr,
        /// The gateway's answer.
        answer: String,
    },
    /// The session does not open the protected path.
    #[error(
        "GET {path} must be forwarded with the cookie of --valid-cookie, but the gateway answers with {answer}; \
         is the session still valid?"
    )]
    NotValid {
        /// The path of the request.
        path: String,
        /// The gateway's answer.
        answer: String,
    },
}

/// Returns all cases, in the order in which they are reported.
pub fn catalogue() -> Vec<Case> {
    cases::all()
}

/// Runs every case that `selects` accepts, and passes each result to `progress`.
///
/// # Errors
/// [`SetupError`] when no case can run.
pub fn run(
    target: &Target,
    selects: impl Fn(&Case) -> bool,
    mut progress: impl FnMut(&Row),
) -> Result<Report, SetupError> {
    if let Some(address) = target.remote_address() {
        return Err(SetupError::NotLocal(address));
    }
    let recorder = Recorder::start(target.upstream).map_err(|source| SetupError::Listen {
        address: target.upstream,
        source,
    })?;
    check_setup(target, &recorder)?;
    let accepts_http2 = http2::accepts_http2(target.http2.unwrap_or(target.proxy), target.timeout);
    let cases: Vec<_> = cases::all().into_iter().filter(selects).collect();
    let reason = |case: &Case| reason_to_skip(case, target, accepts_http2);

    let mut rows = thread::scope(|scope| {
        // These cases wait for the gateway's timeout, all at the same time.
        let waiting = cases
            .iter()
            .filter(|case| case.needs.slow_limit && reason(case).is_none());
        let waiting: Vec<_> = waiting
            .map(|case| (case, scope.spawn(|| run_case(case, target, &recorder))))
            .collect();
        let mut rows = Vec::new();
        for case in cases.iter().filter(|case| !case.needs.last) {
            let row = match reason(case) {
                Some(outcome) => Row::new(case, outcome),
                None if case.needs.slow_limit => continue,
                None => run_case(case, target, &recorder),
            };
            progress(&row);
            rows.push(row);
        }
        for (case, thread) in waiting {
            let failed = |_| Row::new(case, Outcome::Fails("the case panicked".to_owned()));
            let row = thread.join().unwrap_or_else(failed);
            progress(&row);
            rows.push(row);
        }
        rows
    });
    for case in cases.iter().filter(|case| case.needs.last) {
        let row = run_case(case, target, &recorder);
        progress(&row);
        rows.push(row);
    }
    rows.sort_by_key(|row| cases.iter().position(|case| case.id == row.case.id));
    Ok(Report { rows })
}

fn run_case(case: &Case, target: &Target, recorder: &Recorder) -> Row {
    let start = now();
    let judgment = (case.run)(&Probe::new(target, recorder));
    Row {
        took: now().duration_since(start),
        ..Row::new(case, outcome(case, judgment))
    }
}

fn outcome(case: &Case, judgment: Judgment) -> Outcome {
    match (judgment, case.level) {
        (Ok(why), _) => Outcome::Holds(why),
        (Err(Finding::Broken(why)), Level::Must) => Outcome::Fails(why),
        (Err(Finding::Broken(why)), Level::Should) | (Err(Finding::Weak(why)), _) => {
            Outcome::Weak(why)
        }
    }
}

fn reason_to_skip(case: &Case, target: &Target, accepts_http2: bool) -> Option<Outcome> {
    if let Some(reason) = target.profile.exemption(case.id) {
        return Some(Outcome::NotApplicable(reason.to_owned()));
    }
    let missing = [
        (
            case.needs.session && target.cookie.is_none(),
            "needs --valid-cookie",
        ),
        (
            case.needs.check && target.check.is_none(),
            "needs --check-url",
        ),
        (
            case.needs.slow_limit && target.slow_limit.is_none(),
            "needs --slow-limit",
        ),
        (
            case.needs.http2 && !accepts_http2,
            "no listener for cleartext HTTP/2",
        ),
    ];
    let missing = missing.into_iter().find(|(missing, _)| *missing);
    missing.map(|(_, reason)| Outcome::NotRun(reason.to_owned()))
}

/// Checks the public path and the session, without which no result would mean anything.
fn check_setup(target: &Target, recorder: &Recorder) -> Result<(), SetupError> {
    let probe = Probe::new(target, recorder);
    let exchange = probe.send(probe.public());
    if !exchange.permits() || probe.arrived().len() != 1 {
        return Err(SetupError::NotPublic {
            path: target.public_folder() + "x",
            upstream: target.upstream,
            answer: exchange.to_string(),
        });
    }
    if target.cookie.is_none() {
        return Ok(());
    }
    let exchange = probe.send(probe.with_session(probe.protected()));
    if !exchange.permits() || probe.arrived().len() != 1 {
        return Err(SetupError::NotValid {
            path: target.protected().to_owned(),
            answer: exchange.to_string(),
        });
    }
    Ok(())
}
