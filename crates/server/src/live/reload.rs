//! Putting a new value in the place of what is live.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::{Live, LiveError, Shared, Surroundings, close};
use crate::config::{Config, Variables};

/// Reads secrets and certificate files anew, each time that somebody asks for it.
pub(crate) struct Reload {
    variables: Variables,
    shared: Shared,
    around: Surroundings,
    /// What is closed once no request can be using it.
    closing: JoinSet<()>,
}

impl Reload {
    /// With the variables that `shared` was made from.
    pub(crate) fn new(variables: Variables, shared: Shared, around: Surroundings) -> Self {
        Self {
            variables,
            shared,
            around,
            closing: JoinSet::new(),
        }
    }

    /// Reads everything anew. A configuration with a problem changes nothing.
    pub(crate) async fn run(&mut self) {
        let variables = self.variables.clone();
        let read = spawn_blocking(move || Config::from_variables(&variables)).await;
        let result = match read {
            Ok(Ok(config)) => self
                .replace(config)
                .await
                .map_err(|error| error.to_string()),
            Ok(Err(problems)) => Err(problems.to_string()),
            Err(_) => Err("reading the settings panicked".to_owned()),
        };
        let said = if result.is_ok() { "ok" } else { "failed" };
        self.around.metrics.reloaded(said);
        match result {
            Ok(changed) if changed.is_empty() => {
                tracing::info!("asked to reload: no secret and no certificate file has changed");
            }
            Ok(changed) => {
                let changed: Vec<_> = changed.into_iter().collect();
                tracing::info!(
                    changed = changed.join(", "),
                    "reloaded secrets and certificate files"
                );
            }
            Err(error) => tracing::error!("cannot reload, and go on as before: {error}"),
        }
    }

    async fn replace(&mut self, config: Config) -> Result<BTreeSet<String>, LiveError> {
        let before = self.shared.load_full();
        let live = Live::open(&self.variables, config, Some(&before), &self.around)?;
        if let Err(error) = live.proves_itself(&before).await {
            let (keychain, stores) = live.without(&before);
            close(keychain.as_deref(), stores.as_ref()).await;
            return Err(error);
        }
        let changed = live.read.changed_since(&before.read);
        let is_new = |warning: &&String| !before.read.warnings.contains(warning);
        for warning in live.read.warnings.iter().filter(is_new) {
            tracing::warn!("{warning}");
        }
        let live = Arc::new(live);
        self.shared.store(Arc::clone(&live));
        let (keychain, stores) = before.without(&live);
        if keychain.is_some() || stores.is_some() {
            self.closing.spawn_on(
                async move {
                    sleep(BEFORE_CLOSING).await;
                    close(keychain.as_deref(), stores.as_ref()).await;
                },
                &self.around.runtime,
            );
        }
        Ok(changed)
    }
}

/// How long after a reload the stores before it are closed. A request asks them as soon as its head is there; those that have
/// asked are waited for.
const BEFORE_CLOSING: Duration = Duration::from_secs(5);
