//! Tests that every case finds something: without a gateway in front of the recorder, all cases fail except those that only
//! demand that a request or an answer arrives.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use conformance::{Outcome, Profile, SetupError, Target, run};

#[test]
fn without_a_gateway_every_case_that_needs_one_fails() {
    let mut target = target();
    target.cookie = Some("session=a.b.c.d.e".to_owned());
    target.user = Some("ada".to_owned());
    // Cases that wait for the end of a connection wait in vain.
    target.timeout = Duration::from_millis(200);
    let report = run(&target, |_| true, |_| ()).unwrap();
    assert!(report.fails(false));
    let holds = |outcome: &Outcome| matches!(outcome, Outcome::Holds(_));
    let held = report.rows.iter().filter(|row| holds(&row.outcome));
    let unexpected: Vec<_> = held
        .filter(|row| !ONLY_ARRIVE.contains(&row.case.id))
        .map(|row| row.line())
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

#[test]
fn a_remote_gateway_is_tested_only_with_consent() {
    let mut target = target();
    target.proxy = ([192, 0, 2, 1], 80).into();
    let refused = run(&target, |_| true, |_| ()).unwrap_err();
    assert!(matches!(refused, SetupError::NotLocal(_)), "{refused}");
}

#[test]
fn a_gateway_that_does_not_forward_is_not_judged() {
    let mut target = target();
    target.proxy = free();
    let refused = run(&target, |_| true, |_| ()).unwrap_err();
    assert!(matches!(refused, SetupError::NotPublic { .. }), "{refused}");
}

/// Describes the recorder itself as the gateway under test.
fn target() -> Target {
    let recorder = free();
    let profile = Profile::named("sessiongate").expect("it exists");
    Target::new(profile, recorder, recorder)
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// Cases in which legitimate requests arrive unchanged, or truncated answers reach the client as such.
const ONLY_ARRIVE: &[&str] = &[
    "CK14", "FR16", "FR32", "FR33", "HD16", "HO03", "PA15", "PA17", "PA18", "RL14", "RS01", "SL08",
    "SL09",
];
