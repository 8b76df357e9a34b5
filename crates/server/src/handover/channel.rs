//! The protocol between an old and a new process, and the sockets that it carries.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::live::ListenerTickets;

/// A message. Unknown fields are ignored, so that either of the two programs may be the older one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// From the old process: all sockets were sent.
    All {
        /// Whether all its stores and token issuers answer.
        all_answer: bool,
        /// The keys of its session tickets. A field here, because a program would fail on an unknown message.
        #[serde(default)]
        tickets: Vec<ListenerTickets>,
    },
    /// From the new process: it serves.
    Ready,
    /// From the old process, with a listening socket: what it is for.
    Socket(SocketPurpose),
}

/// What a listening socket is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SocketPurpose {
    /// The setting that names its address.
    pub(crate) setting: String,
    /// The setting's value; the port may be 0.
    #[serde(rename = "asked")]
    pub(crate) configured: String,
    /// How many listeners before it have the same setting and value.
    pub(crate) number: usize,
    /// Whether the service manager also holds the socket.
    #[serde(default)]
    pub(crate) is_managed: bool,
}

/// Sends a message, with a duplicate of a socket.
///
/// # Errors
/// When the message cannot be sent, for example because the other process has ended.
pub(super) fn send(
    channel: &UnixStream,
    message: &Message,
    socket: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    // The message may contain keys. The buffer has its full size, so that it is never moved, and it is zeroized.
    let mut frame = Zeroizing::new(Vec::with_capacity(LENGTH + LONGEST as usize));
    frame.extend([0; LENGTH]);
    serde_json::to_writer(&mut *frame, message)?;
    let length = u32::try_from(frame.len() - LENGTH).map_err(io::Error::other)?;
    frame[..LENGTH].copy_from_slice(&length.to_be_bytes());
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets = socket.as_slice();
    if !sockets.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(sockets));
    }
    let slices = [IoSlice::new(&frame)];
    let sent = sendmsg(channel, &slices, &mut control, SendFlags::NOSIGNAL)?;
    // A blocking socket takes a message of this size whole.
    match sent == frame.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Waits for a message, and the socket that comes with it. `None` when the other process has ended.
///
/// # Errors
/// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing has come within the channel's read time-out.
pub(super) fn receive(channel: &UnixStream) -> io::Result<Option<(Message, Option<OwnedFd>)>> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut length)];
    let received = recvmsg(channel.as_fd(), &mut slices, &mut control, FLAGS)?;
    let mut socket = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut sockets) = message {
            socket = sockets.next();
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut channel = channel;
    channel.read_exact(&mut length[received.bytes..])?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = Zeroizing::new(vec![0; length as usize]);
    channel.read_exact(&mut text)?;
    Ok(Some((serde_json::from_slice(&text)?, socket)))
}

/// The flags for receiving. Descriptors are closed on `exec`.
#[cfg(target_os = "linux")]
const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const FLAGS: RecvFlags = RecvFlags::empty();

/// The longest message, in bytes.
const LONGEST: u32 = 64 * 1024;

/// The size of the length that precedes each message, in bytes.
const LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    #[test]
    fn socket_arrives_with_its_message_and_its_accept_queue() {
        let (old, new) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let purpose = |number| SocketPurpose {
            setting: "LISTEN".to_owned(),
            configured: "127.0.0.1:0".to_owned(),
            number,
            is_managed: false,
        };
        let first = Message::Socket(purpose(0));
        send(&old, &first, Some(listener.as_fd())).unwrap();
        let last = Message::All {
            all_answer: true,
            tickets: Vec::new(),
        };
        send(&old, &last, None).unwrap();
        drop((old, listener));
        let (message, socket) = receive(&new).unwrap().unwrap();
        assert!(matches!(message, Message::Socket(sent) if sent == purpose(0)));
        let socket = socket.unwrap();
        assert!(fcntl_getfd(&socket).unwrap().contains(FdFlags::CLOEXEC));
        let (_, peer) = TcpListener::from(socket).accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let (message, socket) = receive(&new).unwrap().unwrap();
        assert!(matches!(
            message,
            Message::All {
                all_answer: true,
                ..
            }
        ));
        assert!(socket.is_none());
        assert!(receive(&new).unwrap().is_none(), "the other side has ended");
    }

    #[test]
    fn message_without_tickets_from_an_older_program_is_accepted() {
        let (mut old, new) = UnixStream::pair().unwrap();
        let text = br#"{"all":{"all_answer":true}}"#;
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        old.write_all(&[&length[..], text].concat()).unwrap();
        let (message, _) = receive(&new).unwrap().unwrap();
        assert!(matches!(message, Message::All { tickets, .. } if tickets.is_empty()));
    }
}
