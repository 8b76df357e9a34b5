//! The channel that announces changes in PostgreSQL (`LISTEN`), and how it proves that it is up.
//!
//! One connection listens. It may have to bypass a pooler that other connections go through: with transaction pooling,
//! `LISTEN` appears to succeed and nothing is received. So again and again, with a pause of [`PROOF_INTERVAL`], a second
//! connection, which takes the same route as lookups, sends a notification that the first must receive while it runs no
//! query. That also proves that both lead to the same database of the same server. A proof holds for [`PROOF_TTL`], so a dead
//! connection that looks open is noticed within 2.5 seconds.
//!
//! Changes that no trigger announces are found by checking the tables regularly: triggers that were dropped, partitions
//! that were detached, tables that were swapped.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::channel::{Channel, Invalidation, Publisher};
use super::super::hex;
use super::super::pools::Fingerprints;
use super::super::process::{Clock, Process, Trial};
use super::super::revocations::reload_soon;
use super::error::PostgresError;
use super::notifications::{NotificationReceiver, REVOCATIONS};
use super::own::text;
use super::server::{Connection, NotificationHandler, PostgresServer};
use super::triggers::{CHANNEL, ChangeTriggers, TriggerState};

/// The settings that a channel from PostgreSQL depends on.
#[derive(Clone, PartialEq)]
pub(in super::super) struct ChangesTarget {
    /// The server on which the channel listens.
    pub(in super::super) listen: PostgresServer,
    /// The server on which users and sessions are looked up.
    pub(in super::super) truth: PostgresServer,
    /// How long a query may take, including the time to connect.
    pub(in super::super) timeout: Duration,
    /// The triggers that must exist.
    pub(in super::super) triggers: ChangeTriggers,
    pub(in super::super) files: Fingerprints,
}

/// The channel that announces changes in PostgreSQL, and the task that keeps it open.
pub(in super::super) struct PostgresChannel {
    publisher: Arc<Publisher>,
    stop: CancellationToken,
    keeper: TaskTracker,
}

impl PostgresChannel {
    /// Starts the task that opens the channel, and reopens it whenever it breaks.
    pub(in super::super) fn open(target: ChangesTarget, process: &Process) -> Self {
        let channel = Self {
            publisher: Arc::new(Publisher::new(Channel::Postgres)),
            stop: CancellationToken::new(),
            keeper: TaskTracker::new(),
        };
        let keeper = Keeper {
            target,
            publisher: Arc::clone(&channel.publisher),
            clock: process.clock.clone(),
            logged: None,
            trial: process.trial.clone(),
        };
        let stop = channel.stop.clone();
        let vital = process.vital;
        let keep = async move {
            let _part = vital("the channel of changes in PostgreSQL");
            stop.run_until_cancelled(keeper.keep()).await;
        };
        channel.keeper.spawn_on(keep, &process.runtime);
        channel.keeper.close();
        channel
    }

    /// The subscribers of the channel.
    pub(in super::super) fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }

    /// Closes the channel for good.
    pub(in super::super) async fn close(&self) {
        self.stop.cancel();
        // The task waits for its connections only, so it ends at once when stopped.
        let _ = timeout(CLOSE_TIMEOUT, self.keeper.wait()).await;
        self.publisher.mark_down("it was closed");
    }
}

impl Drop for PostgresChannel {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Keeper {
    target: ChangesTarget,
    publisher: Arc<Publisher>,
    clock: Clock,
    trial: Trial,
    /// The last logged state of the channel: that it is up, or why it is not.
    logged: Option<Result<(), String>>,
}

/// The two connections of an open channel.
struct Pair {
    /// The connection that listens.
    listening: Connection,
    /// The connection that sends proofs, and checks the tables.
    notifying: Connection,
    receiver: Arc<NotificationReceiver>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut wait = MIN_WAIT;
        loop {
            let began = Instant::now();
            let why = self.listen_once().await;
            self.mark_down(&why);
            if began.elapsed() > MAX_WAIT * 2 {
                wait = MIN_WAIT;
            }
            // Spread the attempts of all gates.
            sleep(wait.mul_f64(0.5 + 0.5 * random_share())).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
    }

    /// Opens the connections and listens until something fails. Returns the reason of the failure.
    async fn listen_once(&mut self) -> String {
        let limit = self.target.timeout;
        let pair = match timeout(limit, self.open()).await {
            Ok(Ok(pair)) => pair,
            Ok(Err((setting, error))) => return format!("{setting}: {}", error.described()),
            Err(_) => return format!("no connection within {} ms", limit.as_millis()),
        };
        // Announcements of revocations may have been missed in the meantime.
        reload_soon();
        let receiver = Arc::clone(&pair.receiver);
        tokio::select! {
            why = self.watch(&pair) => why,
            never = receiver.announce_held_back() => match never {},
            () = pair.listening.ended() => "the connection of LISTEN_DATABASE_URL was closed".to_owned(),
        }
    }

    async fn open(&self) -> Result<Pair, (&'static str, PostgresError)> {
        let ChangesTarget {
            listen,
            truth,
            timeout,
            ..
        } = &self.target;
        let receiver = Arc::new(NotificationReceiver::new(Arc::clone(&self.publisher)));
        let receives = Arc::clone(&receiver);
        let on_notification: NotificationHandler =
            Arc::new(move |notification| receives.receive(notification));
        let of_listen = |error| ("LISTEN_DATABASE_URL", error);
        let listening = listen.connect(*timeout, Some(&on_notification)).await;
        let listening = listening.map_err(of_listen)?;
        let listen = format!("LISTEN {CHANNEL}; LISTEN {REVOCATIONS}");
        listening.run(&listen).await.map_err(of_listen)?;
        let notifying = truth.connect(*timeout, None).await;
        let notifying = notifying.map_err(|error| ("DATABASE_URL", error))?;
        Ok(Pair {
            listening,
            notifying,
            receiver,
        })
    }

    /// Proves again and again that notifications are received, and checks the tables regularly. Returns the reason of the
    /// failure that ends this.
    async fn watch(&mut self, pair: &Pair) -> String {
        let mut last: Option<TriggerState> = None;
        let mut next_check = Instant::now();
        let mut is_settled = false;
        loop {
            let began = self.clock.monotonic();
            let is_check_due = Instant::now() >= next_check;
            // Run both at once, so that neither delays the other.
            let limit = last.as_ref().map_or(self.target.timeout, |_| PROOF_TIMEOUT);
            let check = async {
                let seen = match is_check_due {
                    true => Some(self.target.triggers.state(&pair.notifying).await),
                    false => None,
                };
                seen.transpose()
            };
            let (seen, proof) = tokio::join!(timeout(limit, check), pair.prove(limit));
            if let Err(why) = proof {
                return why;
            }
            match seen {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(seen))) => {
                    next_check = Instant::now() + CHECK_INTERVAL;
                    let is_same = |last: &TriggerState| last.fingerprint == seen.fingerprint;
                    if !last.as_ref().is_none_or(is_same) {
                        self.publisher.announce(&Invalidation::Everything);
                    }
                    last = Some(seen);
                }
                Ok(Err(error)) => return format!("DATABASE_URL: {}", error.described()),
                Err(_) => return slow(limit),
            }
            if !is_settled {
                is_settled = true;
                // To the server, a connection that only listens is idle. The connection of a pooler in transaction mode
                // has failed the proof, so it never gets here.
                let _ = timeout(PROOF_TIMEOUT, pair.listening.run(DISABLE_IDLE_TIMEOUT)).await;
            }
            match last.as_ref().and_then(TriggerState::flaw) {
                None => {
                    self.publisher.prove(began, PROOF_TTL);
                    self.mark_up();
                }
                Some(flaw) => self.mark_down(&format!(
                    "{flaw}; `sessiongate db install` creates the triggers, `sessiongate db status` shows what is wrong"
                )),
            }
            sleep(PROOF_INTERVAL).await;
        }
    }

    fn mark_up(&mut self) {
        self.publisher.mark_up();
        if self.logged != Some(Ok(())) {
            let configuration = self.trial.configuration();
            tracing::info!(
                configuration,
                "change notifications from PostgreSQL are working"
            );
            self.logged = Some(Ok(()));
        }
    }

    fn mark_down(&mut self, why: &str) {
        self.publisher.mark_down(why);
        let state = Some(Err(why.to_owned()));
        if self.logged != state {
            tracing::warn!(
                configuration = self.trial.configuration(),
                detail = why,
                "change notifications from PostgreSQL are not working, so answers in memory are not used"
            );
            self.logged = state;
        }
    }
}

impl Pair {
    /// Proves that the listening connection receives what the notifying connection sends.
    async fn prove(&self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        let payload = self.receiver.expect_proof(random_text());
        let parameters = [text(&CHANNEL), text(&payload)];
        let rows = timeout_at(deadline, self.notifying.query(NOTIFY, &parameters)).await;
        let rows = rows.map_err(|_| slow(limit))?;
        let rows = rows.map_err(|error| format!("DATABASE_URL: {}", error.described()))?;
        let value = |at| rows.first().and_then(|row| row.try_get::<_, f64>(at).ok());
        if value(0) != Some(0.0) {
            return Err(STANDBY.to_owned());
        }
        if value(1).is_none_or(|usage| usage > MAX_QUEUE_USAGE) {
            return Err(QUEUE_FULL.to_owned());
        }
        if timeout_at(deadline, self.receiver.proved()).await.is_err() {
            // `LISTEN` may have reached one of a pooler's connections, which would keep listening.
            let _ = timeout(PROOF_TIMEOUT, self.listening.run("UNLISTEN *")).await;
            return Err(NOT_RECEIVED.to_owned());
        }
        Ok(())
    }
}

fn slow(limit: Duration) -> String {
    format!("DATABASE_URL: no answer within {} ms", limit.as_millis())
}

fn random_text() -> String {
    let mut bytes = [0; 16];
    // Without random bytes, the proof of another gate may be taken for ours, which proves just as much.
    let _ = rand::fill(&mut bytes);
    hex(&bytes)
}

/// A random number from 0 to 1.
fn random_share() -> f64 {
    let mut byte = [0];
    let _ = rand::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

/// Sends a notification, unless the server is a standby, which cannot. The first column says whether it is one, the
/// second how full the queue of notifications is.
const NOTIFY: &str = "\
    SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 1 ELSE 0 END::float8, pg_catalog.pg_notification_queue_usage(), \
    CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_notify($1, $2)::text END";

/// Disables the timeout for idle sessions. Versions before 14 have no such setting.
const DISABLE_IDLE_TIMEOUT: &str = "\
    SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'";

const STANDBY: &str = "DATABASE_URL leads to a standby, which may still have the state before an announced change; \
                       it must lead to the primary";

const QUEUE_FULL: &str = "the queue of notifications of the PostgreSQL server is more than half full, and triggers do not notify when it \
                     is full: a connection that listens has not read for a long time (pg_stat_activity), perhaps in an open \
                     transaction";

const NOT_RECEIVED: &str = "notifications sent through DATABASE_URL do not arrive through LISTEN_DATABASE_URL: both must lead to the same \
                       database of the same server, and LISTEN_DATABASE_URL must bypass a pooler in transaction mode, through which \
                       LISTEN receives nothing";

/// How full the queue of notifications may be. Our triggers stop notifying above nine tenths.
const MAX_QUEUE_USAGE: f64 = 0.5;

/// The pause between two proofs that the channel is up. A proof begins at most 1.6 seconds after the last one: after this and
/// [`PROOF_TIMEOUT`].
const PROOF_INTERVAL: Duration = Duration::from_millis(700);

/// How long a proof holds, from its beginning: until the next one has ended, even if both take [`PROOF_TIMEOUT`].
const PROOF_TTL: Duration = Duration::from_millis(2500);

/// How long a proof may take. The first one may take as long as a query.
const PROOF_TIMEOUT: Duration = Duration::from_millis(900);

/// How often the tables and their triggers are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// The shortest and longest wait before the next attempt to open the channel.
const MIN_WAIT: Duration = Duration::from_millis(500);
const MAX_WAIT: Duration = Duration::from_secs(10);

const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
