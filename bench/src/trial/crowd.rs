//! Many connections that this process keeps open at once.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use xtask::step::{command, output};

use crate::http::{Address, Connection, get};
use crate::lab::{Cookies, Lab};
use crate::target::Target;
use crate::tls::TlsClient;

/// Idle connections that have each received one answer. Dropping the crowd closes them.
#[derive(Debug)]
pub(crate) struct Crowd(Vec<TcpStream>);

impl Crowd {
    /// Opens this many connections, a few at a time, and sends one request on each.
    ///
    /// # Errors
    /// When a connection fails, or an answer is not 200.
    pub(crate) fn gather(target: &Target, lab: &Lab, count: usize) -> Result<Self> {
        let request = request(lab, "/")?;
        let port = port(target)?;
        let tls_client = match target.kind.speaks_tls() {
            true => Some(TlsClient::new(false)?),
            false => None,
        };
        let open = || match &tls_client {
            Some(tls_client) => {
                let mut stream = tls_client.connect(port, TIMEOUT)?;
                expect_ok(&mut Connection::of(&mut stream), &request)?;
                // The server does not notice that the TLS keys are discarded here.
                anyhow::Ok(stream.sock)
            }
            None => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                expect_ok(&mut Connection::of(&stream), &request)?;
                Ok(stream)
            }
        };
        let share = count.div_ceil(THREADS);
        let streams = std::thread::scope(|scope| {
            let threads = (0..THREADS).map(|thread| {
                let open = &open;
                let here = share.min(count.saturating_sub(thread * share));
                scope.spawn(move || (0..here).map(|_| open()).collect::<Result<Vec<_>>>())
            });
            let threads: Vec<_> = threads.collect();
            let parts = threads
                .into_iter()
                .map(|thread| thread.join().ok().context("a thread failed")?);
            parts.collect::<Result<Vec<_>>>()
        })?;
        Ok(Self(streams.into_iter().flatten().collect()))
    }

    /// Verifies that the server has closed none of the connections.
    ///
    /// # Errors
    /// When it has closed one.
    pub(crate) fn is_whole(&self) -> Result<()> {
        for mut stream in &self.0 {
            stream.set_nonblocking(true)?;
            // The tickets of TLS 1.3 may still be unread.
            let mut unread = [0; 4096];
            while !matches!(stream.read(&mut unread), Err(error) if error.kind() == ErrorKind::WouldBlock)
            {
                let ended = stream.peek(&mut unread).is_ok_and(|read| read == 0);
                ensure!(!ended, "the server has closed an idle connection");
            }
        }
        Ok(())
    }
}

/// A GET request with a session.
///
/// # Errors
/// When there is no session.
pub(crate) fn request(lab: &Lab, path: &str) -> Result<Vec<u8>> {
    let cookie = lab.first_cookie(Cookies::One)?.context("a session")?;
    Ok(get(path, &[("Cookie".to_owned(), cookie)]))
}

/// Returns the port of the target.
///
/// # Errors
/// When the target listens on a Unix socket.
pub(crate) fn port(target: &Target) -> Result<u16> {
    match target.address {
        Address::Tcp(port) => Ok(port),
        Address::Unix(_) => bail!("idle connections need a TCP address"),
    }
}

/// Raises this process's limit of open files, so that it suffices for every connection.
///
/// # Errors
/// When the system allows fewer.
pub(crate) fn allow_many_files() -> Result<()> {
    let id = std::process::id();
    output(&mut command(&format!(
        "prlimit --pid {id} --nofile={FILES}:"
    )))?;
    Ok(())
}

fn expect_ok(connection: &mut Connection<'_>, request: &[u8]) -> Result<()> {
    let status = connection.exchange(request)?.status;
    ensure!(
        status == 200,
        "one of many connections was answered {status}"
    );
    Ok(())
}

/// The number of connections that are opened at the same time.
const THREADS: usize = 8;

/// The limit of open files, the same as the servers'.
const FILES: u32 = 16_384;

/// Longer than any answer takes, so that a server which hangs becomes an error.
const TIMEOUT: Duration = Duration::from_secs(10);
