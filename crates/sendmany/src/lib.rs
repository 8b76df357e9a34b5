//! Sends on many sockets in one system call.
//!
//! Linux has no call for that. But `io_submit(2)`, made for files, accepts every writable descriptor, and writes to a
//! non-blocking socket at once, before the call returns.
//!
//! The benefit: a process on the same machine that a message wakes takes the core from the sender as soon as the system call
//! returns. Sixteen messages in sixteen calls can cause sixteen switches there and back; in one call they cause one.
//!
//! This crate has unsafe code, because no library offers these calls. io_uring would do as well, but container engines forbid
//! it.

#[cfg(all(target_os = "linux", target_endian = "little"))]
#[path = "linux.rs"]
mod platform;
#[cfg(not(all(target_os = "linux", target_endian = "little")))]
#[path = "other.rs"]
mod platform;

pub use platform::SendMany;

/// The largest number of messages in one system call. The rest goes into the next call.
pub const MOST: usize = 128;
