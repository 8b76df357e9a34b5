//! Whether the workers still do what comes up: each answers a question between its other tasks.

use tokio::sync::{mpsc, oneshot};

/// Where all workers are asked.
#[derive(Debug)]
pub(crate) struct Pulses(Vec<mpsc::Sender<oneshot::Sender<()>>>);

/// Where one worker is.
#[derive(Debug)]
pub(crate) struct Pulse(mpsc::Receiver<oneshot::Sender<()>>);

/// For so many workers.
pub(crate) fn pulses(count: usize) -> (Pulses, Vec<Pulse>) {
    let channels = (0..count).map(|_| mpsc::channel(1));
    let (asking, asked) = channels
        .map(|(asking, asked)| (asking, Pulse(asked)))
        .unzip();
    (Pulses(asking), asked)
}

impl Pulses {
    /// Ready once every worker has answered that has not ended.
    pub(crate) async fn all_answer(&self) {
        for worker in &self.0 {
            let (answer, answered) = oneshot::channel();
            if worker.send(answer).await.is_ok() {
                // One that ends meanwhile has nothing to answer.
                let _ = answered.await;
            }
        }
    }
}

impl Pulse {
    /// Answers, for as long as somebody may ask.
    pub(crate) async fn beat(mut self) {
        while let Some(answer) = self.0.recv().await {
            // Whoever has asked may have ended.
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
    async fn one_worker_that_hangs_is_noticed_and_one_that_has_ended_is_not_missed() {
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
