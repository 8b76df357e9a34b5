//! A gate, and those who ask it.

use anyhow::Result;
use harness::free_port;

use super::change::Stores;
use crate::bench::http::{Address, get};
use crate::bench::lab::Lab;
use crate::bench::service::{Program, Service};

/// A running gate.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) address: Address,
    _service: Service,
}

/// Somebody with a session.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: String,
    /// The token of a session that is looked up.
    pub(super) token: String,
    pub(super) request: Vec<u8>,
}

impl Node {
    pub(super) fn start(lab: &Lab, stores: Stores) -> Result<Self> {
        let address = Address::Tcp(free_port());
        let mut environment = vec![
            ("LISTEN", address.to_string()),
            ("UPSTREAM", format!("http://{}", lab.upstream())),
            ("ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("WORKERS", "1".to_owned()),
        ];
        environment.extend(stores.environment(lab)?);
        let program = Program {
            name: "sessiongate",
            words: vec![lab.gate.display().to_string(), "serve".to_owned()],
            environment,
            cores: None,
        };
        let service = lab.start_plain(&program, &address)?;
        Ok(Self {
            address,
            _service: service,
        })
    }
}

impl Person {
    pub(super) fn new(id: String, token: String, cookie: String) -> Self {
        Self {
            id,
            token,
            request: get("/", &[("Cookie".to_owned(), cookie)]),
        }
    }
}
