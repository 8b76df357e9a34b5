//! `sessiongate demo`: the whole arrangement in one process, with nothing to install.
//!
//! A sample app signs people in and shows what reaches it, its users live in an SQLite database in memory, and the
//! gate stands in front of it, configured and run as `sessiongate serve` would be. Nothing here is on any other path.

mod app;
mod pages;
mod people;
mod received;
mod sessions;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use session::Secret;

use crate::config::{ConfigSource, Variables};
use crate::output;
use crate::random;
use crate::serve::{self, Bound};
use crate::socket::Address;
use people::{PEOPLE, People};
use sessions::Sessions;

/// Runs the demo until it is told to stop. Of the environment it takes only [`OVERRIDABLE`], so that settings meant for
/// another gate cannot change it.
pub(crate) fn run(environment: &Variables) -> anyhow::Result<()> {
    let secret = random::hex::<32>()?;
    let sessions = Sessions::new(Secret::new(secret.clone()))?;
    let upstream = app::start(sessions.clone()).context("the sample app did not start")?;
    let variables = variables(upstream, secret, environment);
    let mut source = ConfigSource::new(None, variables);
    let config = source.read()?;
    let cookie = sessions.issue(&PEOPLE[0])?;
    serve::run(source, config, |bound| {
        // A terminal that went away, or does not read, is no reason to stop.
        output::say(io::stdout(), banner(bound, &cookie), BANNER);
    })
}

/// What `sessiongate serve` would be given for the same arrangement.
fn variables(upstream: SocketAddr, secret: String, environment: &Variables) -> Variables {
    let ours = [
        ("ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("AUTH_SECRET", secret),
        ("DATABASE_URL", People::URL.to_owned()),
        ("ENABLE_DB_CHECK", "true".to_owned()),
        ("LISTEN", "127.0.0.1:8080".to_owned()),
        ("LOG_FORMAT", "text".to_owned()),
        ("PUBLIC_PATHS", app::PUBLIC_PATHS.to_owned()),
        ("SIGN_IN_URL", app::SIGN_IN.to_owned()),
        ("UPSTREAM", format!("http://{upstream}")),
        // Every request asks the database, so that a deleted user is refused on the very next one.
        ("ABSENT_CACHE_TTL", "0".to_owned()),
        ("MEMORY_CACHE_TTL", "0".to_owned()),
    ];
    let theirs = OVERRIDABLE
        .iter()
        .filter_map(|name| Some((*name, environment.get(name)?.to_owned())));
    Variables::default().with(ours).with(theirs)
}

/// Settings that a person who tries the demo may want to change.
const OVERRIDABLE: [&str; 3] = ["ADMIN_LISTEN", "LISTEN", "LOG_FORMAT"];

fn banner(bound: &Bound, cookie: &str) -> String {
    let proxy = bound.proxy.as_ref().expect("the demo has an upstream");
    let url = format!("http://{}/", reachable(proxy));
    let metrics = format!("http://{}/metrics", reachable(&Address::Tcp(bound.admin)));
    let name = PEOPLE[0].name;
    format!(
        "\n\
         sessiongate demo: a sample app, three users, and the gate in front of them.\n\
         \n\
         Open in a browser:      {url}\n\
         Watch the counters:     {metrics}\n\
         \n\
         Enter as {name}:\n\
         \n\
         \x20 curl -b '{cookie}' {url}\n\
         \n\
         Be refused:\n\
         \n\
         \x20 curl -i {url}\n\
         \n\
         Everything lives in memory and is gone after Ctrl-C. From here on, one line per decision.\n\
         \n"
    )
}

/// Where a browser on this machine finds a listener, also one that listens everywhere.
fn reachable(bound: &Address) -> Address {
    match bound {
        Address::Tcp(address) if address.ip().is_unspecified() => {
            Address::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()))
        }
        Address::Tcp(_) | Address::Unix { .. } => bound.clone(),
    }
}

/// How long the banner may take.
const BANNER: Duration = Duration::from_millis(500);
