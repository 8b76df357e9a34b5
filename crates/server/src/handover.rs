//! Handover of listening sockets: from the service manager, and from one process to the next of the same program.
//!
//! ```text
//! old process                                   new process
//!   SIGUSR2
//!   starts the program again ─────────────────▶ starts
//!   its listening sockets ════ SCM_RIGHTS ════▶ receives them
//!   its keys of TLS tickets ──────────────────▶ receives them, to accept the tickets of the old process's clients
//!                                               reads its configuration
//!                                               takes the sockets that it is to listen on, and binds the missing ones
//!   accepts                                     waits for its stores
//!   accepts                                     accepts too, from the same queues
//!   accepts no more ◀───────── "ready" ─────────
//!   finishes what is in flight
//!   ends
//! ```
//!
//! The sockets stay open, with the connections in their queues, which a close would reset. If the new process ends, or is
//! not ready in time, the old one continues.
//!
//! The channel between the two is the standard input of the new one. Descriptors are passed as messages and closed on `exec`
//! on both sides, so none is inherited by accident, and none needs a fixed number.

mod channel;
mod inherited;
mod successor;

pub(crate) use self::inherited::{Inherited, InheritedSockets};
pub(crate) use self::successor::{HandedSocket, Successor};
