//! Requests at a fixed rate: the latency is that of clients that do not wait for the answer to the previous request.
//!
//! Each connection has a timetable. If a request is late because an earlier one is still unanswered, its latency counts from
//! the moment at which it was due: otherwise a server that stalls would hide its stall by slowing the load down ("coordinated
//! omission"). If it is late because the load slept too long, its latency counts from when it is sent: that delay is the load's.
//!
//! One thread sends and two receive. A thread for each connection, or a timer of the runtime, would be simpler, but the
//! threads cost more than the server under measurement, and the timer ticks in milliseconds.

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;
use xtask::step::clock;

use super::{Answered, Order, percentile};
use crate::http::{Address, Extent, get};

/// Runs the load on this many connections.
///
/// # Errors
/// As [`super::Load::run`].
pub(super) fn run(order: &Order<'_>, connections: u32) -> Result<Answered> {
    let Address::Tcp(port) = *order.address else {
        bail!("a paced load needs a TCP address");
    };
    let requests = requests(order)?;
    let start = clock();
    let lanes = (0..connections).map(|_| Lane::open(port, start));
    let lanes = lanes.collect::<Result<Vec<_>>>()?;
    let timetable = Timetable {
        interval: Duration::from_secs_f64(f64::from(connections) / order.rate),
        end: Duration::from_secs(order.seconds.into()),
    };
    let (sent, received) = std::thread::scope(|scope| {
        let halves = lanes.chunks(lanes.len().div_ceil(2));
        let receivers: Vec<_> = halves.map(|half| scope.spawn(|| receive(half))).collect();
        let sent = timetable.send(&lanes, &requests);
        for lane in &lanes {
            // Its receiver reads the end of the stream and returns; a lane that the server has closed has already ended.
            let _ = lane.stream.shutdown(Shutdown::Both);
        }
        let received = receivers.into_iter();
        let received =
            received.map(|receiver| receiver.join().ok().context("a receiver failed")?);
        (sent, received.collect::<Result<Vec<_>>>())
    });
    let (never_sent, parts) = (sent?, received?);
    let answered: Vec<_> = parts.into_iter().flatten().collect();
    let refusals = answered.iter().filter(|(_, status)| *status > 399).count();
    order.check(answered.len() as u64, refusals as u64, 0)?;
    let latencies = answered.iter().map(|(latency, _)| *latency);
    let latencies = latencies.chain(never_sent);
    let mut latencies: Vec<_> = latencies
        .map(|latency| latency.as_secs_f64() * 1e6)
        .collect();
    latencies.sort_by(f64::total_cmp);
    Ok(Answered {
        requests: answered.len() as f64,
        seconds: f64::from(order.seconds),
        p50: percentile(&latencies, 0.5),
        p99: percentile(&latencies, 0.99),
    })
}

/// Returns one request for each cookie, or one without a cookie if there are none.
fn requests(order: &Order<'_>) -> Result<Vec<Vec<u8>>> {
    let cookies = order.cookies()?;
    let none = cookies.is_empty().then_some(None);
    let requests = cookies.into_iter().map(Some).chain(none).map(|cookie| {
        let cookie = cookie.map(|cookie| ("Cookie".to_owned(), cookie));
        let headers: Vec<_> = order.headers.iter().cloned().chain(cookie).collect();
        get(order.path, &headers)
    });
    Ok(requests.collect())
}

/// A connection, and the time since which it has been waiting for an answer.
#[derive(Debug)]
struct Lane {
    stream: TcpStream,
    start: Instant,
    /// Nanoseconds after `start`; 0 while no answer is due.
    waiting_since: AtomicU64,
}

/// When requests are due, as durations since the start.
struct Timetable {
    /// Between two requests of one lane; zero if the next request is due as soon as the answer arrives.
    interval: Duration,
    end: Duration,
}

impl Timetable {
    /// Sends these requests in turn, each when it is due, until the end, and waits for the last answers. A request cannot be sent
    /// while the answer to an earlier one on its lane is missing. Returns, for each request that was still unsent at the end for
    /// this reason, how long it was overdue.
    fn send(&self, lanes: &[Arc<Lane>], requests: &[Vec<u8>]) -> Result<Vec<Duration>> {
        let mut requests = requests.iter().cycle();
        let start = lanes.first().context("a lane")?.start;
        let count = u32::try_from(lanes.len())?;
        // Lanes take turns.
        let first_due = (0..count).map(|number| self.interval * number / count + TICK);
        let mut due: Vec<_> = first_due.map(|due| (due, false)).collect();
        while start.elapsed() < self.end {
            for (lane, (due, late)) in lanes.iter().zip(&mut due) {
                let now = start.elapsed();
                if *due > now {
                    continue;
                }
                if lane.waiting_since.load(Ordering::Acquire) != 0 {
                    *late = true;
                    continue;
                }
                let request = requests.next().context("a request")?;
                lane.send(request, if *late { *due } else { now })?;
                *due += self.interval;
                *late = *due <= now;
            }
            sleep(TICK);
        }
        let mut never_sent = Vec::new();
        for (mut due, _) in due {
            // Without an interval no request is late.
            while due < self.end && !self.interval.is_zero() {
                never_sent.push(self.end - due);
                due += self.interval;
            }
        }
        let waiting = |lane: &Arc<Lane>| lane.waiting_since.load(Ordering::Acquire) != 0;
        while lanes.iter().any(waiting) && start.elapsed() < self.end + TIMEOUT {
            sleep(Duration::from_millis(1));
        }
        Ok(never_sent)
    }
}

impl Lane {
    fn open(port: u16, start: Instant) -> Result<Arc<Self>> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Arc::new(Self {
            stream,
            start,
            waiting_since: AtomicU64::new(0),
        }))
    }

    fn send(&self, request: &[u8], since: Duration) -> Result<()> {
        let since = u64::try_from(since.as_nanos())?;
        self.waiting_since.store(since, Ordering::Release);
        let written = (&self.stream).write(request)?;
        ensure!(written == request.len(), "a request did not fit");
        Ok(())
    }

    /// Receives answers until the connection ends; returns the latency and status of each.
    async fn receive(self: Arc<Self>) -> Result<Vec<(Duration, u16)>> {
        let stream = tokio::net::TcpStream::from_std(self.stream.try_clone()?)?;
        let (mut buffer, mut filled) = (vec![0; 128 * 1024], 0);
        let mut answers = Vec::new();
        loop {
            stream.readable().await?;
            match stream.try_read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            if let Some(answer) = Extent::of(&buffer[..filled])? {
                let since = self.waiting_since.swap(0, Ordering::AcqRel);
                ensure!(since != 0, "an answer came without a request");
                let latency = self.start.elapsed() - Duration::from_nanos(since);
                answers.push((latency, answer.status));
                filled = 0;
            }
        }
        let waiting = self.waiting_since.load(Ordering::Acquire) != 0;
        ensure!(!waiting, "the connection ended before the answer");
        Ok(answers)
    }
}

/// Receives the answers of these lanes.
fn receive(lanes: &[Arc<Lane>]) -> Result<Vec<(Duration, u16)>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let mut receivers = JoinSet::new();
        for lane in lanes {
            receivers.spawn(Arc::clone(lane).receive());
        }
        let mut answers = Vec::new();
        while let Some(received) = receivers.join_next().await {
            answers.extend(received??);
        }
        Ok(answers)
    })
}

/// The shortest sleep of the sender; the kernel makes it about twice as long.
const TICK: Duration = Duration::from_micros(50);

/// How long the last answers may take.
const TIMEOUT: Duration = Duration::from_secs(10);
