//! A certificate authority that signs certificates for any names, for servers and for clients.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::run;

/// An authority with its files in a folder.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The folder in which it puts what it signs.
    pub folder: PathBuf,
    /// Its own certificate, which the other side must trust.
    pub certificate: PathBuf,
    /// Its own private key.
    pub key: PathBuf,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key, which only its owner may read.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority in `folder` with the `openssl` program.
    ///
    /// # Errors
    /// When `openssl` is missing or fails.
    pub async fn make(folder: &Path) -> Result<Self> {
        let made = Self {
            folder: folder.to_owned(),
            certificate: folder.join("authority.pem"),
            key: folder.join("authority.key"),
        };
        let mut command = request(&made.key, &made.certificate, "/CN=harness authority");
        command.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
        command.args(["-addext", "keyUsage=critical,keyCertSign"]);
        run(command, "openssl").await?;
        Ok(made)
    }

    /// Signs a certificate for a server with these names, such as `DNS:a.example,IP:127.0.0.1`, in the files `file`.pem and
    /// `file`.key. Replaces these files if they exist.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub async fn server(&self, file: &str, names: &str) -> Result<KeyPair> {
        self.sign(file, "/CN=server", names, "serverAuth").await
    }

    /// Signs a certificate for a server that is also a client of its peers, as in a Redis Cluster.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub async fn peer(&self, file: &str, names: &str) -> Result<KeyPair> {
        let usage = "serverAuth,clientAuth";
        self.sign(file, "/CN=server", names, usage).await
    }

    /// Signs a certificate for a client that is `subject`, such as `/O=Example/CN=billing`, and has these further names.
    ///
    /// # Errors
    /// When `openssl` fails.
    pub async fn client(&self, file: &str, subject: &str, names: &str) -> Result<KeyPair> {
        self.sign(file, subject, names, "clientAuth").await
    }

    async fn sign(&self, file: &str, subject: &str, names: &str, usage: &str) -> Result<KeyPair> {
        let made = KeyPair {
            certificate: self.folder.join(format!("{file}.pem")),
            key: self.folder.join(format!("{file}.key")),
        };
        let mut command = request(&made.key, &made.certificate, subject);
        command
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-addext", &format!("extendedKeyUsage={usage}")])
            .args(["-addext", &format!("subjectAltName={names}")])
            .arg("-CA")
            .arg(&self.certificate)
            .arg("-CAkey")
            .arg(&self.key);
        run(command, "openssl").await?;
        Ok(made)
    }
}

fn request(key: &Path, certificate: &Path, subject: &str) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
        // The system's default would add extensions that these certificates must not have.
        .args(["-config", "/dev/null", "-subj", subject])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate);
    command
}
