//! One server of a cluster, and what is heard from it.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::super::cluster::{Place, SlotMap, ask_slots, fixed_slot, slot_behind};
use super::super::refusal::{CLUSTER_NODES, CLUSTER_SLOTS, READ, WRITE, code, describe};
use super::super::server::RedisServer;
use super::ear::{CLOSED, Mouth};
use super::inbox::Inbox;
use super::view::View;
use super::{Ears, FIRST_HOLD, LONGEST_HOLD, MOUTH_AGE, fraction, unproven};

/// A server, and the connections to it.
pub(super) struct Post {
    pub(super) station: Arc<Station>,
    place: Place,
    /// Opened when it is needed.
    mouth: Option<Mouth>,
    /// That of the last word.
    number: u64,
    heard: watch::Receiver<u64>,
}

/// A server, and the connection on which it speaks.
pub(super) struct Station {
    here: RedisServer,
    /// What the words about this server begin with.
    own: String,
    own_heard: watch::Sender<u64>,
    ear: watch::Sender<Ear>,
    /// Whether nothing counts as heard without it.
    is_needed: AtomicBool,
    /// That it is to be left.
    pub(super) stop: CancellationToken,
}

/// A connection on which a server speaks.
#[derive(Clone)]
enum Ear {
    Closed(String),
    Open(MultiplexedConnection),
    Opening,
}

/// What became of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Heard,
    /// The server does not hold any more what it has held.
    Moved,
}

impl Post {
    pub(super) fn new(ears: &Ears, here: RedisServer, place: Place) -> Self {
        let (own_heard, heard) = watch::channel(0);
        Self {
            station: Arc::new(Station {
                here,
                own: ears.own_words(),
                own_heard,
                ear: watch::Sender::new(Ear::Opening),
                is_needed: AtomicBool::new(false),
                stop: CancellationToken::new(),
            }),
            place,
            mouth: None,
            number: 0,
            heard,
        }
    }

    /// What the server says of the cluster.
    pub(super) async fn look(&mut self, ears: &Ears, deadline: Instant) -> Result<View, String> {
        let looking = async {
            let mut both = redis::pipe();
            both.add_command(ask_slots()).cmd("CLUSTER").arg("NODES");
            let mouth = self.mouth(ears).await?;
            let both = both.ignore_errors().query_async(&mut mouth.connection);
            let both: (RedisResult<Value>, RedisResult<Value>) = both
                .await
                .map_err(|error| describe(CLUSTER_SLOTS, &error))?;
            let slots = both.0.map_err(|error| describe(CLUSTER_SLOTS, &error))?;
            let nodes = both.1.map_err(|error| describe(CLUSTER_NODES, &error))?;
            View::read(slots, nodes, &self.place.0)
        };
        let looked = timeout_at(deadline, looking).await;
        let looked = looked.unwrap_or_else(|_| Err("did not answer in time".to_owned()));
        if looked.is_err() {
            self.mouth = None;
        }
        looked.map_err(|why| self.said(&why))
    }

    /// Writes a word there under a key that it holds, and waits until it is heard.
    pub(super) async fn prove(
        &mut self,
        ears: &Ears,
        slots: &SlotMap,
        deadline: Instant,
    ) -> Result<Proof, String> {
        let mut is_written = false;
        let proving = timeout_at(deadline, async {
            let mut on_their_way = BTreeSet::new();
            loop {
                let slot = self.next_word(slots, &on_their_way)?;
                let word = format!("{}{}", self.station.own, self.number);
                match self.mouth(ears).await?.say(&word).await {
                    Ok(()) => break,
                    Err(error) => match code(&error) {
                        // Whatever it has not is to be asked for elsewhere, if the slot is on its way.
                        Some("ASK") => drop(on_their_way.insert(slot)),
                        Some("MOVED") => return Ok(Proof::Moved),
                        _ => return Err(describe(WRITE, &error)),
                    },
                }
            }
            is_written = true;
            self.station.opened().await?;
            // Its sender lives as long as this.
            let _ = self.heard.wait_for(|last| *last >= self.number).await;
            Ok(Proof::Heard)
        });
        let proven = proving.await;
        let proven = proven.unwrap_or_else(|_| Err(unproven(is_written)));
        proven.map_err(|why| self.said(&why))
    }

    /// Makes sure that the connection is alive on which it speaks, where it holds no key under which a word could be written.
    pub(super) async fn is_alive(&self, ears: &Ears, deadline: Instant) -> Result<(), String> {
        let asking = timeout_at(deadline, async {
            let mut ear = self.station.opened().await?;
            let mut command = redis::cmd(READ);
            command.arg(&ears.target.key_prefix).arg(0).arg(0);
            match command.exec_async(&mut ear).await {
                // Where else to ask is an answer.
                Err(error) if code(&error).is_none() => Err(describe(READ, &error)),
                Ok(()) | Err(_) => Ok(()),
            }
        });
        let asked = asking.await;
        let asked = asked.unwrap_or_else(|_| Err("did not answer in time".to_owned()));
        asked.map_err(|why| self.said(&why))
    }

    /// Says whether nothing counts as heard without it.
    pub(super) fn set_needed(&self, is_needed: bool) {
        self.station.is_needed.store(is_needed, Ordering::Relaxed);
    }

    /// Chooses the number of the next word, so that its key belongs to a slot that the server holds: which slot.
    fn next_word(&mut self, slots: &SlotMap, but: &BTreeSet<u16>) -> Result<u16, String> {
        let is_here = |slot| slots.holder(slot) == Some(&self.place) && !but.contains(&slot);
        let own = self.station.own.as_bytes();
        if let Some(slot) = fixed_slot(own) {
            self.number += 1;
            return match is_here(slot) {
                true => Ok(slot),
                false => Err(NO_KEY.to_owned()),
            };
        }
        let slot_behind = slot_behind(own);
        for _ in 0..MOST_NUMBERS {
            self.number += 1;
            let mut digits = Cursor::new([0; 20]);
            let _ = write!(digits, "{}", self.number);
            let length = usize::try_from(digits.position()).unwrap_or(0);
            let digits = digits.get_ref().get(..length).unwrap_or_default();
            let slot = slot_behind(digits);
            if is_here(slot) {
                return Ok(slot);
            }
        }
        Err(ALL_ON_THEIR_WAY.to_owned())
    }

    async fn mouth(&mut self, ears: &Ears) -> Result<&mut Mouth, String> {
        let young = self.mouth.take();
        let young = young.filter(|mouth| mouth.opened.elapsed() <= MOUTH_AGE);
        let mouth = match young {
            Some(mouth) => mouth,
            None => ears.open_mouth(&self.station.here).await?,
        };
        Ok(self.mouth.insert(mouth))
    }

    fn said(&self, why: &str) -> String {
        format!("{}: {why}", self.station.here.address)
    }
}

impl Station {
    /// The connection on which it speaks, once it is open.
    async fn opened(&self) -> Result<MultiplexedConnection, String> {
        let mut ear = self.ear.subscribe();
        let ear = ear.wait_for(|ear| !matches!(ear, Ear::Opening)).await;
        match ear.as_deref() {
            Ok(Ear::Open(connection)) => Ok(connection.clone()),
            Ok(Ear::Closed(why)) => Err(why.clone()),
            Ok(Ear::Opening) | Err(_) => Err(CLOSED.to_owned()),
        }
    }
}

impl Ears {
    /// Has a server speak, and passes on what it says, until it is to be left.
    ///
    /// # Errors
    /// When it ends to speak although it is needed.
    pub(super) async fn keep_ear(&self, station: Arc<Station>) -> Result<(), String> {
        let keeping = async {
            let mut hold = FIRST_HOLD;
            loop {
                let inbox = Arc::new(Inbox::new(&station.own));
                let opened = self.open_ear(&station.here, &inbox).await;
                let why = match opened {
                    Ok((connection, _driver)) => {
                        // Nobody knows what has changed there before.
                        self.forget_everything();
                        station.ear.send_replace(Ear::Open(connection));
                        self.pass_on_from(&inbox, &station.own_heard).await;
                        hold = FIRST_HOLD;
                        CLOSED.to_owned()
                    }
                    Err(why) => why,
                };
                station.ear.send_replace(Ear::Closed(why.clone()));
                if station.is_needed.load(Ordering::Relaxed) {
                    return Err(format!("{}: {why}", station.here.address));
                }
                sleep(hold.mul_f64(1.0 + fraction())).await;
                hold = (hold * 2).min(LONGEST_HOLD);
            }
        };
        match station.stop.run_until_cancelled(keeping).await {
            Some(silence) => silence,
            None => Ok(()),
        }
    }
}

/// How many numbers are tried. Even where a server holds one slot alone, fewer do.
const MOST_NUMBERS: u32 = 20 * 16384;

const NO_KEY: &str = "no key under REDIS_KEY_PREFIX is kept there, because all of them have one slot: `{…}` in a prefix decides where keys are kept";

const ALL_ON_THEIR_WAY: &str = "all slots that it holds are on their way to other servers";
