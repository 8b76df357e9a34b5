//! A certificate authority and a server certificate for 127.0.0.1, made on demand.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::run;

/// PEM files: an authority, and a server key and certificate that it signed for `127.0.0.1` and `localhost`.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The certificate of the authority, which a client must trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
}

/// The kind of a server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateKind {
    /// A certificate for `127.0.0.1` and `localhost` that an authority has signed.
    #[default]
    Signed,
    /// A self-signed certificate for `127.0.0.1` and `localhost`, as `openssl req -x509` makes it.
    OwnAuthority,
    /// A self-signed certificate for `elsewhere.example`.
    OwnAuthorityOfAnother,
    /// An expired self-signed certificate for `127.0.0.1` and `localhost`, of January 2020.
    OwnAuthorityUntil2020,
}

impl Certificates {
    /// Makes a certificate of this kind in `folder` with the `openssl` program.
    ///
    /// # Errors
    /// When `openssl` is missing or fails.
    pub async fn make_kind(folder: &Path, kind: CertificateKind) -> Result<Self> {
        match kind {
            CertificateKind::Signed => Self::make(folder).await,
            CertificateKind::OwnAuthority => Self::own_authority(folder, LOCAL_NAMES).await,
            CertificateKind::OwnAuthorityOfAnother => {
                Self::own_authority(folder, "DNS:elsewhere.example").await
            }
            CertificateKind::OwnAuthorityUntil2020 => Self::own_authority_until_2020(folder).await,
        }
    }

    /// Makes a self-signed certificate with the command that `docs/operating.md` names.
    async fn own_authority(folder: &Path, names: &str) -> Result<Self> {
        let made = Self::in_one_file(folder);
        let mut command = Command::new("openssl");
        command
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", &format!("subjectAltName={names}")])
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.certificate);
        run(command, "openssl").await?;
        Ok(made)
    }

    /// Makes an expired certificate. `openssl req -x509` accepts no end in the past; `openssl ca` does.
    async fn own_authority_until_2020(folder: &Path) -> Result<Self> {
        let made = Self::in_one_file(folder);
        let (config, request) = (folder.join("ca.cnf"), folder.join("request.pem"));
        let index = folder.join("index.txt");
        std::fs::write(&index, "")?;
        let (index, folder) = (index.display(), folder.display());
        std::fs::write(
            &config,
            format!(
                "[ca]\ndefault_ca = own\n[own]\ndatabase = {index}\nnew_certs_dir = {folder}\n\
                 default_md = sha256\nrand_serial = yes\npolicy = any\n[any]\ncommonName = supplied\n[extensions]\n\
                 basicConstraints = critical,CA:TRUE\nsubjectAltName = {LOCAL_NAMES}\n"
            ),
        )?;
        let mut request_command = Command::new("openssl");
        request_command
            .args(["req", "-new", "-newkey", "rsa:2048", "-nodes"])
            .args(["-subj", "/CN=localhost", "-keyout"])
            .arg(&made.key)
            .arg("-out")
            .arg(&request);
        run(request_command, "openssl").await?;
        let mut signed = Command::new("openssl");
        signed
            .args(["ca", "-batch", "-selfsign", "-notext"])
            .args(["-startdate", "20200101000000Z"])
            .args(["-enddate", "20200201000000Z"])
            .args(["-extensions", "extensions", "-config"])
            .arg(&config)
            .arg("-keyfile")
            .arg(&made.key)
            .arg("-in")
            .arg(&request)
            .arg("-out")
            .arg(&made.certificate);
        run(signed, "openssl").await?;
        Ok(made)
    }

    fn in_one_file(folder: &Path) -> Self {
        Self {
            authority: folder.join("server.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        }
    }

    /// Makes an authority and a server certificate in `folder` with the `openssl` program.
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

/// The names of this machine.
const LOCAL_NAMES: &str = "IP:127.0.0.1,DNS:localhost";

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
