//! A certificate authority and a server certificate for 127.0.0.1, made when they are needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::run;

/// PEM files: an authority, and a server key and certificate that it signed for `127.0.0.1` and `localhost`.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The certificate of the authority: what a client must trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes them in `folder` with the `openssl` program.
    ///
    /// # Errors
    /// When `openssl` is missing or fails.
    pub async fn make(folder: &Path) -> Result<Self> {
        let config = folder.join("openssl.cnf");
        std::fs::write(&config, CONFIG)?;
        let authority_key = folder.join("authority.key");
        let made = Self {
            authority: folder.join("authority.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        };
        let request = |extensions: &str, name: &str, key: &Path, certificate: &Path| {
            let mut command = Command::new("openssl");
            command.args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ]);
            command
                .args([
                    "-days",
                    "2",
                    "-subj",
                    name,
                    "-extensions",
                    extensions,
                    "-config",
                ])
                .arg(&config);
            command.arg("-keyout").arg(key).arg("-out").arg(certificate);
            command
        };
        run(
            request(
                "authority",
                "/CN=harness authority",
                &authority_key,
                &made.authority,
            ),
            "openssl",
        )
        .await?;
        let mut signed = request("server", "/CN=localhost", &made.key, &made.certificate);
        signed
            .arg("-CA")
            .arg(&made.authority)
            .arg("-CAkey")
            .arg(&authority_key);
        run(signed, "openssl").await?;
        Ok(made)
    }
}

const CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = replaced by -subj
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1,DNS:localhost
";
