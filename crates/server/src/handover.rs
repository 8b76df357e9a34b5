//! Sockets that outlive a process: the service manager's, and those that one process hands to the next of the same program.
//!
//! ```text
//! old process                                   new process
//!   SIGUSR2
//!   starts the program again ─────────────────▶ reads its configuration
//!   its listening sockets ════ SCM_RIGHTS ════▶ takes those that it is to listen on, and binds the rest
//!   its keys of TLS tickets ──────────────────▶ opens the tickets of its clients
//!   accepts                                     waits for its stores
//!   accepts                                     accepts too, from the same queues
//!   accepts no more ◀───────── "ready" ─────────
//!   finishes what is in flight
//!   ends
//! ```
//!
//! The very same sockets go on, with what waits in their queues: a connection that is in the queue of a socket when that is closed
//! would be reset. If the new process ends, or says nothing for too long, the old one goes on as if nothing had happened.
//!
//! The channel between the two is the standard input of the new one. Descriptors travel as messages and are closed on `exec` on
//! both sides, so none is inherited by accident and none has to keep its number.

mod channel;
mod inherited;
mod successor;

pub(crate) use self::inherited::{Inherited, Taken};
pub(crate) use self::successor::{Kept, Succession};
