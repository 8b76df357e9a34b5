//! Checks that the workers are responsive: each answers a ping between its other tasks.

use tokio::sync::{mpsc, oneshot};

/// Pings all workers.
#[derive(Debug)]
pub(crate) struct Pulses(Vec<mpsc::Sender<oneshot::Sender<()>>>);

/// Receives the pings of one worker.
#[derive(Debug)]
pub(crate) struct Pulse(mpsc::Receiver<oneshot::Sender<()>>);

/// Makes the sender of pings to this many workers, and the receiver for each worker.
pub(crate) fn pulses(count: usize) -> (Pulses, Vec<Pulse>) {
    let channels = (0..count).map(|_| mpsc::channel(1));
    let (senders, pulses) = channels
        .map(|(sender, receiver)| (sender, Pulse(receiver)))
        .unzip();
    (Pulses(senders), pulses)
}

impl Pulses {
    /// Ready when every worker that is still running has answered.
    pub(crate) async fn all_answer(&self) {
        for worker in &self.0 {
            let (answer, answered) = oneshot::channel();
            if worker.send(answer).await.is_ok() {
                // A worker that ends meanwhile does not answer.
                let _ = answered.await;
            }
        }
    }
}

impl Pulse {
    /// Answers pings until the sender is gone.
    pub(crate) async fn beat(mut self) {
        while let Some(answer) = self.0.recv().await {
            // The pinging side may have ended.
            let _ = answer.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hanging_worker_is_noticed_and_ended_worker_is_not_expected() {
        let (pulses, mut workers) = pulses(3);
        let hangs = workers.pop().unwrap();
        let ended = workers.pop();
        drop(ended);
        let beating = workers.pop().unwrap().beat();
        let asking = async {
            let answered = timeout(Duration::from_secs(9), pulses.all_answer()).await;
            assert!(answered.is_err());
            drop(hangs);
            pulses.all_answer().await;
            drop(pulses);
        };
        tokio::join!(beating, asking);
    }
}
