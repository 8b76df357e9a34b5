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

use super::channel::{self, Message, Origin};
use super::inherited::HANDOVER;
use crate::clock;
use crate::listener::Outlives;
use crate::live::{Live, Shared};
use crate::output;

/// The succession: how to start the next process, and what it gets.
pub(crate) struct Succession {
    offer: Arc<Offer>,
    live: Shared,
    /// The current attempt, and how to cancel it.
    attempt: Option<(JoinHandle<Result<Child, HandoverError>>, CancellationToken)>,
}

/// The command line of this process, and its listening sockets.
struct Offer {
    program: OsString,
    arguments: Vec<OsString>,
    sockets: Vec<Kept>,
}

/// A socket for the next process.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) origin: Origin,
    pub(crate) socket: OwnedFd,
    pub(crate) outlives: Outlives,
}

impl Kept {
    /// The socket of the `number`th listener with this setting and address.
    pub(crate) fn new(
        setting: &str,
        asked: String,
        number: usize,
        socket: OwnedFd,
        outlives: &Outlives,
    ) -> Self {
        Self {
            origin: Origin {
                setting: setting.to_owned(),
                asked,
                number,
                is_managed: outlives.get(),
            },
            socket,
            outlives: outlives.clone(),
        }
    }
}

/// Why the next process has not taken over.
#[derive(Debug, Error)]
enum HandoverError {
    /// The attempt was canceled.
    #[error("this one is asked to stop")]
    Abandoned,
    /// The next process has ended.
    #[error("it has ended ({0}) before it served; what it says stands above")]
    Ended(ExitStatus),
    /// This is the first process of a container, with which the container would end.
    #[error("this is process 1, with which its container ends; start a new container beside it")]
    FirstProcess,
    /// The channel to the next process failed.
    #[error("the channel to it is broken: {0}")]
    Io(#[from] io::Error),
    /// The next process takes too long.
    #[error("it does not serve after {} s, and is killed", .0.as_secs())]
    Late(Duration),
    /// The thread of the attempt panicked.
    #[error(transparent)]
    Panicked(#[from] JoinError),
    /// The next process could not be started.
    #[error("`{0}` cannot be started: {1}")]
    Start(String, io::Error),
}

impl Succession {
    /// The succession of a process with these listening sockets.
    pub(crate) fn of(sockets: Vec<Kept>, live: Shared) -> Self {
        let mut arguments = std::env::args_os();
        // By the name with which it was called, so that a changed symbolic link leads to the new version.
        let program = arguments.next().unwrap_or_default();
        let offer = Offer {
            program,
            arguments: arguments.collect(),
            sockets,
        };
        Self {
            offer: Arc::new(offer),
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
        let (offer, live) = (Arc::clone(&self.offer), self.live.load_full());
        let given_up = CancellationToken::new();
        let is_given_up = given_up.clone();
        let attempt = spawn_blocking(move || {
            let issuers_answer = Handle::current().block_on(live.hears_from_issuers());
            let all_answer = live.is_ready() && issuers_answer;
            offer.hand_over(&live, all_answer, &is_given_up)
        });
        self.attempt = Some((attempt, given_up));
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
                    let kept = self.offer.sockets.iter();
                    kept.for_each(|kept| kept.outlives.set());
                    return process.id();
                }
                Err(error) => {
                    tracing::error!(
                        "the new process does not take over, and this one goes on as before: {error}"
                    );
                }
            }
        }
    }

    /// Cancels the current attempt, if there is one, and ends its process. A process that serves already is asked to stop
    /// like this one.
    pub(crate) async fn abandon(mut self) {
        let Some((attempt, given_up)) = self.attempt.take() else {
            return;
        };
        given_up.cancel();
        // The log says already that this process stops.
        if let Ok(Ok(process)) = attempt.await {
            // The process may have ended by itself.
            let _ = kill_process(Pid::from_child(&process), Signal::TERM);
        }
    }
}

impl Offer {
    /// Starts the program again, and waits until it serves.
    fn hand_over(
        &self,
        live: &Live,
        all_answer: bool,
        given_up: &CancellationToken,
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
        let served = self.wait(&channel, &all, given_up, &mut child);
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
        given_up: &CancellationToken,
        child: &mut Child,
    ) -> Result<(), HandoverError> {
        let ended = |child: &mut Child| Ok::<_, HandoverError>(HandoverError::Ended(child.wait()?));
        for Kept { origin, socket, .. } in &self.sockets {
            let message = Message::Socket(origin.clone());
            if channel::send(channel, &message, Some(socket.as_fd())).is_err() {
                return Err(ended(child)?);
            }
        }
        if channel::send(channel, all, None).is_err() {
            return Err(ended(child)?);
        }
        channel.set_read_timeout(Some(BETWEEN_LOOKS))?;
        let start = clock::monotonic();
        while start.elapsed() < LONGEST_START {
            if given_up.is_cancelled() {
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
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
