//! Putting a new value in the place of what is live.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::{Live, LiveError, Opened, Shared, Surroundings};
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
        let live = Live::open(config, Some(&before), &self.around)?;
        if let Err(error) = live.proves_itself(&before).await {
            live.close_all_but(Some(&before)).await;
            return Err(error);
        }
        let changed = live.realms.iter().flat_map(|realm| {
            let before = Opened::named(&before.realms, realm.name());
            realm.changed_since(before)
        });
        let changed = changed.collect();
        let is_new = |warning: &&String| !before.warnings.contains(warning);
        for warning in live.warnings.iter().filter(is_new) {
            tracing::warn!("{warning}");
        }
        let live = Arc::new(live);
        self.shared.store(Arc::clone(&live));
        self.closing.spawn_on(
            async move {
                sleep(BEFORE_CLOSING).await;
                before.close_all_but(Some(&live)).await;
            },
            &self.around.runtime,
        );
        Ok(changed)
    }
}

/// How long after a reload the stores before it are closed. A request asks them as soon as its head is there; those that have
/// asked are waited for.
const BEFORE_CLOSING: Duration = Duration::from_secs(5);
