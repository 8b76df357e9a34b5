//! The channel from one server, which may be whatever its sentinels call the primary.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::super::refusal::{WRITE, describe, no_line};
use super::super::sentinel::Council;
use super::super::server::RedisServer;
use super::ear::{CLOSED, Mouth};
use super::inbox::Inbox;
use super::{ANSWER_WITHIN, ASK_FOR, Ears, HEARTBEAT, MOUTH_AGE, TRUST, unproven};

impl Ears {
    /// Opens the connections, and hears until something is wrong: what that is.
    pub(super) async fn hear_server(&self) -> Result<Infallible, String> {
        let own = self.own_words();
        let inbox = Arc::new(Inbox::new(&own));
        let (server, ca_file) = (&self.target.server, self.target.ca_file.as_ref());
        let located = self.in_time(server.located(ca_file, self.target.timeout));
        let here = located.await?.map_err(|error| no_line(&error))?;
        let mut council = Council::of(server, &here, ca_file);
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
            self.pass_on_from(&inbox, &own_heard).await;
            Err(CLOSED.to_owned())
        };
        // What has come is passed on before anything else is done about it.
        tokio::select! {
            biased;
            silence = passing_on => silence,
            silence = proving => silence,
        }
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
            mouth
                .say(word)
                .await
                .map_err(|error| describe(WRITE, &error))?;
            is_written = true;
            // Its sender lives as long as this.
            let _ = heard.wait_for(|last| *last >= number).await;
            Ok(())
        };
        let proven = timeout(ANSWER_WITHIN, proof).await;
        proven.unwrap_or_else(|_| Err(unproven(is_written)))
    }
}
