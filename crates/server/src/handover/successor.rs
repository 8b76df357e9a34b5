//! Starting the process that takes this one's place.

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

/// What is handed to the next process, and how that is started.
pub(crate) struct Succession {
    offer: Arc<Offer>,
    live: Shared,
    /// The attempt that is under way, and what gives it up.
    attempt: Option<(JoinHandle<Result<Child, HandoverError>>, CancellationToken)>,
}

/// As this process was started, and what it listens on.
struct Offer {
    program: OsString,
    arguments: Vec<OsString>,
    sockets: Vec<Kept>,
}

/// A socket that the process after this one gets.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) origin: Origin,
    pub(crate) socket: OwnedFd,
    pub(crate) outlives: Outlives,
}

impl Kept {
    /// The socket of a listener that this setting asks for at this address, for the `number`th time in the same words.
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

/// Why the next process does not take this one's place.
#[derive(Debug, Error)]
enum HandoverError {
    /// It has been given up.
    #[error("this one is asked to stop")]
    Abandoned,
    /// It has ended.
    #[error("it has ended ({0}) before it served; what it says stands above")]
    Ended(ExitStatus),
    /// A container ends with its first process.
    #[error("this is process 1, with which its container ends; start a new container beside it")]
    FirstProcess,
    /// The two do not understand each other.
    #[error("the channel to it is broken: {0}")]
    Io(#[from] io::Error),
    /// It takes too long.
    #[error("it does not serve after {} s, and is killed", .0.as_secs())]
    Late(Duration),
    /// This process has not done its part.
    #[error(transparent)]
    Panicked(#[from] JoinError),
    /// There is none.
    #[error("`{0}` cannot be started: {1}")]
    Start(String, io::Error),
}

impl Succession {
    /// Of a process that listens on these sockets.
    pub(crate) fn of(sockets: Vec<Kept>, live: Shared) -> Self {
        let mut arguments = std::env::args_os();
        // As it was called, so that a link to another version is followed anew.
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

    /// Starts a process that is to take this one's place, unless that has begun.
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

    /// Ready with the number of the process that serves in this one's place, once one does. Whatever else comes of an attempt is
    /// logged, and this process goes on.
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

    /// Gives up the attempt that is under way, if there is one, and ends its process. One that serves by now is asked to stop as
    /// this one is.
    pub(crate) async fn abandon(mut self) {
        let Some((attempt, given_up)) = self.attempt.take() else {
            return;
        };
        given_up.cancel();
        // It is logged that this process stops.
        if let Ok(Ok(process)) = attempt.await {
            // It may have ended by itself.
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
        // These are about this process alone.
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

/// Of how many listeners the keys of tickets fit into a message.
const MOST_TICKETS: usize = 64;

/// How long a new process may take until it serves.
const LONGEST_START: Duration = Duration::from_secs(60);

/// How soon it is noticed that this process is asked to stop meanwhile.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
