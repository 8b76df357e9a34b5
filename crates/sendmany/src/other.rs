//! Stands in for `linux.rs` on other systems, which have no such call.

use std::io;
use std::os::fd::BorrowedFd;

/// Sends on many sockets in one system call, which this system cannot do.
#[derive(Debug)]
pub struct SendMany(std::convert::Infallible);

impl SendMany {
    /// Returns an error, because this system cannot send on many sockets at once.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never called, because there is no instance.
    pub fn send<'m>(
        &mut self,
        _messages: impl IntoIterator<Item = (BorrowedFd<'m>, &'m [u8])>,
        _took: impl FnMut(usize, io::Result<usize>),
    ) {
        match self.0 {}
    }
}
