//! The resources that all targets share: the upstream, the stores, the sessions, and a folder for files.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use harness::{Authority, KeyPair, Postgres, Redis, free_port, mint};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use xtask::step::root;

use super::call::check_request;
use super::http::Address;
use super::service::{Program, Service};
use super::unary;

/// The resources that stay the same from the first case to the last. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Lab {
    // Fields drop in order: the servers first, what they depend on last.
    _upstream: Service,
    upstream_port: u16,
    grpc_port: u16,
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
    /// The certificate of all TLS servers: ECDSA with P-256.
    pub(crate) certificate: KeyPair,
    /// The `sessiongate` binary.
    pub(crate) gate: PathBuf,
    pub(crate) cores: usize,
    folder: TempDir,
    _runtime: Runtime,
}

/// The session cookies of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// Another user, and so another token, in every request.
    Many,
    /// No cookie.
    None,
    /// One session, the same in every request.
    One,
    /// The same session in every request, read from a file as long as that of [`Cookies::Many`], so that the load costs as much.
    Same,
    /// A session with a wrong authentication tag.
    WrongTag,
}

impl Lab {
    /// Creates the sessions, and starts the stores and the upstream.
    ///
    /// # Errors
    /// When a program is missing or does not start.
    pub(crate) fn open(gate: PathBuf) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The workers of an nginx that root starts run as another user, and need the files and sockets in here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        mint_cookies(folder.path())?;
        let cores = std::thread::available_parallelism()?.get();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (postgres, redis, certificate) = runtime.block_on(async {
            let (postgres, redis) = (Postgres::start().await?, Redis::start().await?);
            let authority = Authority::make(folder.path()).await?;
            let certificate = authority
                .server("server", "DNS:localhost,IP:127.0.0.1")
                .await?;
            let users = format!(
                "CREATE TABLE users (id text PRIMARY KEY); \
                 INSERT INTO users SELECT 'user-' || lpad(n::text, 5, '0') FROM generate_series(0, {USERS} - 1) n; \
                 ANALYZE users;"
            );
            postgres.execute(&users).await?;
            anyhow::Ok((postgres, redis, certificate))
        })?;
        write_files(&folder.path().join(FILES))?;
        let upstream_port = free_port();
        let upstream_address = Address::Tcp(upstream_port);
        let upstream = start_upstream(folder.path(), &upstream_address, None, cores)?;
        Ok(Self {
            _upstream: upstream,
            upstream_port,
            grpc_port: unary::start()?,
            postgres,
            redis,
            certificate,
            gate,
            cores,
            folder,
            _runtime: runtime,
        })
    }

    /// The address of the upstream of every target that may use all cores.
    pub(crate) fn upstream(&self) -> Address {
        Address::Tcp(self.upstream_port)
    }

    /// The address of the gRPC service.
    pub(crate) fn grpc_service(&self) -> Address {
        Address::Tcp(self.grpc_port)
    }

    /// The folder of the servers that serve files.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join(FILES)
    }

    /// A folder for temporary files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file with these cookies, one Cookie header a line.
    pub(crate) fn cookies(&self, cookies: Cookies) -> PathBuf {
        self.folder.path().join(cookies.file())
    }

    /// Writes a file with this name and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<String> {
        let file = self.folder.path().join(name);
        fs::write(&file, text)?;
        Ok(file.display().to_string())
    }

    /// The first of these cookies.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn first_cookie(&self, cookies: Cookies) -> Result<Option<String>> {
        let text = fs::read_to_string(self.cookies(cookies))?;
        Ok(text.lines().next().map(str::to_owned))
    }

    /// Returns the gRPC call that asks for a decision about a request with the first of these cookies.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn call(&self, cookies: Cookies) -> Result<Vec<u8>> {
        let cookie = self.first_cookie(cookies)?.unwrap_or_default();
        Ok(check_request("127.0.0.1", "/", &[("cookie", &cookie)]))
    }

    /// Starts another upstream, or an nginx that is measured without an upstream.
    ///
    /// # Errors
    /// When the server does not start.
    pub(crate) fn another_upstream(
        &self,
        address: &Address,
        cores: Option<usize>,
    ) -> Result<Service> {
        start_upstream(self.folder.path(), address, cores, self.cores)
    }

    /// Starts `program` with a configuration from `bench/`, in which each `@NAME@` is replaced by its value.
    ///
    /// The word `CONFIGURATION` of the command line is replaced by the path of the file.
    ///
    /// # Errors
    /// When the configuration has a placeholder without a value, or the program does not start.
    pub(crate) fn start(
        &self,
        mut program: Program<'_>,
        configuration: &str,
        values: &[(&str, String)],
        address: &Address,
    ) -> Result<Service> {
        let folder = fresh_folder(self.folder.path(), program.name)?;
        let file = write_configuration(&folder, configuration, values)?;
        for word in &mut program.words {
            if word == "CONFIGURATION" {
                file.clone_into(word);
            }
        }
        Service::start(&program, &folder, address)
    }

    /// Starts a program that its command line and environment configure completely.
    ///
    /// # Errors
    /// When the server does not start.
    pub(crate) fn start_plain(&self, program: &Program<'_>, address: &Address) -> Result<Service> {
        let folder = fresh_folder(self.folder.path(), program.name)?;
        Service::start(program, &folder, address)
    }
}

impl Cookies {
    fn file(self) -> &'static str {
        match self {
            Self::Many => "cookies-many",
            Self::None => "cookies-none",
            Self::One => "cookies-one",
            Self::Same => "cookies-same",
            Self::WrongTag => "cookies-wrong-tag",
        }
    }
}

/// The command line of an nginx that runs in its folder.
pub(crate) fn nginx() -> Vec<String> {
    ["nginx", "-p", ".", "-e", "stderr", "-c", "CONFIGURATION"]
        .map(str::to_owned)
        .into()
}

fn start_upstream(
    lab: &Path,
    address: &Address,
    cores: Option<usize>,
    all_cores: usize,
) -> Result<Service> {
    let name = "upstream";
    let folder = fresh_folder(lab, name)?;
    for (name, length) in [("64k", 64 * 1024), ("8m", 8 * 1024 * 1024)] {
        fs::write(folder.join(name), vec![b'.'; length])?;
    }
    let values = [
        ("CORES", cores.unwrap_or(all_cores).to_string()),
        ("LISTEN", address.to_string()),
    ];
    let file = write_configuration(&folder, "upstream.conf", &values)?;
    let mut words = nginx();
    words.pop();
    words.push(file);
    let program = Program {
        name,
        words,
        environment: Vec::new(),
        cores,
    };
    Service::start(&program, &folder, address)
}

/// Writes the files that servers serve.
fn write_files(folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    for (name, length) in SENT {
        fs::write(folder.join(name), vec![b'.'; length])?;
    }
    Ok(())
}

fn fresh_folder(lab: &Path, name: &str) -> Result<PathBuf> {
    for number in 0.. {
        let folder = lab.join(format!("{name}-{number}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("no name is left")
}

/// Replaces the placeholders and returns the path of the result.
fn write_configuration(folder: &Path, name: &str, values: &[(&str, String)]) -> Result<String> {
    let mut text = fs::read_to_string(root().join("bench").join(name))?;
    for (placeholder, value) in values {
        text = text.replace(&format!("@{placeholder}@"), value);
    }
    let unfilled = text.split('@').skip(1).step_by(2).find(|word| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_uppercase())
    });
    ensure!(
        unfilled.is_none(),
        "{name} has a placeholder without a value: {unfilled:?}"
    );
    let file = folder.join(Path::new(name).file_name().context("a file")?);
    fs::write(&file, text)?;
    Ok(file.display().to_string())
}

/// Creates a session for every user with the real Auth.js, and writes a file for each [`Cookies`].
fn mint_cookies(folder: &Path) -> Result<()> {
    let orders = (0..USERS).map(|number| {
        let claims = json!({
            "sub": user(number), "name": "Ada Lovelace", "email": "ada@example.com",
            "picture": "https://example.com/ada.png",
        });
        let order = json!({"format": "authjs5", "secret": mint::SECRET, "salt": mint::AUTHJS, "claims": claims});
        format!("{order}\n")
    });
    let (ordered, made) = (folder.join("orders"), folder.join("tokens"));
    fs::write(&ordered, orders.collect::<String>())?;
    let status = Command::new("node")
        .arg(root().join("tests/interop/mint.mjs"))
        .stdin(File::open(ordered)?)
        .stdout(File::create(&made)?)
        .status()
        .context("cannot start node")?;
    ensure!(status.success(), "Auth.js made no sessions: {status}");
    let tokens = fs::read_to_string(made)?;
    let cookies = tokens
        .lines()
        .map(|token| format!("{}={token}\n", mint::AUTHJS));
    let cookies: Vec<_> = cookies.collect();
    ensure!(
        cookies.len() == USERS,
        "Auth.js made {} sessions",
        cookies.len()
    );
    let one = cookies.first().context("a session")?;
    let write = |cookies: Cookies, text: String| fs::write(folder.join(cookies.file()), text);
    write(Cookies::None, String::new())?;
    write(Cookies::One, one.clone())?;
    write(Cookies::Same, one.repeat(USERS))?;
    write(Cookies::WrongTag, wrong_tag(one)?)?;
    write(Cookies::Many, cookies.concat())?;
    Ok(())
}

/// Changes the first character of the tag. The last one would not do: some of its bits may be padding.
fn wrong_tag(cookie: &str) -> Result<String> {
    let (rest, tag) = cookie.rsplit_once('.').context("a token in segments")?;
    let first = if tag.starts_with('A') { 'B' } else { 'A' };
    let others: String = tag.chars().skip(1).collect();
    Ok(format!("{rest}.{first}{others}"))
}

/// The id of the user with this number.
pub(crate) fn user(number: usize) -> String {
    format!("user-{number:05}")
}

/// The names of the files, and their lengths in bytes.
pub(crate) const SENT: [(&str, usize); 2] = [("4k.html", 4 * 1024), ("1m.html", 1024 * 1024)];

const FILES: &str = "files";

/// The number of users: their remembered data exceeds the caches of a CPU.
pub(crate) const USERS: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::wrong_tag;

    #[test]
    fn a_wrong_tag_differs_in_its_first_character_alone() {
        assert_eq!(wrong_tag("c=a..b.c.Axyz").unwrap(), "c=a..b.c.Bxyz");
        assert_eq!(wrong_tag("c=a..b.c.xyz").unwrap(), "c=a..b.c.Ayz");
    }
}
