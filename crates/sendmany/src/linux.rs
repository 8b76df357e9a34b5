//! The calls and structures of Linux (`include/uapi/linux/aio_abi.h`, io_submit(2)).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_long, c_ulong, syscall};

use crate::MOST;

/// Sends on many sockets in one system call.
///
/// It is bound to the thread that made it.
#[derive(Debug)]
pub struct SendMany {
    /// The kernel's `aio_context_t`. No operation is pending in it between two calls of [`send`](Self::send).
    context: c_ulong,
    operations: Vec<Operation>,
    pointers: Vec<*mut Operation>,
    events: Vec<Event>,
}

impl SendMany {
    /// Creates the kernel's context.
    ///
    /// # Errors
    ///
    /// When the kernel lacks one of the calls, a filter (seccomp) forbids one, or the machine's limit for such contexts
    /// (`fs.aio-max-nr`) is reached. The message names the call.
    pub fn new() -> io::Result<Self> {
        let mut context: c_ulong = 0;
        // SAFETY: the kernel writes one `aio_context_t`, an unsigned long, to the address, which must hold 0.
        let result = unsafe { syscall(libc::SYS_io_setup, MOST as c_ulong, &raw mut context) };
        succeeded("io_setup", result)?;
        let prepared = Self {
            context,
            operations: Vec::new(),
            pointers: Vec::new(),
            events: vec![Event::default(); MOST],
        };
        prepared.probe()?;
        Ok(prepared)
    }

    /// Tries each system call of [`submit`](Self::submit) without an operation. A filter may forbid one and allow the others, and
    /// once operations are submitted it is too late to find out.
    fn probe(&self) -> io::Result<()> {
        let nothing: c_long = 0;
        let no_operations = ptr::null_mut::<*mut Operation>();
        // SAFETY: with a count of 0 the kernel reads no operations.
        let result = unsafe { syscall(libc::SYS_io_submit, self.context, nothing, no_operations) };
        succeeded("io_submit", result)?;
        let (no_events, at_once) = (
            ptr::null_mut::<Event>(),
            libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
        );
        let context = self.context;
        // SAFETY: with room for no event the kernel writes none; it reads the time.
        let result = unsafe {
            syscall(
                libc::SYS_io_getevents,
                context,
                nothing,
                nothing,
                no_events,
                &raw const at_once,
            )
        };
        succeeded("io_getevents", result)
    }

    /// Sends each message on its socket, as much of it as the socket accepts. Calls `took` for each message, with its position and
    /// the number of bytes sent.
    ///
    /// Sockets should be non-blocking; the call waits for a blocking one.
    ///
    /// # Errors
    ///
    /// `took` gets the errors that a write of the message would have returned: [`WouldBlock`](io::ErrorKind::WouldBlock) for a
    /// socket that accepts nothing now, also when the message was not tried.
    pub fn send<'m>(
        &mut self,
        messages: impl IntoIterator<Item = (BorrowedFd<'m>, &'m [u8])>,
        mut took: impl FnMut(usize, io::Result<usize>),
    ) {
        self.operations.clear();
        let operations = messages.into_iter().enumerate();
        self.operations.extend(
            operations.map(|(number, (socket, bytes))| Operation::write(number, socket, bytes)),
        );
        for start in (0..self.operations.len()).step_by(MOST) {
            let end = self.operations.len().min(start + MOST);
            let done = self.submit(start, end);
            for event in &self.events[..done] {
                took(event.number as usize, event.taken());
            }
            for operation in &self.operations[start + done..end] {
                took(
                    operation.number as usize,
                    Err(io::ErrorKind::WouldBlock.into()),
                );
            }
        }
    }

    /// Submits the operations from `start` to `end`, and waits until those that the kernel accepted are complete. Returns their
    /// number: that many events are filled.
    fn submit(&mut self, start: usize, end: usize) -> usize {
        self.pointers.clear();
        let operations = self.operations[start..end].iter_mut();
        self.pointers.extend(operations.map(ptr::from_mut));
        let (context, count) = (self.context, self.pointers.len() as c_long);
        let pointers = self.pointers.as_mut_ptr();
        // SAFETY: `count` pointers to our operations, which the kernel reads, and whose key it sets. Sockets and bytes in them
        // are borrowed for longer than this function runs, and the loop below waits until the kernel is done with them.
        let begun = unsafe { syscall(libc::SYS_io_submit, context, count, pointers) };
        let begun = usize::try_from(begun).unwrap_or(0);
        let mut done = 0;
        while done < begun {
            let left = (begun - done) as c_long;
            let events = self.events[done..begun].as_mut_ptr();
            let forever = ptr::null_mut::<libc::timespec>();
            // SAFETY: room for `left` events, which the kernel writes.
            let come =
                unsafe { syscall(libc::SYS_io_getevents, context, left, left, events, forever) };
            match usize::try_from(come) {
                Ok(come) => done += come,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // The bytes must not be released while the kernel may read them. It has no other reason to fail here: the
                // call was allowed when it was tried in `new`, and a filter that a thread gets later does not come from us.
                Err(_) => std::process::abort(),
            }
        }
        done
    }
}

/// Returns the error of a failed system call, with the name of the call.
fn succeeded(call: &str, result: c_long) -> io::Result<()> {
    if result >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(io::Error::new(error.kind(), format!("{call}(2): {error}")))
}

impl Drop for SendMany {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and nothing uses it after this. If the call is forbidden, the context ends with the process.
        unsafe { syscall(libc::SYS_io_destroy, self.context) };
    }
}

/// An operation for the kernel: `struct iocb`.
#[derive(Debug, Default)]
#[repr(C)]
struct Operation {
    number: u64,
    /// Set by the kernel.
    key: u32,
    rw_flags: i32,
    opcode: u16,
    priority: i16,
    descriptor: u32,
    bytes: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_descriptor: u32,
}

impl Operation {
    fn write(number: usize, socket: BorrowedFd<'_>, bytes: &[u8]) -> Self {
        Self {
            number: number as u64,
            opcode: IOCB_CMD_PWRITE,
            descriptor: socket.as_raw_fd().cast_unsigned(),
            bytes: bytes.as_ptr().expose_provenance() as u64,
            length: bytes.len() as u64,
            ..Self::default()
        }
    }
}

const IOCB_CMD_PWRITE: u16 = 1;

/// The result of an operation: `struct io_event`.
#[derive(Clone, Debug, Default)]
#[repr(C)]
struct Event {
    number: u64,
    operation: u64,
    result: i64,
    second_result: i64,
}

impl Event {
    fn taken(&self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| {
            // An error's number, negated.
            let error = i32::try_from(-self.result).unwrap_or(libc::EIO);
            io::Error::from_raw_os_error(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Sends the messages, and returns the result for each.
    fn send(messages: &[(BorrowedFd<'_>, &[u8])]) -> Vec<Result<usize, ErrorKind>> {
        let mut results = vec![None; messages.len()];
        let mut kernel = SendMany::new().unwrap();
        kernel.send(messages.iter().copied(), |number, taken| {
            let taken = taken.map_err(|error| error.kind());
            assert_eq!(results[number].replace(taken), None);
        });
        results.into_iter().map(Option::unwrap).collect()
    }

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    /// Runs `test` on a thread on which this system call fails with this error, as under a container engine's filter.
    fn forbidding<T: Send + 'static>(
        call: c_long,
        error: i32,
        test: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let filtered = std::thread::spawn(move || {
            let instruction = |code: u32, jt, jf, k| libc::sock_filter {
                code: u16::try_from(code).unwrap(),
                jt,
                jf,
                k,
            };
            let call = u32::try_from(call).unwrap();
            let error = libc::SECCOMP_RET_ERRNO | error.cast_unsigned();
            let mut filter = [
                // The number of the call is the first field of `struct seccomp_data`.
                instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
                instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call),
                instruction(libc::BPF_RET | libc::BPF_K, 0, 0, error),
                instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
            ];
            let program = libc::sock_fprog {
                len: u16::try_from(filter.len()).unwrap(),
                filter: filter.as_mut_ptr(),
            };
            // SAFETY: both calls take numbers, and the address of a filter that outlives them. They bind this thread alone.
            let installed = unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                    && libc::prctl(
                        libc::PR_SET_SECCOMP,
                        libc::SECCOMP_MODE_FILTER,
                        &raw const program,
                    ) == 0
            };
            assert!(installed, "{}", io::Error::last_os_error());
            test()
        });
        filtered.join().unwrap()
    }

    #[test]
    fn a_filter_that_forbids_one_call_is_detected_before_sending() {
        for (name, call) in [
            ("io_setup", libc::SYS_io_setup),
            ("io_submit", libc::SYS_io_submit),
            ("io_getevents", libc::SYS_io_getevents),
        ] {
            for error in [libc::EPERM, libc::ENOSYS, libc::EACCES] {
                let refused = forbidding(call, error, || SendMany::new().map(drop));
                let refused = refused.unwrap_err().to_string();
                assert!(refused.starts_with(&format!("{name}(2): ")), "{refused}");
            }
        }
    }

    #[test]
    fn a_forbidden_call_that_is_not_needed_does_no_harm() {
        forbidding(libc::SYS_io_destroy, libc::EPERM, || {
            let (ours, mut theirs) = pair();
            assert_eq!(send(&[(ours.as_fd(), b"a")]), [Ok(1)]);
            let mut got = [0];
            theirs.read_exact(&mut got).unwrap();
        });
    }

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<Operation>(), 64);
        assert_eq!(size_of::<Event>(), 32);
    }

    #[test]
    fn each_socket_gets_only_its_message() {
        let pairs: Vec<_> = (0..2 * MOST + 1).map(|_| pair()).collect();
        let texts: Vec<_> = (0..pairs.len()).map(|index| index.to_string()).collect();
        let messages: Vec<_> = pairs
            .iter()
            .zip(&texts)
            .map(|((ours, _), text)| (ours.as_fd(), text.as_bytes()))
            .collect();
        let lengths: Vec<_> = texts.iter().map(|text| Ok(text.len())).collect();
        assert_eq!(send(&messages), lengths);
        for ((ours, mut theirs), text) in pairs.into_iter().zip(&texts) {
            drop(ours);
            let mut got = String::new();
            theirs.read_to_string(&mut got).unwrap();
            assert_eq!(&got, text);
        }
        assert_eq!(send(&[]), []);
    }

    #[test]
    fn tcp_accepts_only_what_fits() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        let much = vec![b'x'; 64 << 20];
        let taken = send(&[(ours.as_fd(), &much)])[0].unwrap();
        assert!(taken > 0 && taken < much.len(), "{taken}");
        while (&ours).write(&much).is_ok() {}
        assert_eq!(send(&[(ours.as_fd(), b"x")]), [Err(ErrorKind::WouldBlock)]);
    }

    #[test]
    fn a_failed_send_does_not_stop_others() {
        let ((first, mut read), (second, gone), (third, mut read_too)) = (pair(), pair(), pair());
        drop(gone);
        let results = send(&[
            (first.as_fd(), b"a"),
            (second.as_fd(), b"b"),
            (third.as_fd(), b"c"),
        ]);
        assert_eq!(results, [Ok(1), Err(ErrorKind::BrokenPipe), Ok(1)]);
        let mut got = [0; 2];
        read.read_exact(&mut got[..1]).unwrap();
        read_too.read_exact(&mut got[1..]).unwrap();
        assert_eq!(&got, b"ac");
    }

    #[test]
    fn an_impossible_write_is_not_reported_as_sent() {
        let (ours, _theirs) = pair();
        let directory = std::fs::File::open("/").unwrap();
        let results = send(&[(directory.as_fd(), b"a"), (ours.as_fd(), b"b")]);
        assert!(results[0].is_err());
        assert!(matches!(results[1], Ok(1) | Err(ErrorKind::WouldBlock)));
    }
}
