//! What Redis says has changed, heard on a connection of its own.
//!
//! `CLIENT TRACKING … BCAST` makes a connection on which Redis names every key under our prefixes as soon as somebody changes
//! it. Nothing there says that a server has stopped doing so: a connection can be dead and open, a server can forget that it
//! tracks, a primary can be no primary any more. So the channel counts as heard only while it proves that it is. Every
//! [`HEARTBEAT`] another connection writes a word under the prefix, and this one has to hear of it within
//! [`ANSWER_WITHIN`]; everything that was written before that word has been heard then too. The other connection is opened anew
//! from time to time, so that the word is written wherever the address leads now.
//!
//! `NOLOOP` is left out: Redis tells each connection of the last writer of a turn alone, and with it a change by the app followed
//! by one of ours would never be heard of.

mod inbox;
mod prefixes;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::inbox::{Inbox, Waiting};
use super::super::hearing::{Audience, Channel, Word};
use super::super::process::{Clock, Process};
use super::super::revocations::{self, changed_in_redis, reload_soon};
use super::super::settings::RedisSettings;
use super::refusal::{TRACKING, WRITE, describe, no_ear, no_line};
use super::sentinel::Council;
use super::server::{Driver, RedisServer};

/// What a channel from a Redis depends on.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct TrackingTarget {
    server: RedisServer,
    /// How long it may take until a connection is open.
    timeout: Duration,
    ca_file: Option<PathBuf>,
    /// A fingerprint of what is in that file.
    ca: Option<Vec<u8>>,
    prefixes: Vec<String>,
    /// What stands before the keys of the gate itself.
    key_prefix: String,
}

/// The channel from a Redis, and the task that keeps it open.
pub(in super::super) struct Tracking {
    ears: Arc<Ears>,
    stop: CancellationToken,
    keeper: TaskTracker,
}

/// The connections, and who hears through them.
struct Ears {
    target: TrackingTarget,
    audience: Arc<Audience>,
    clock: Clock,
    /// Why nothing is heard, as it was logged last.
    silence: Mutex<Option<String>>,
}

/// The connection that writes words.
struct Mouth {
    connection: MultiplexedConnection,
    _driver: Driver,
    opened: Instant,
}

/// Makes sure that nothing counts as heard once nobody listens any more, however that came about.
struct Deaf<'a>(&'a Audience);

impl Drop for Deaf<'_> {
    fn drop(&mut self) {
        self.0.deaf("it was closed");
    }
}

impl TrackingTarget {
    pub(in super::super) fn of(settings: &RedisSettings, ca: Option<Vec<u8>>) -> Self {
        let prefixes: Vec<_> = [Some(&settings.key_prefix), settings.sessions.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        Self {
            server: settings.server.clone(),
            timeout: settings.timeout,
            ca_file: settings.ca_file.clone(),
            ca,
            prefixes: prefixes::covering(&prefixes),
            key_prefix: settings.key_prefix.clone(),
        }
    }
}

impl Tracking {
    /// One that is being opened.
    pub(in super::super) fn open(target: TrackingTarget, process: &Process) -> Self {
        let tracking = Self {
            ears: Arc::new(Ears {
                target,
                audience: Arc::new(Audience::new(Channel::Redis)),
                clock: process.clock.clone(),
                silence: Mutex::default(),
            }),
            stop: CancellationToken::new(),
            keeper: TaskTracker::new(),
        };
        let (ears, stop) = (Arc::clone(&tracking.ears), tracking.stop.clone());
        let vital = process.vital;
        let keep = async move {
            let _part = vital("the channel from Redis");
            let _deaf = Deaf(&ears.audience);
            stop.run_until_cancelled(ears.hear_for_ever()).await;
        };
        tracking.keeper.spawn_on(keep, &process.runtime);
        tracking.keeper.close();
        tracking
    }

    /// Who hears it.
    pub(in super::super) fn audience(&self) -> &Arc<Audience> {
        &self.ears.audience
    }

    /// Gives the channel up for good.
    pub(in super::super) async fn close(&self) {
        self.stop.cancel();
        // The task waits for nothing but its connections, so it ends at once.
        let _ = timeout(CLOSE_WITHIN, self.keeper.wait()).await;
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Ears {
    async fn hear_for_ever(&self) {
        let mut hold = FIRST_HOLD;
        loop {
            let began = Instant::now();
            let Err(why) = self.hear().await;
            self.fell_silent(&why);
            // It has worked: the next one may work at once.
            if began.elapsed() > LONGEST_HOLD {
                hold = FIRST_HOLD;
            }
            sleep(hold.mul_f64(1.0 + fraction())).await;
            hold = (hold * 2).min(LONGEST_HOLD);
        }
    }

    /// Opens the connections, and hears until something is wrong: what that is.
    async fn hear(&self) -> Result<Infallible, String> {
        let own = format!("{}{OWN_WORDS}{:016x}:", self.target.key_prefix, random());
        let inbox = Arc::new(Inbox::new(&own));
        let TrackingTarget {
            server, ca_file, ..
        } = &self.target;
        let located = self.in_time(server.located(ca_file.as_ref(), self.target.timeout));
        let here = located.await?.map_err(|error| no_line(&error))?;
        let mut council = Council::of(server, &here, ca_file.as_ref());
        let _ear = self.open_ear(&here, &inbox).await?;
        let mut mouth = self.open_mouth(&here).await?;
        let (own_heard, mut heard) = watch::channel(0);
        let proving = async {
            let mut number = 0;
            loop {
                let (began, asked) = (Instant::now(), self.clock.monotonic());
                number += 1;
                let word = format!("{own}{number}");
                let agreeing = async {
                    match &mut council {
                        Some((council, here)) => council.hear_all(ASK_FOR).await.confirm(here),
                        None => Ok(()),
                    }
                };
                let word = self.prove(&here, &mut mouth, &word, number, &mut heard);
                tokio::try_join!(agreeing, word)?;
                self.audience.prove(asked, TRUST);
                if number == 1 {
                    self.listen();
                }
                sleep_until(began + HEARTBEAT).await;
            }
        };
        let passing_on = async {
            loop {
                let waiting = inbox.empty().await;
                self.pass_on(&waiting);
                // After everything that came before it. Words are heard of once more when they end.
                if let Some(number) = waiting.own {
                    own_heard.send_modify(|last| *last = number.max(*last));
                }
                if waiting.ended {
                    return Err("the connection was closed".to_owned());
                }
                if waiting.everything {
                    sleep(BETWEEN_FLOODS).await;
                }
            }
        };
        // What has come is passed on before anything else is done about it.
        tokio::select! {
            biased;
            silence = passing_on => silence,
            silence = proving => silence,
        }
    }

    /// A connection on which Redis says what changes.
    async fn open_ear(
        &self,
        here: &RedisServer,
        inbox: &Arc<Inbox>,
    ) -> Result<(MultiplexedConnection, Driver), String> {
        let ca_file = self.target.ca_file.as_ref();
        let pushes = Arc::clone(inbox);
        let pushes = move |push| {
            pushes.take(push);
            Ok::<_, Infallible>(())
        };
        let connecting = here.connect_hearing(ca_file, self.target.timeout, pushes);
        let connected = self.in_time(connecting).await?;
        let (mut connection, driver) = connected.map_err(|error| no_ear(&error))?;
        let mut command = redis::cmd("CLIENT");
        command.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in &self.target.prefixes {
            command.arg("PREFIX").arg(prefix);
        }
        let answer = self.in_time(command.exec_async(&mut connection)).await?;
        answer.map_err(|error| describe(TRACKING, &error))?;
        Ok((connection, driver))
    }

    async fn open_mouth(&self, here: &RedisServer) -> Result<Mouth, String> {
        let ca_file = self.target.ca_file.as_ref();
        // Before the driver's own limit strikes, that of the proof does.
        let connecting = here.connect(ca_file, 2 * ANSWER_WITHIN);
        let connected = self.in_time(connecting).await?;
        let (connection, driver) = connected.map_err(|error| no_line(&error))?;
        Ok(Mouth {
            connection,
            _driver: driver,
            opened: Instant::now(),
        })
    }

    async fn in_time<T>(&self, opening: impl Future<Output = T>) -> Result<T, String> {
        let limit = self.target.timeout;
        let opened = timeout(limit, opening).await;
        opened.map_err(|_| format!("did not answer within {} ms", limit.as_millis()))
    }

    /// Writes `word` and waits until it is heard.
    async fn prove(
        &self,
        here: &RedisServer,
        mouth: &mut Mouth,
        word: &str,
        number: u64,
        heard: &mut watch::Receiver<u64>,
    ) -> Result<(), String> {
        let mut is_written = false;
        let proof = async {
            if mouth.opened.elapsed() > MOUTH_AGE {
                *mouth = self.open_mouth(here).await?;
            }
            let mut command = redis::cmd(WRITE);
            command.arg(word).arg("").arg("PX").arg(WORD_MILLIS);
            let written = command.exec_async(&mut mouth.connection).await;
            written.map_err(|error| describe(WRITE, &error))?;
            is_written = true;
            // Its sender lives as long as this.
            let _ = heard.wait_for(|last| *last >= number).await;
            Ok(())
        };
        match timeout(ANSWER_WITHIN, proof).await {
            Ok(proven) => proven,
            Err(_) => Err(match is_written {
                true => NOT_HEARD.to_owned(),
                false => format!("took no word within {} ms", ANSWER_WITHIN.as_millis()),
            }),
        }
    }

    fn pass_on(&self, waiting: &Waiting) {
        if waiting.everything {
            self.audience.say(&Word::Everything);
            reload_soon();
        }
        for key in &waiting.keys {
            if revocations::is_key(&self.target.key_prefix, key) {
                changed_in_redis();
            }
            self.audience.say(&Word::RedisKey(key.clone()));
        }
    }

    /// It has proved that it hears.
    fn listen(&self) {
        self.audience.listen();
        // While nothing was heard, there may have been revocations.
        reload_soon();
        *self.silence() = None;
        tracing::info!(channel = "redis", "Redis says what changes");
    }

    fn fell_silent(&self, why: &str) {
        self.audience.deaf(why);
        let mut silence = self.silence();
        if silence.as_deref() != Some(why) {
            tracing::warn!(
                channel = "redis",
                detail = why,
                "Redis does not say what changes, so memory is not trusted"
            );
            *silence = Some(why.to_owned());
        }
    }

    fn silence(&self) -> MutexGuard<'_, Option<String>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between 0 and 1, so that nodes that lost the same server do not come back in the same moment.
fn fraction() -> f64 {
    f64::from(u16::try_from(random() & 0xffff).unwrap_or(0)) / 65536.0
}

/// A number that nobody else has.
fn random() -> u64 {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_ne_bytes(bytes)
}

/// How often the channel proves itself. With [`ANSWER_WITHIN`], a connection that is dead and open is noticed within two
/// seconds.
const HEARTBEAT: Duration = Duration::from_millis(700);

/// How long it may take until a word is written and heard.
const ANSWER_WITHIN: Duration = Duration::from_millis(1100);

/// How long a word is kept. Nobody reads it.
const WORD_MILLIS: u64 = 2000;

/// How long one proof holds. The next one comes in time for this, or is late.
const TRUST: Duration = Duration::from_secs(2);

/// Behind the prefix of the gate's keys, and before a number of the connection and one of the word.
const OWN_WORDS: &str = "sessiongate:heartbeat:";

/// How long words are written on the same connection.
const MOUTH_AGE: Duration = Duration::from_secs(5);

/// How long sentinels may take to say where the primary is.
const ASK_FOR: Duration = Duration::from_millis(500);

/// How long a channel that could not be opened, or broke at once, is left alone; twice as long each time.
const FIRST_HOLD: Duration = Duration::from_millis(100);

/// The longest of these times.
const LONGEST_HOLD: Duration = Duration::from_secs(3);

/// How long it takes at least from one word that says that everything may have changed to the next.
const BETWEEN_FLOODS: Duration = Duration::from_millis(20);

const CLOSE_WITHIN: Duration = Duration::from_secs(1);

const NOT_HEARD: &str = "took a word and did not say so on the other connection: it is dead, or leads to another server";
