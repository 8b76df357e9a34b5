//! A gate, and the users that send requests to it.

use anyhow::{Result, ensure};
use harness::free_port;
use xtask::step::command;

use crate::http::{Address, get};
use crate::lab::Lab;
use crate::service::{Program, Service};

/// A running gate.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) address: Address,
    service: Service,
}

/// A user with a session.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: String,
    /// The session token, for sessions that the gate looks up in a store.
    pub(super) token: String,
    pub(super) cookie: String,
    pub(super) request: Vec<u8>,
}

impl Node {
    /// Starts a gate with these settings.
    ///
    /// # Errors
    /// When the gate does not start.
    pub(super) fn start(lab: &Lab, settings: Vec<(&'static str, String)>) -> Result<Self> {
        let address = Address::Tcp(free_port());
        let mut environment = vec![
            ("LISTEN", address.to_string()),
            ("UPSTREAM", format!("http://{}", lab.upstream())),
            ("ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("WORKERS", "1".to_owned()),
        ];
        environment.extend(settings);
        let program = Program {
            name: "sessiongate",
            words: vec![lab.gate.display().to_string(), "serve".to_owned()],
            environment,
            cores: None,
        };
        let service = lab.start_plain(&program, &address)?;
        Ok(Self { address, service })
    }

    /// Returns the id of its process.
    pub(super) fn id(&self) -> u32 {
        self.service.id()
    }

    /// Sends this signal to the gate.
    ///
    /// # Errors
    /// When the gate does not run.
    pub(super) fn signal(&self, name: &str) -> Result<()> {
        let mut kill = command(&format!("kill -{name} {}", self.id()));
        ensure!(kill.status()?.success(), "the gate does not run");
        Ok(())
    }
}

impl Person {
    pub(super) fn new(id: String, token: String, cookie: String) -> Self {
        Self {
            id,
            token,
            request: get("/", &[("Cookie".to_owned(), cookie.clone())]),
            cookie,
        }
    }
}
