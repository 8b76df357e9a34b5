//! TLS towards our own clients. Towards the servers that we are a client of, it is in a crate of its own, `client_tls`.

pub(crate) mod certificate;
pub(crate) mod client_certificate;
pub(crate) mod handshake;
pub(crate) mod self_signed;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod tickets;

pub(crate) use client_tls::{
    Authorities, Terms, TlsFileError, Verification, advice, client_config,
};
