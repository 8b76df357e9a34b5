//! What a rule demands of a user with a session.

use std::time::Duration;

use gate::{Access, Condition, Scalar, Test, TestKind};
use http::Method;
use serde_json::json;

use crate::world::{
    DELETED, ROLES, TEAM, TRIAL_ENDS, TestRequest, Who, claim, column, gate, issued, issuer, route,
    test, text,
};

#[test]
fn every_requirement_has_its_outcome() {
    use Condition::{All, Any};
    use TestKind::*;
    let of_claim = |path: &str, kind| Condition::Claim(claim(path), test(kind));
    let of_column = |index, kind| Condition::Column(column(index), test(kind));
    let listed = |index, wanted: &str| {
        let kind = Contains(vec![text(wanted)]);
        let separator = Some(",".into());
        Condition::Column(column(index), Test { kind, separator })
    };
    let admin = || of_claim("role", Equals(text("admin")));
    let guest = || of_claim("role", Equals(text("guest")));
    let role = |role: &str| Condition::OrganizationRole {
        active: claim("activeOrganizationId"),
        roles: column(ROLES),
        one_of: vec![role.into()],
    };
    let not = |condition| Condition::Not(Box::new(condition));
    let network = |text: &str| Condition::Network(vec![text.parse().unwrap()]);
    let age = |seconds| Condition::MaxAge(Duration::from_secs(seconds));
    let methods = |method| Condition::Methods(vec![method]);
    let (met, unmet, odd) = ("session", "rule_denied Forbid", "rule_incomparable Forbid");
    for (condition, who, outcome) in [
        (Condition::ALWAYS, Who::Anonymous, "no_credential SignIn"),
        (admin(), Who::Anonymous, "no_credential SignIn"),
        (admin(), Who::Eve, "user_disabled Forbid"),
        (admin(), Who::Ada, met),
        (admin(), Who::AdaBearer, met),
        (guest(), Who::Ada, unmet),
        (admin(), Who::Odd, odd),
        (not(guest()), Who::Ada, met),
        (not(admin()), Who::Ada, unmet),
        (not(admin()), Who::Odd, odd),
        (All(vec![admin(), guest()]), Who::Ada, unmet),
        (All(vec![admin(), not(guest())]), Who::Ada, met),
        (Any(vec![guest(), admin()]), Who::Ada, met),
        (Any(vec![guest(), guest()]), Who::Ada, unmet),
        (Any(vec![]), Who::Ada, unmet),
        (
            of_claim("org.plan", OneOf(vec![text("team")])),
            Who::Ada,
            met,
        ),
        (
            of_claim("org.plan", OneOf(vec![text("free")])),
            Who::Ada,
            unmet,
        ),
        (
            of_claim("groups", Contains(vec![text("staff")])),
            Who::Ada,
            met,
        ),
        (
            of_claim("groups", Contains(vec![text("root")])),
            Who::Ada,
            unmet,
        ),
        (
            of_claim("role", Contains(vec![text("admin")])),
            Who::Ada,
            odd,
        ),
        (of_claim("impersonatedBy", Present(false)), Who::Ada, met),
        (of_claim("role", Present(false)), Who::Ada, unmet),
        (listed(TEAM, "blue"), Who::Ada, met),
        (listed(TEAM, "blu"), Who::Ada, unmet),
        (of_column(TEAM, Contains(vec![text("blue")])), Who::Ada, odd),
        (of_column(TEAM, Equals(Scalar::Bool(true))), Who::Ada, odd),
        (of_column(DELETED, Empty(true)), Who::Ada, met),
        (of_column(TEAM, Empty(true)), Who::Ada, unmet),
        (of_column(TRIAL_ENDS, Future), Who::Ada, met),
        (of_column(TRIAL_ENDS, Past), Who::Ada, unmet),
        (of_column(TEAM, Past), Who::Ada, odd),
        (role("owner"), Who::Ada, met),
        (role("admin"), Who::Ada, unmet),
        (network("192.0.2.0/24"), Who::Ada, met),
        (network("10.0.0.0/8"), Who::Ada, unmet),
        (age(600), Who::Ada, met),
        (age(599), Who::Ada, unmet),
        (methods(Method::GET), Who::Ada, met),
        (methods(Method::POST), Who::Ada, unmet),
    ] {
        let label = format!("{condition:?} {who:?}");
        let gate = gate(vec![route("/", Access::Session(condition))], Vec::new());
        assert_eq!(
            TestRequest::get("/", who).outcome(&gate),
            outcome,
            "{label}"
        );
    }
    // A session without a time of issue could be old.
    let mut shop = route("/", Access::Session(age(600)));
    shop.route.realm = 1;
    let gate = gate(vec![shop], Vec::new());
    assert_eq!(TestRequest::get("/", Who::Shopper).outcome(&gate), unmet);
}

#[test]
fn demands_on_every_user_apply_without_a_lookup() {
    let mut shop = route("/", Access::ANY_SESSION);
    shop.route.realm = 1;
    let mut gate = gate(vec![shop], Vec::new());
    let role = TestKind::Equals(text("guest"));
    gate.realms[1].active = Condition::Not(Box::new(Condition::Claim(claim("role"), test(role))));
    for (check_user, role, outcome) in [
        (true, "guest", "user_disabled Forbid"),
        (false, "guest", "user_disabled Forbid"),
        (false, "admin", "session"),
    ] {
        gate.realms[1].issuer = Some(issuer(check_user));
        let bearer = format!("Bearer {}", issued("shopper", json!(role)));
        let request = TestRequest {
            headers: &[("authorization", &bearer)],
            ..TestRequest::get("/", Who::Anonymous)
        };
        assert_eq!(request.outcome(&gate), outcome, "{role}");
    }
}
