//! Where there is no such call.

use std::io;
use std::os::fd::BorrowedFd;

/// Sends on many sockets in one system call; not here.
#[derive(Debug)]
pub struct SendMany(std::convert::Infallible);

impl SendMany {
    /// Says that it cannot be done.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Is never called.
    pub fn send<'m>(
        &mut self,
        _messages: impl IntoIterator<Item = (BorrowedFd<'m>, &'m [u8])>,
        _took: impl FnMut(usize, io::Result<usize>),
    ) {
        match self.0 {}
    }
}
