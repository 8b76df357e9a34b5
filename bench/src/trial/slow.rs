//! How idle and slow clients affect the latency of a usual load.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use xtask::step::clock;

use super::crowd::{self, Crowd};
use super::{Found, Scale};
use crate::cpu::Snapshot;
use crate::goal::Bound;
use crate::kind::{Kind, Users};
use crate::lab::{Cookies, Lab};
use crate::load::{Answered, Load, Order};
use crate::measure::{PACE, median};
use crate::start::{CROWDED, start};
use crate::table::Table;
use crate::target::Target;

/// Measures the load alone, beside the idle and slow clients, and alone again.
///
/// # Errors
/// When the gate does not start, or a request of the load or of an idle client fails.
pub(super) fn run(lab: &Lab, scale: Scale) -> Result<Found> {
    crowd::allow_many_files()?;
    let target = start(Kind::Gate(Users::Memory), None, CROWDED, lab)?;
    target.verify(lab)?;
    let flood = load(&target, lab, f64::INFINITY)?;
    let rate = flood.requests / flood.seconds * PACE;
    let rounds = scale.rounds * 2;
    let measure = |label: &str, rounds| Phase::measure(label, &target, lab, rate, rounds);
    let before = measure("the load alone", rounds)?;
    let idle = Crowd::gather(&target, lab, IDLE)?;
    let (beside, renewed) =
        beside_slow_ones(&target, lab, || measure("beside the crowd", rounds * 2))?;
    idle.is_whole()?;
    drop(idle);
    sleep(REST);
    let after = measure("alone again", rounds)?;
    let mut table = Table::new(["", "requests/s", "p50 µs", "p99 µs", "×", "MiB"]);
    let alone = median(before.p99.iter().chain(&after.p99).copied()).context("no rounds")?;
    for phase in [&before, &beside, &after] {
        let p99 = phase.p99().context("no rounds")?;
        table.push([
            phase.label.clone(),
            format!("{:.0}", phase.rate),
            format!("{:.0}", phase.p50().context("no rounds")?),
            format!("{p99:.0}"),
            format!("{:.2}", p99 / alone),
            format!("{:.1}", phase.memory),
        ]);
    }
    let ratio = beside.p99().context("no rounds")? / alone;
    let [first, last] = [&before, &after].map(|phase| phase.p99().unwrap_or(f64::NAN));
    let is_disturbed = first.max(last) > first.min(last) * DISTURBED;
    let disturbed = is_disturbed.then(|| {
        format!("DISTURBED: alone, the p99 was {first:.0} µs before and {last:.0} µs after.")
    });
    Ok(Found {
        table,
        notes: [format!(
            "The load has 32 connections and sends at fixed times, 70 % of what the gate answers without pauses; medians of rounds of a \
             second. Each slow client sends a byte of its head, or reads up to 4 KiB of an answer of 8 MiB, once a \
             second; {renewed} were cut off and reconnected."
        )]
        .into_iter()
        .chain(disturbed)
        .collect(),
        figures: HashMap::from([("p99", ratio)]),
        details: Value::Null,
    })
}

/// The result of the load in one phase.
struct Phase {
    label: String,
    rate: f64,
    /// Microseconds, one value for each round; also `p99`.
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// MiB.
    memory: f64,
}

impl Phase {
    fn measure(label: &str, target: &Target, lab: &Lab, rate: f64, rounds: usize) -> Result<Self> {
        let rounds = (0..rounds).map(|_| load(target, lab, rate));
        let rounds = rounds.collect::<Result<Vec<_>>>()?;
        let memory = Snapshot::take().memory(&target.processes());
        let phase = Self {
            label: label.to_owned(),
            rate: rate.round(),
            p50: rounds.iter().map(|answered| answered.p50).collect(),
            p99: rounds.iter().map(|answered| answered.p99).collect(),
            memory: memory.context("the gate has exited")?.pss,
        };
        eprintln!("bench:   {label}: p99 {:?} µs", phase.p99());
        Ok(phase)
    }

    fn p50(&self) -> Option<f64> {
        median(self.p50.iter().copied())
    }

    fn p99(&self) -> Option<f64> {
        median(self.p99.iter().copied())
    }
}

/// Runs the load for a second.
fn load(target: &Target, lab: &Lab, rate: f64) -> Result<Answered> {
    Load::Paced { connections: 32 }.run(&Order {
        address: &target.address,
        speaks_tls: false,
        path: "/",
        headers: &[],
        cookies: &lab.cookies(Cookies::One),
        call: &[],
        refused: false,
        cores: None,
        rate,
        seconds: 1,
        folder: lab.folder(),
    })
}

/// Runs `measure` beside the slow clients; also returns how many of these had to reconnect.
fn beside_slow_ones<T>(
    target: &Target,
    lab: &Lab,
    measure: impl FnOnce() -> Result<T>,
) -> Result<(T, usize)> {
    let mut slow = Slow::gather(target, lab)?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| slow.go_on_until(&over));
        let measured = measure();
        over.store(true, Ordering::Relaxed);
        let renewed = slow.join().ok().context("the slow clients failed")??;
        Ok((measured?, renewed))
    })
}

/// Clients that send one byte a second, and clients that read a little each second.
struct Slow {
    port: u16,
    download: Vec<u8>,
    /// Opens sockets with small buffers.
    runtime: Runtime,
    senders: Vec<TcpStream>,
    readers: Vec<TcpStream>,
}

impl Slow {
    fn gather(target: &Target, lab: &Lab) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let mut slow = Self {
            port: crowd::port(target)?,
            download: crowd::request(lab, "/8m")?,
            runtime,
            senders: Vec::new(),
            readers: Vec::new(),
        };
        for _ in 0..SLOW {
            slow.senders.push(slow.sender()?);
            slow.readers.push(slow.reader()?);
        }
        Ok(slow)
    }

    fn sender(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    fn reader(&self) -> Result<TcpStream> {
        let stream = self.runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(PIECE)?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            socket.connect(address).await?.into_std()
        })?;
        (&stream).write_all(&self.download)?;
        Ok(stream)
    }

    /// Lets each client send or read once a second, in turn. A client that the gate has cut off reconnects. Returns how many did.
    fn go_on_until(&mut self, over: &AtomicBool) -> Result<usize> {
        let (start, mut renewed, mut done) = (clock(), 0, 0);
        while !over.load(Ordering::Relaxed) {
            let due = (start.elapsed().as_secs_f64() * SLOW as f64) as usize;
            while done < due {
                renewed += self.do_a_little(done % SLOW)?;
                done += 1;
            }
            sleep(Duration::from_millis(1));
        }
        Ok(renewed)
    }

    /// Lets one sender send and one reader read; returns how many of the two had been cut off and reconnected.
    fn do_a_little(&mut self, place: usize) -> Result<usize> {
        let mut renewed = 0;
        if is_cut(self.senders[place].write(b"x")) {
            self.senders[place] = self.sender()?;
            renewed += 1;
        }
        let mut piece = [0; PIECE as usize];
        if is_cut(self.readers[place].read(&mut piece)) {
            self.readers[place] = self.reader()?;
            renewed += 1;
        }
        Ok(renewed)
    }
}

/// Whether the server has ended the connection.
fn is_cut(moved: std::io::Result<usize>) -> bool {
    match moved {
        Ok(moved) => moved == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

pub(super) const GOALS: [(&str, &str, Bound); 1] = [(
    "p99",
    "p99 beside idle and slow connections, against without",
    Bound::AtMost(2.0),
)];

const IDLE: usize = 10_000;

/// The number of clients that send slowly, and the number that read slowly.
const SLOW: usize = 1_000;

/// The bytes that a slow reader reads at once.
const PIECE: u32 = 4096;

/// How long the gate may take to close the idle connections.
const REST: Duration = Duration::from_secs(2);

/// If the p99 of the load alone differs by more than this factor before and after, the run is not reliable.
const DISTURBED: f64 = 2.0;
