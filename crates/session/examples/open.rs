//! Opens the session in the value of a `Cookie` header, and prints its claims:
//!
//! ```sh
//! AUTH_SECRET='the secret of your app' \
//!     cargo run -p sessiongate-session --example open -- 'authjs.session-token=eyJhbGciOiJkaXIi…'
//! ```

use std::env;
use std::error::Error;
use std::time::SystemTime;

use session::{ClaimDemands, KeyRing, Opened, SealedSession, Secret, SessionCookie, UnixTime};

#[expect(
    clippy::disallowed_methods,
    reason = "a program reads its settings itself; the library takes them as arguments"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::new(env::var("AUTH_SECRET")?);
    let cookie = env::args()
        .nth(1)
        .ok_or("give the value of a Cookie header")?;
    let keys = KeyRing::new(&[secret], SessionCookie::defaults().into())?;
    let now = UnixTime::from_secs(SystemTime::UNIX_EPOCH.elapsed()?.as_secs());

    let sealed = SealedSession::find(&keys, [cookie.as_bytes()], [])?;
    let sealed = sealed.ok_or("none of these cookies is a session cookie")?;
    match sealed.open(&keys, &ClaimDemands::default(), now)? {
        Opened::Session(session) => println!("{}", session.claims_json()),
        Opened::Lookup { token, .. } => {
            println!("ask the app's database for session {}", token.id());
        }
    }
    Ok(())
}
