//! TLS towards clients. TLS towards servers is in the crate `client_tls`.

pub(crate) mod certificate;
pub(crate) mod client_certificate;
pub(crate) mod handshake;
pub(crate) mod self_signed;
pub(crate) mod server;
pub(crate) mod socket;
pub(crate) mod tickets;

pub(crate) use client_tls::{
    Authorities, TlsFileError, TlsOptions, Verification, advice, client_config,
};
