//! A TCP connection with TLS: a rustls connection, and a buffer of encrypted bytes to be sent.
//!
//! Writes are encrypted at once into one buffer, which is sent by the connection's next system call or by the [send
//! queue](crate::send_queue). So answers of several connections are sent together with TLS too, and records that belong
//! together are sent in one call.

use std::cell::Cell;
use std::io::{self, BufRead, IoSlice, Write};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use rustls::pki_types::CertificateDer;
use rustls::{Connection, ProtocolVersion, ServerConnection};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection with TLS.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    tcp: TcpStream,
    connection: Connection,
    outgoing: Sealed,
    /// Received encrypted bytes for which rustls has no room yet. Nearly always empty.
    unread: Vec<u8>,
    /// Whether decrypted bytes may be left in rustls.
    has_plaintext: bool,
    /// Whether anything was written, some of which may be unsent.
    has_written: bool,
    /// Whether `close_notify` was sent.
    is_closed: bool,
}

/// Encrypted bytes to be sent.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    /// How many of them were sent.
    pub(crate) sent: usize,
}

impl Sealed {
    fn left(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }
}

impl TlsSocket {
    /// A connection before its handshake.
    pub(crate) fn new(tcp: TcpStream, connection: impl Into<Connection>) -> Self {
        let mut connection = connection.into();
        connection.set_buffer_limit(Some(MOST_SEALED));
        let mut socket = Self {
            tcp,
            connection,
            outgoing: Sealed::default(),
            unread: Vec::new(),
            has_plaintext: false,
            has_written: false,
            is_closed: false,
        };
        // A client sends the first message.
        socket.collect();
        socket
    }

    /// The TCP connection, for a client that does not speak TLS.
    pub(crate) fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The negotiated version of TLS.
    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.connection.protocol_version()
    }

    /// The negotiated ALPN protocol (RFC 7301), if there is one.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The verified certificate of the other side, if it has sent one.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates()?.first()
    }

    /// The rustls connection, if this is a server's side.
    pub(crate) fn server(&self) -> Option<&ServerConnection> {
        match &self.connection {
            Connection::Client(_) => None,
            Connection::Server(server) => Some(server),
        }
    }

    /// Whether there may be received bytes that were not read yet.
    pub(crate) fn has_unread(&self) -> bool {
        self.has_plaintext || !self.unread.is_empty()
    }

    /// Whether encrypted bytes wait to be sent.
    pub(crate) fn is_holding(&self) -> bool {
        !self.outgoing.left().is_empty()
    }

    /// Encrypts these bytes. Returns all encrypted bytes that are to be sent, for a caller that sends them and [puts the rest
    /// back](Self::put_back).
    pub(crate) fn seal(&mut self, mut bytes: &[u8]) -> Sealed {
        self.has_written = true;
        while !bytes.is_empty() {
            match self.connection.writer().write(bytes) {
                Ok(count) if count > 0 => bytes = &bytes[count..],
                // Nothing can be sent any more; the next write returns the error.
                Ok(_) | Err(_) => break,
            }
            self.collect();
        }
        mem::take(&mut self.outgoing)
    }

    /// Takes back the bytes of [`seal`](Self::seal), sent or not.
    pub(crate) fn put_back(&mut self, sealed: Sealed) {
        self.outgoing = sealed;
        self.forget_sent();
    }

    /// The TCP connection below TLS.
    pub(crate) fn tcp_stream(&self) -> &TcpStream {
        &self.tcp
    }

    /// Releases memory before a wait that may be long.
    pub(crate) fn release_memory(&mut self) {
        self.outgoing.bytes.shrink_to(KEPT);
    }

    /// Sends encrypted bytes in one system call. There must be some.
    pub(crate) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tcp = Pin::new(&mut self.tcp);
        let written = ready!(tcp.poll_write(context, self.outgoing.left()))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.outgoing.sent += written;
        self.forget_sent();
        Poll::Ready(Ok(()))
    }

    /// Reads in one system call, and passes the bytes to `see` before rustls gets them. Ready with the number of bytes; 0 at
    /// the end of the connection.
    pub(crate) fn poll_fill<E: From<io::Error>>(
        &mut self,
        context: &mut Context<'_>,
        see: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Poll<Result<usize, E>> {
        let mut space = [MaybeUninit::uninit(); MOST_READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.tcp).poll_read(context, &mut read))?;
        let bytes = read.filled();
        see(bytes)?;
        let fed = match bytes.is_empty() {
            true => self.connection.read_tls(&mut io::empty()).map(drop),
            false => self.feed(bytes),
        };
        if let Err(error) = fed {
            // Sends the alert that says why, if the socket takes it now.
            if self.is_holding() {
                let _ = self.poll_drain(context);
            }
            return Poll::Ready(Err(error.into()));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn feed(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.connection.read_tls(&mut bytes) {
                // Data after `close_notify` is ignored (RFC 8446 §6.1).
                Ok(0) => return Ok(()),
                Ok(_) => self.process()?,
                // rustls has no room for more plaintext (0.23.46, `ConnectionCommon::read_tls`).
                Err(error) if error.kind() == io::ErrorKind::Other => {
                    self.unread = bytes.to_vec();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn process(&mut self) -> io::Result<()> {
        let processed = self.connection.process_new_packets();
        self.collect();
        match processed {
            Ok(_) => Ok(()),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// Moves what rustls has to send into the buffer.
    fn collect(&mut self) {
        while self.connection.wants_write() {
            // Writing to memory cannot fail.
            if let Ok(0) | Err(_) = self.connection.write_tls(&mut self.outgoing.bytes) {
                return;
            }
        }
    }

    fn forget_sent(&mut self) {
        if !self.is_holding() {
            self.outgoing.bytes.clear();
            self.outgoing.sent = 0;
        }
    }

    /// Reads decrypted bytes. Returns false if there are none and more has to be received.
    ///
    /// # Errors
    /// `UnexpectedEof` when the connection ended without `close_notify`, so that data may be missing.
    fn take_plaintext(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let before = buffer.filled().len();
        self.has_plaintext = true;
        while buffer.remaining() > 0 {
            let mut reader = self.connection.reader();
            match reader.fill_buf() {
                Ok([]) => break,
                Ok(chunk) => {
                    let count = chunk.len().min(buffer.remaining());
                    buffer.put_slice(&chunk[..count]);
                    reader.consume(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.has_plaintext = false;
                    return Ok(buffer.filled().len() > before);
                }
                // The error shows again with the next read.
                Err(_) if buffer.filled().len() > before => break,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Sends `close_notify`, unless the exchange was cut off: a truncated message that ends with the connection would look
    /// complete (RFC 8446 §6.1).
    fn send_close_notify(&mut self) {
        let is_reset = || matches!(SockRef::from(&self.tcp).linger(), Ok(Some(_)));
        let is_broken = CUTS_OFF.get() || thread::panicking();
        // If nothing was written, the buffer holds only tickets.
        let is_whole = !self.is_holding() || !self.has_written;
        let may = is_whole && !self.is_closed && !self.is_handshaking();
        if !may || is_broken || is_reset() {
            return;
        }
        self.connection.send_close_notify();
        self.collect();
        // Without it a client cannot distinguish the end from a truncation.
        let _ = SockRef::from(&self.tcp).send(self.outgoing.left());
    }
}

impl Drop for TlsSocket {
    fn drop(&mut self) {
        self.send_close_notify();
    }
}

impl AsFd for TlsSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

impl AsyncRead for TlsSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.take_plaintext(buffer)? {
            if this.unread.is_empty() {
                ready!(this.poll_fill(context, |_| io::Result::Ok(())))?;
            } else {
                let unread = mem::take(&mut this.unread);
                this.feed(&unread)?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    /// Accepts bytes while few wait to be sent. [`poll_flush`](AsyncWrite::poll_flush) sends those that are left.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.outgoing.left().len() > MOST_WAITING {
            ready!(this.poll_drain(context))?;
        }
        this.has_written = true;
        let taken = this.connection.writer().write_vectored(slices)?;
        this.collect();
        if this.is_holding()
            && let Poll::Ready(Err(error)) = this.poll_drain(context)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.is_holding() {
            ready!(this.poll_drain(context))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !mem::replace(&mut self.is_closed, true) {
            self.connection.send_close_notify();
            self.collect();
        }
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}

/// Notes that exchanges on this thread are cut off from now on, so that no `close_notify` is sent.
pub(crate) fn cut_off() {
    CUTS_OFF.set(true);
}

thread_local! {
    static CUTS_OFF: Cell<bool> = const { Cell::new(false) };
}

/// How much one system call reads, in bytes: one record with its overhead (RFC 8446 §5.2), and the head of the next.
const MOST_READ: usize = 17 * 1024;

/// How much plaintext one write encrypts at most, in bytes.
const MOST_SEALED: usize = 64 * 1024;

/// How many encrypted bytes may wait to be sent. While there are more, nothing is encrypted.
const MOST_WAITING: usize = 16 * 1024;

/// The size of the buffer that a connection keeps for its next answer, in bytes.
const KEPT: usize = 8 * 1024;
