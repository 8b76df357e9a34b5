//! Columns and memberships that the real Better Auth writes, in tables that it creates itself.

use harness::interop::{BetterAuth, SignedIn};
use serde_json::{Value, json};

use super::columns::{moment, roles, settings_reading, value};
use super::sessions::token;
use super::*;

/// Sends a request to the app as a user who may send it.
async fn ask(user: &mut SignedIn, endpoint: &str, body: Value) -> Value {
    let answer = user
        .browser
        .post_json(&format!("/api/auth/{endpoint}"), &body)
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{endpoint}: {}", answer.text());
    answer.json().unwrap()
}

#[tokio::test]
async fn bans_roles_and_memberships_of_better_auth_are_read_with_the_session() {
    let server = Postgres::start().await.unwrap();
    let url = server.url(Postgres::DATABASE);
    let app = BetterAuth::start([
        ("BETTER_AUTH_SECRET", BetterAuth::SECRET),
        ("DATABASE_URL", &url),
        ("PLUGINS", "admin,organization"),
    ])
    .await
    .unwrap();
    let mut admin = app.sign_up("admin").await.unwrap();
    let mut ada = app.sign_up("ada").await.unwrap();
    let mut bob = app.sign_up("bob").await.unwrap();
    let session = app.session(&bob.browser.cookies()).await.unwrap();
    let token = token(session["session"]["token"].as_str().unwrap());

    let columns = [
        value("role"),
        value("banned"),
        moment("banExpires"),
        roles(),
    ];
    let (node, _) = open(settings_reading(postgres_at(&url), columns));
    node.0.check_columns().await.unwrap();
    let of_bob = async || {
        let known = node.look_up(&token).await.unwrap().found.unwrap();
        known.user.columns().to_vec()
    };
    assert_eq!(
        of_bob().await,
        [json!("user"), json!(false), json!(null), json!({})]
    );

    let mut organizations = Vec::new();
    for name in ["acme", "globex"] {
        let body = json!({ "name": name, "slug": name });
        let made = ask(&mut ada, "organization/create", body).await;
        organizations.push(made["id"].as_str().unwrap().to_owned());
        let body = json!({ "email": bob.email, "role": "member", "organizationId": made["id"] });
        let invitation = ask(&mut ada, "organization/invite-member", body).await;
        let body = json!({ "invitationId": invitation["id"] });
        ask(&mut bob, "organization/accept-invitation", body).await;
    }
    let [acme, globex] = &organizations[..] else {
        panic!("two organizations");
    };
    assert_eq!(
        of_bob().await[3],
        json!({ acme: "member", globex: "member" })
    );
    let known = node.find(&ada.id).await.unwrap().found.unwrap();
    assert_eq!(
        known.columns()[3],
        json!({ acme: "owner", globex: "owner" })
    );

    // The subquery uses an index.
    let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'member' AND indexdef LIKE '%(\"userId\")%'";
    assert_eq!(server.execute(indexes).await.unwrap().trim(), "1");

    let members = "SELECT id FROM member WHERE role = 'member' ORDER BY \"organizationId\" = '";
    let member = server
        .execute(&format!("{members}{acme}' DESC LIMIT 1"))
        .await
        .unwrap();
    let body =
        json!({ "memberId": member.trim(), "role": ["admin", "member"], "organizationId": acme });
    ask(&mut ada, "organization/update-member-role", body).await;
    let body = json!({ "userId": bob.id, "role": ["admin", "user"] });
    ask(&mut admin, "admin/set-role", body).await;
    let now = clock::now().millis();
    let body = json!({ "userId": ada.id, "banExpiresIn": 3600 });
    ask(&mut admin, "admin/ban-user", body).await;

    let found = of_bob().await;
    assert_eq!(found[0], json!("admin,user"));
    assert_eq!(found[3], json!({ acme: "admin,member", globex: "member" }));
    let banned = node.find(&ada.id).await.unwrap().found.unwrap();
    assert_eq!(banned.columns()[1], json!(true));
    let until = banned.columns()[2].as_u64().unwrap();
    assert!(
        (now + 3_590_000..now + 3_700_000).contains(&until),
        "{until}"
    );
}
