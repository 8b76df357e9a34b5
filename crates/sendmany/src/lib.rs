//! Sends on many sockets in one system call.
//!
//! No call of Linux does that by name. But `io_submit(2)`, made for files, takes every descriptor that can be written,
//! and a socket that does not block is written right there, before the call returns.
//!
//! What it is good for: whoever a message wakes on the same machine takes the core from the sender as soon as the system
//! call returns. Sixteen messages in sixteen calls are up to sixteen such changes, there and back; in one call they are one.
//!
//! This crate has unsafe code, because no library offers these calls: those for io_uring, which would do
//! too, cannot be used where it matters, since container engines forbid it.

#[cfg(all(target_os = "linux", target_endian = "little"))]
#[path = "linux.rs"]
mod platform;
#[cfg(not(all(target_os = "linux", target_endian = "little")))]
#[path = "other.rs"]
mod platform;

pub use platform::SendMany;

/// How many messages go into one system call. Of more the rest goes into the next.
pub const MOST: usize = 128;
