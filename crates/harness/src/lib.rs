//! Development only: real services on free loopback ports, and the gate in front of them.
//!
//! Every value here owns what it started: dropping it ends the process and removes its folder, so that tests run side by side and
//! leave nothing behind. If a test dies, its services die too, because they are started with a parent-death signal.
//!
//! | part | what it is |
//! |---|---|
//! | [`Redis`], [`Postgres`], [`PgBouncer`], [`Nginx`], [`caddy()`], [`haproxy()`] | Debian's own servers, in temporary folders |
//! | [`RedisCluster`], [`Sentinels`] | several of these servers together |
//! | [`Apache`] | Apache httpd with the modules for CGI and WebDAV |
//! | [`envoy()`], [`caddy()`] | Envoy, which Debian does not have, and a newer Caddy |
//! | [`Pebble`] | the ACME server that Let's Encrypt tests clients with |
//! | [`Wsgi`] | a WSGI application whose mount point a header can change |
//! | [`program()`], [`PhpFpm`] | any other server, by the command that starts it; PHP behind nginx |
//! | [`page`] | the configurations in the documentation, which tests run |
//! | [`Echo`] | an upstream in this process that records each request and answers with it |
//! | [`CutProxy`] | a TCP proxy whose connections can be cut, stalled and delayed |
//! | [`Gate`] | the `sessiongate` binary under test |
//! | [`Client`] | a strict HTTP/1.1 client that can also send raw bytes |
//! | [`Certificates`], [`Authority`] | certificates for servers and clients |
//! | [`Mint`] | genuine session cookies |
//! | [`interop`] | the real frameworks from npm that issue the cookies |

mod apache;
mod authority;
mod caddy;
mod cert;
mod client;
mod cut;
mod echo;
mod envoy;
mod gate;
mod haproxy;
pub mod interop;
pub mod mint;
mod nginx;
pub mod page;
mod pebble;
mod pgbouncer;
mod php_fpm;
mod port;
mod postgres;
mod process;
mod program;
mod redis;
mod redis_cluster;
mod sentinel;
mod server;
mod template;
mod wire;
mod wsgi;

pub use apache::Apache;
pub use authority::{Authority, KeyPair};
pub use caddy::{CaddyVersion, caddy, caddy_of};
pub use cert::{CertificateKind, Certificates};
pub use client::{Client, Request, Response};
pub use cut::CutProxy;
pub use echo::{Echo, ReceivedRequest};
pub use envoy::envoy;
pub use gate::{DecisionListener, Finished, Gate, GateCommand};
pub use haproxy::haproxy;
pub use mint::Mint;
pub use nginx::Nginx;
pub use pebble::Pebble;
pub use pgbouncer::PgBouncer;
pub use php_fpm::PhpFpm;
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions};
pub use process::{Lines, is_root, poll, run};
pub use program::{program, venv};
pub use redis::{Redis, RedisOptions, RedisVersion};
pub use redis_cluster::RedisCluster;
pub use sentinel::Sentinels;
pub use server::Server;
pub use wire::Headers;
pub use wsgi::Wsgi;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The timeout of every wait in the harness. It is far above what a healthy machine needs: it bounds a hang and measures nothing.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The root of the repository whose tests are running.
///
/// Cargo gives the folder at run time. The one that it gave at compile time may be of another checkout, because checkouts that
/// share a target folder share the compiled harness too.
///
/// # Panics
/// When a test binary is run by itself, outside of a crate's folder.
#[expect(
    clippy::disallowed_methods,
    reason = "Cargo's own variable, not a setting of the product"
)]
pub fn repository() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(
        || std::env::current_dir().expect("the working folder exists"),
        PathBuf::from,
    );
    let root = package
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").exists());
    root.map(Path::to_owned)
        .expect("a crate lies in the repository")
}
