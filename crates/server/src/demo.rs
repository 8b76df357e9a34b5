//! `sessiongate demo`: gate, services and database in one process, with nothing to install.
//!
//! Three services show the requests that they receive, and one of them signs users in as an app with Auth.js would. Their users
//! are in an SQLite database in memory. The gate in front of them is configured by [`FILE`] and runs as with `sessiongate serve`.
//! No other command uses this code.

mod app;
mod area;
mod file;
mod form;
mod pages;
mod people;
mod received;
mod refusals;
mod sessions;
mod words;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use session::Secret;

use crate::audit;
use crate::config::{ConfigSource, Variables};
use crate::handover::Inherited;
use crate::listener::Address;
use crate::output;
use crate::random;
use crate::serve::{self, Bound};
use app::DemoServices;
use file::FILE;
use people::{PEOPLE, People};
use refusals::LastRefusal;
use sessions::DemoSessions;

/// Runs the demo until it is asked to stop, or its terminal closes. From the environment it reads only [`OVERRIDABLE`], so that
/// settings meant for another gate cannot change it.
pub(crate) fn run(environment: &Variables) -> anyhow::Result<()> {
    let secret = random::hex::<32>()?;
    let sessions = DemoSessions::new(Secret::new(secret.clone()))?;
    let refusals = Arc::new(LastRefusal::default());
    let noting = Arc::clone(&refusals);
    audit::watch(move |entry| noting.record(entry));
    let services = app::start(sessions.clone(), Arc::clone(&refusals))
        .context("the services of the demo did not start")?;
    let variables = variables(&services, secret, environment);
    let mut source = ConfigSource::of_text("sessiongate.toml", FILE, variables);
    let config = source.read()?;
    let [ada, kofi] = [sessions.issue(&PEOPLE[0])?, sessions.issue(&PEOPLE[1])?];
    serve::run(source, config, Inherited::default(), |bound| {
        refusals.set_admin_address(bound.admin);
        // A terminal that has closed, or is not read, does not prevent the start.
        output::write_within(io::stdout(), banner(bound, &ada, &kofi), BANNER);
    })
}

/// The variables that complete the file: those that it refers to, and [`OVERRIDABLE`] from the environment.
fn variables(services: &DemoServices, secret: String, environment: &Variables) -> Variables {
    let url = |address: SocketAddr| format!("http://{address}");
    let ours = [
        ("ADMIN_SERVICE", url(services.admin)),
        ("AUTH_SECRET", secret),
        ("DATABASE_URL", People::URL.to_owned()),
        ("MEMBERS_SERVICE", url(services.members)),
        ("PUBLIC_SERVICE", url(services.public)),
    ];
    let theirs = OVERRIDABLE
        .iter()
        .filter_map(|name| Some((*name, environment.get(name)?.to_owned())));
    Variables::default().with(ours).with(theirs)
}

/// Settings that a user of the demo may want to change.
const OVERRIDABLE: [&str; 3] = ["ADMIN_LISTEN", "LISTEN", "LOG_FORMAT"];

fn banner(bound: &Bound, ada: &str, kofi: &str) -> String {
    let proxy = bound.listeners.first().expect("the demo has services");
    let url = format!("http://{}", reachable(&proxy.address));
    let metrics = format!("http://{}/metrics", reachable(&Address::Tcp(bound.admin)));
    let people = PEOPLE.len();
    format!(
        "\n\
         sessiongate demo: one gate in front of three services, with {people} users.\n\
         \n\
         Open in a browser:      {url}/\n\
         The file behind it:     {url}/sessiongate.toml\n\
         Watch the counters:     {metrics}\n\
         \n\
         Or stay in the shell. Two sessions, one of an admin and one of a member:\n\
         \n\
         \x20 ada='{ada}'\n\
         \x20 kofi='{kofi}'\n\
         \n\
         \x20 curl -b \"$kofi\" {url}/members/     # enters\n\
         \x20 curl -i -b \"$kofi\" {url}/admin/    # is refused\n\
         \x20 curl {url}/refusal                 # says why\n\
         \x20 curl -b \"$ada\" {url}/admin/        # enters\n\
         \n\
         Everything lives in memory and is gone after Ctrl-C. From here on, one line per decision.\n\
         \n"
    )
}

/// The address at which a browser on this machine reaches a listener, even one on all addresses.
fn reachable(bound: &Address) -> Address {
    match bound {
        Address::Tcp(address) if address.ip().is_unspecified() => {
            Address::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()))
        }
        Address::Tcp(_) | Address::Unix { .. } => bound.clone(),
    }
}

/// How long writing the banner may take.
const BANNER: Duration = Duration::from_millis(500);
