//! Starts the process that takes over from this one.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::channel::{self, Message, SocketPurpose};
use super::inherited::HANDOVER;
use crate::clock;
use crate::listener::OtherAcceptor;
use crate::live::{Live, SharedLive};
use crate::output;

/// The successor: how to start the next process, and what it gets.
pub(crate) struct Successor {
    plan: Arc<StartPlan>,
    live: SharedLive,
    /// The current attempt, and how to cancel it.
    attempt: Option<(JoinHandle<Result<Child, HandoverError>>, CancellationToken)>,
}

/// The command line of this process, and its listening sockets.
struct StartPlan {
    program: OsString,
    arguments: Vec<OsString>,
    sockets: Vec<HandedSocket>,
}

/// A socket for the next process.
#[derive(Debug)]
pub(crate) struct HandedSocket {
    pub(crate) purpose: SocketPurpose,
    pub(crate) socket: OwnedFd,
    pub(crate) other_acceptor: OtherAcceptor,
}

impl HandedSocket {
    /// The socket of the `number`th listener with this setting and address.
    pub(crate) fn new(
        setting: &str,
        configured: String,
        number: usize,
        socket: OwnedFd,
        other_acceptor: &OtherAcceptor,
    ) -> Self {
        Self {
            purpose: SocketPurpose {
                setting: setting.to_owned(),
                configured,
                number,
                is_managed: other_acceptor.get(),
            },
            socket,
            other_acceptor: other_acceptor.clone(),
        }
    }
}

/// Why the next process has not taken over.
#[derive(Debug, Error)]
enum HandoverError {
    /// The attempt was canceled.
    #[error("this process was asked to stop")]
    Abandoned,
    /// The next process has ended.
    #[error("it ended ({0}) before it was ready; see its messages above")]
    Ended(ExitStatus),
    /// This process is the first one of its container, which would stop with it.
    #[error(
        "this gate runs as process 1, so its container would stop with it; start another container instead"
    )]
    FirstProcess,
    /// The channel to the next process failed.
    #[error("the channel to it is broken: {0}")]
    Io(#[from] io::Error),
    /// The next process takes too long.
    #[error("it was not ready within {} s and was killed", .0.as_secs())]
    Late(Duration),
    /// The thread of the attempt panicked.
    #[error(transparent)]
    Panicked(#[from] JoinError),
    /// The next process could not be started.
    #[error("`{0}` cannot be started: {1}")]
    Start(String, io::Error),
}

impl Successor {
    /// The successor of a process with these listening sockets.
    pub(crate) fn of(sockets: Vec<HandedSocket>, live: SharedLive) -> Self {
        let mut arguments = std::env::args_os();
        // By the name with which it was called, so that a changed symbolic link leads to the new version.
        let program = arguments.next().unwrap_or_default();
        let plan = StartPlan {
            program,
            arguments: arguments.collect(),
            sockets,
        };
        Self {
            plan: Arc::new(plan),
            live,
            attempt: None,
        }
    }

    /// Starts the next process, unless an attempt is running.
    pub(crate) fn begin(&mut self) {
        if self.attempt.is_some() {
            tracing::info!("SIGUSR2: a new process is already being started");
            return;
        }
        tracing::info!("SIGUSR2: starting a new process, which gets the listening sockets");
        output::share();
        let (plan, live) = (Arc::clone(&self.plan), self.live.load_full());
        let cancel = CancellationToken::new();
        let canceled = cancel.clone();
        let attempt = spawn_blocking(move || {
            let issuers_answer = Handle::current().block_on(live.wait_for_issuer_keys());
            let all_answer = live.is_ready() && issuers_answer;
            plan.hand_over(&live, all_answer, &canceled)
        });
        self.attempt = Some((attempt, cancel));
    }

    /// Ready with the id of the process that has taken over. A failed attempt is logged, and this process goes on.
    pub(crate) async fn succeeded(&mut self) -> u32 {
        loop {
            let Some((attempt, _)) = &mut self.attempt else {
                return std::future::pending().await;
            };
            let handed_over = attempt.await;
            self.attempt = None;
            match handed_over.map_err(HandoverError::from).flatten() {
                Ok(process) => {
                    let kept = self.plan.sockets.iter();
                    kept.for_each(|kept| kept.other_acceptor.set());
                    return process.id();
                }
                Err(error) => {
                    tracing::error!(
                        "the new process does not take over; this process continues as before: {error}"
                    );
                }
            }
        }
    }

    /// Cancels the current attempt, if there is one, and ends its process. A process that is already serving is asked to stop
    /// like this one.
    pub(crate) async fn abandon(mut self) {
        let Some((attempt, cancel)) = self.attempt.take() else {
            return;
        };
        cancel.cancel();
        // The log already says that this process is stopping.
        if let Ok(Ok(process)) = attempt.await {
            // The process may have ended by itself.
            let _ = kill_process(Pid::from_child(&process), Signal::TERM);
        }
    }
}

impl StartPlan {
    /// Starts the program again, and waits until it serves.
    fn hand_over(
        &self,
        live: &Live,
        all_answer: bool,
        cancel: &CancellationToken,
    ) -> Result<Child, HandoverError> {
        if process::id() == 1 {
            return Err(HandoverError::FirstProcess);
        }
        let (channel, theirs) = UnixStream::pair()?;
        let mut child = self.start(theirs)?;
        let mut tickets = live.tickets();
        tickets.truncate(MOST_TICKETS);
        let all = Message::All {
            all_answer,
            tickets,
        };
        let served = self.wait(&channel, &all, cancel, &mut child);
        if served.is_err() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        served.map(|()| child)
    }

    fn start(&self, channel: UnixStream) -> Result<Child, HandoverError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env(HANDOVER, "stdin");
        // These variables concern this process only.
        for name in ["LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        let started = command.stdin(Stdio::from(OwnedFd::from(channel))).spawn();
        let name = || self.program.to_string_lossy().into_owned();
        started.map_err(|error| HandoverError::Start(name(), error))
    }

    fn wait(
        &self,
        channel: &UnixStream,
        all: &Message,
        cancel: &CancellationToken,
        child: &mut Child,
    ) -> Result<(), HandoverError> {
        let ended = |child: &mut Child| Ok::<_, HandoverError>(HandoverError::Ended(child.wait()?));
        for HandedSocket {
            purpose, socket, ..
        } in &self.sockets
        {
            let message = Message::Socket(purpose.clone());
            if channel::send(channel, &message, Some(socket.as_fd())).is_err() {
                return Err(ended(child)?);
            }
        }
        if channel::send(channel, all, None).is_err() {
            return Err(ended(child)?);
        }
        channel.set_read_timeout(Some(BETWEEN_CHECKS))?;
        let start = clock::monotonic();
        while start.elapsed() < LONGEST_START {
            if cancel.is_cancelled() {
                return Err(HandoverError::Abandoned);
            }
            match channel::receive(channel) {
                Ok(Some((Message::Ready, _))) => return Ok(()),
                Ok(Some(_)) => {}
                Ok(None) => return Err(ended(child)?),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(HandoverError::Late(LONGEST_START))
    }
}

/// The number of listeners whose ticket keys fit into a message.
const MOST_TICKETS: usize = 64;

/// How long a new process may take until it is ready.
const LONGEST_START: Duration = Duration::from_secs(60);

/// How often this process checks, while it waits, whether it was asked to stop.
const BETWEEN_CHECKS: Duration = Duration::from_millis(50);
