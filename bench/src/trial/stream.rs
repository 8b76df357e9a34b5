//! Whether memory stays flat while any number of bytes are streamed.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use serde_json::Value;
use xtask::step::{clock, command};

use super::{Found, Scale};
use crate::cpu::Snapshot;
use crate::goal::Bound;
use crate::http::Address;
use crate::lab::{Cookies, Lab};
use crate::start::start_before;
use crate::table::Table;
use crate::target::Target;

/// Streams in each direction, over HTTP/1.1 and over HTTP/2.
///
/// # Errors
/// When the gate does not start, or a byte is missing at the end.
pub(super) fn run(lab: &Lab, scale: Scale) -> Result<Found> {
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let upstream = Address::Tcp(service.local_addr()?.port());
    // The thread ends with this program.
    std::thread::spawn(move || serve(&service));
    let target = start_before(&upstream, lab)?;
    let bytes = scale.gigabytes * 1_000_000_000;
    let mut table = Table::new(["", "MB/s", "MiB before", "at most", "growth"]);
    let mut most: f64 = 0.0;
    for (kind, label) in TRANSFER_KINDS {
        let transfer = Transfer {
            kind,
            lab,
            target: &target,
        };
        transfer.run(WARMING)?;
        let before = memory(&target)?;
        let start = clock();
        let peak = watch(&target, || transfer.run(bytes)).context(label)?;
        let rate = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
        let growth = (peak - before).max(0.0);
        most = most.max(growth);
        eprintln!("bench:   {label}: {rate:.0} MB/s, {growth:.1} MiB");
        table.push([
            label.to_owned(),
            format!("{rate:.0}"),
            format!("{before:.1}"),
            format!("{peak:.1}"),
            format!("{growth:.1}"),
        ]);
    }
    Ok(Found {
        table,
        notes: vec![format!(
            "{} GB each way, over TLS, with `curl`; growth beyond what the gate had after {} MB the same way. \
             `--gigabytes` says how much.",
            scale.gigabytes,
            WARMING / 1_000_000
        )],
        figures: HashMap::from([("growth", most)]),
        details: Value::Null,
    })
}

/// The direction of a transfer, and the client's version of HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TransferKind {
    is_upload: bool,
    /// The option of `curl` for it.
    version: &'static str,
}

struct Transfer<'a> {
    kind: TransferKind,
    lab: &'a Lab,
    target: &'a Target,
}

impl Transfer<'_> {
    /// Transfers this many bytes.
    fn run(&self, bytes: u64) -> Result<()> {
        let cookie = self.lab.first_cookie(Cookies::One)?.context("a session")?;
        let mut curl = command("curl --silent --show-error --insecure");
        curl.arg(self.kind.version)
            .args(["--header", &format!("Cookie: {cookie}")])
            .arg(format!("https://{}/{bytes}", self.target.address));
        match self.kind.is_upload {
            true => upload(curl.args(["--upload-file", "-"]), bytes),
            false => download(&mut curl, bytes),
        }
    }
}

/// Sends zeros and verifies that the service has counted them all.
fn upload(curl: &mut Command, bytes: u64) -> Result<()> {
    let mut curl = curl
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start curl")?;
    let mut pipe = curl.stdin.take().context("a pipe")?;
    let (zeros, mut left) = (vec![0; BUFFER], bytes);
    while left > 0 {
        let piece = left.min(BUFFER as u64);
        pipe.write_all(&zeros[..usize::try_from(piece)?])?;
        left -= piece;
    }
    drop(pipe);
    let output = curl.wait_with_output()?;
    let counted = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        counted == bytes.to_string(),
        "the service counted {counted:?} of {bytes} bytes"
    );
    Ok(())
}

/// Receives the service's bytes and verifies their number.
fn download(curl: &mut Command, bytes: u64) -> Result<()> {
    let written = [
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code} %{size_download}",
    ];
    let output = curl.args(written).output().context("cannot start curl")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        printed == format!("200 {bytes}"),
        "curl printed {printed:?} for {bytes} bytes"
    );
    Ok(())
}

/// Runs `act` and returns the peak memory of the gate meanwhile, in MiB.
fn watch(target: &Target, act: impl FnOnce() -> Result<()>) -> Result<f64> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak: f64 = 0.0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(memory(target)?);
                sleep(SAMPLE_INTERVAL);
            }
            anyhow::Ok(peak)
        });
        let done = act();
        over.store(true, Ordering::Relaxed);
        let peak = peak.join().ok().context("the memory watcher failed")??;
        done?;
        Ok(peak)
    })
}

/// Returns the memory of the gate, in MiB.
fn memory(target: &Target) -> Result<f64> {
    let memory = Snapshot::take().memory(&target.processes());
    Ok(memory.context("the gate has exited")?.pss)
}

/// Runs the service: it sends as many zeros as the path says, or answers with the number of zeros that it received.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            // The client notices when a connection breaks.
            let _ = converse(stream);
        });
    }
}

fn converse(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        let end = loop {
            if let Some(at) = memmem::find(&buffer[..filled], b"\r\n\r\n") {
                break at + 4;
            }
            let read = stream.read(&mut buffer[filled..])?;
            ensure!(read > 0, "the connection is over");
            filled += read;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        if head.starts_with("GET") {
            let path = head.split(' ').nth(1).context("a path")?;
            send(&mut stream, path.trim_start_matches('/').parse()?)?;
        } else {
            let count = count(&mut stream, &mut buffer, end..filled)?.to_string();
            let length = count.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{count}"
            )?;
        }
        filled = 0;
    }
}

fn send(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")?;
    let (zeros, mut left) = (vec![0; BUFFER], bytes);
    while left > 0 {
        let piece = left.min(BUFFER as u64);
        stream.write_all(&zeros[..usize::try_from(piece)?])?;
        left -= piece;
    }
    Ok(())
}

/// Counts the zeros of a chunked body. Because it consists of zeros, no data can look like the last chunk.
fn count(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    mut filled: std::ops::Range<usize>,
) -> Result<usize> {
    let (mut zeros, mut tail) = (0, Vec::new());
    loop {
        let piece = &buffer[filled.clone()];
        zeros += piece.iter().filter(|byte| **byte == 0).count();
        tail.extend_from_slice(&piece[piece.len().saturating_sub(LAST_CHUNK.len())..]);
        tail.drain(..tail.len().saturating_sub(LAST_CHUNK.len()));
        if tail == LAST_CHUNK {
            return Ok(zeros);
        }
        let read = stream.read(buffer)?;
        ensure!(read > 0, "the body breaks off");
        filled = 0..read;
    }
}

const TRANSFER_KINDS: [(TransferKind, &str); 4] = [
    (
        TransferKind {
            is_upload: true,
            version: "--http1.1",
        },
        "to the service, HTTP/1.1",
    ),
    (
        TransferKind {
            is_upload: false,
            version: "--http1.1",
        },
        "to the client, HTTP/1.1",
    ),
    (
        TransferKind {
            is_upload: true,
            version: "--http2",
        },
        "to the service, HTTP/2",
    ),
    (
        TransferKind {
            is_upload: false,
            version: "--http2",
        },
        "to the client, HTTP/2",
    ),
];

pub(super) const GOALS: [(&str, &str, Bound); 1] = [(
    "growth",
    "MiB by which memory grows while bytes are streamed",
    Bound::AtMost(4.0),
)];

/// The end of a chunked body without trailers.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

const BUFFER: usize = 256 * 1024;

/// The bytes that are transferred in the same direction before the measurement.
const WARMING: u64 = 200_000_000;

/// The pause between two readings of the memory.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
