//! What a runtime has to send: collected, until every other connection that is ready has had its turn, and then sent
//! together.
//!
//! Whoever a message wakes on this machine takes the core from us as soon as the system call returns. So the work is done for
//! everybody first, and then all of it goes out in one call. With 32 connections and `wrk` and nginx beside us that saved a
//! sixth of the time that a proxied request takes and three quarters of its context switches.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem;
use std::os::fd::AsFd;
use std::sync::Once;
use std::task::Poll;

use sendmany::SendMany;
use slab::Slab;

use crate::socket::Stream;

/// Bytes on their way out, and the connection on which they leave.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) stream: Box<Stream>,
    pub(crate) bytes: Vec<u8>,
    /// So many of them have gone out.
    pub(crate) sent: usize,
}

/// The letters of one runtime.
#[derive(Debug)]
struct Outbox {
    kernel: Option<SendMany>,
    /// Those that nobody has tried to send, in the order in which they came, with their numbers.
    waiting: Vec<(usize, Letter)>,
    /// The others by their numbers, and `None` for those that wait.
    tried: Slab<Option<Letter>>,
    /// How much of each waiting letter was sent. Kept for its memory.
    results: Vec<usize>,
}

thread_local! {
    static OUTBOX: RefCell<Outbox> = RefCell::new(Outbox::new());
}

/// Puts a letter into the outbox, where others may send it. It has to be taken out again.
pub(crate) fn put(letter: Letter) -> Receipt {
    OUTBOX.with_borrow_mut(|outbox| outbox.put(letter))
}

/// The number of a letter, by which it is taken out again.
#[derive(Debug)]
pub(crate) struct Receipt(usize);

impl Receipt {
    /// Waits for the others' turn, and sends what is in the outbox by then, as far as it goes out at once, unless another has
    /// done so. A letter alone stays unsent: an ordinary call is quicker.
    pub(crate) async fn send(&self) {
        others_turn().await;
        OUTBOX.with_borrow_mut(|outbox| {
            if outbox.tried[self.0].is_none() {
                outbox.send();
            }
        });
    }

    /// Takes the letter out, sent or not.
    pub(crate) fn take(&self) -> Option<Letter> {
        OUTBOX.with_borrow_mut(|outbox| outbox.take(self.0))
    }
}

/// Lets every task run that is ready by now.
///
/// [`tokio::task::yield_now`] asks the kernel for more as well: one more call for each that sends. Under less than full load
/// a request took 13.5 µs with it, and 12.6 without.
async fn others_turn() {
    let mut had_it = false;
    poll_fn(|context| {
        if mem::replace(&mut had_it, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Outbox {
    fn new() -> Self {
        static SAID: Once = Once::new();
        let kernel = SendMany::new();
        if let Err(error) = &kernel {
            SAID.call_once(|| {
                tracing::info!(%error, "messages go out one by one, which costs some speed: the kernel's asynchronous I/O is not to be had");
            });
        }
        Self {
            kernel: kernel.ok(),
            waiting: Vec::new(),
            tried: Slab::new(),
            results: Vec::new(),
        }
    }

    fn put(&mut self, letter: Letter) -> Receipt {
        let number = self.tried.insert(None);
        self.waiting.push((number, letter));
        Receipt(number)
    }

    fn send(&mut self) {
        self.results.clear();
        self.results.resize(self.waiting.len(), 0);
        if let Some(kernel) = &mut self.kernel
            && self.waiting.len() > 1
        {
            let messages = self.waiting.iter().map(|(_, letter)| {
                let left = &letter.bytes[letter.sent..];
                (letter.stream.as_fd(), left)
            });
            // What went wrong shows again when the connection sends the rest, which is then all of it.
            kernel.send(messages, |index, taken| {
                self.results[index] = taken.unwrap_or(0);
            });
        }
        for ((number, mut letter), sent) in self.waiting.drain(..).zip(&self.results) {
            letter.sent += sent;
            self.tried[number] = Some(letter);
        }
    }

    fn take(&mut self, number: usize) -> Option<Letter> {
        self.tried.try_remove(number)?.or_else(|| {
            let mut waiting = self.waiting.iter();
            let index = waiting.position(|(other, _)| *other == number)?;
            Some(self.waiting.remove(index).1)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream as StdUnixStream;

    use tokio::net::UnixStream;

    use super::*;

    fn letter(text: &str) -> (Letter, StdUnixStream) {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let stream = Box::new(UnixStream::from_std(ours).unwrap().into());
        let letter = Letter {
            stream,
            bytes: text.into(),
            sent: 0,
        };
        (letter, theirs)
    }

    fn received(mut stream: &StdUnixStream) -> String {
        let mut bytes = [0; 16];
        let count = stream.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[tokio::test]
    async fn whoever_comes_first_sends_for_all() {
        let ((one, at_one), (two, at_two)) = (letter("one"), letter("two"));
        let (one, two) = (put(one), put(two));
        one.send().await;
        assert_eq!(
            (received(&at_one), received(&at_two)),
            ("one".into(), "two".into())
        );
        two.send().await;
        for receipt in [one, two] {
            assert_eq!(receipt.take().unwrap().sent, 3);
            assert!(receipt.take().is_none());
        }
        assert_eq!(
            (received(&at_one), received(&at_two)),
            (String::new(), String::new())
        );
    }

    #[tokio::test]
    async fn what_was_sent_before_is_not_sent_again() {
        let ((mut one, at_one), (two, _at_two)) = (letter("one"), letter("two"));
        one.sent = 1;
        let (one, _two) = (put(one), put(two));
        one.send().await;
        assert_eq!(received(&at_one), "ne");
        assert_eq!(one.take().unwrap().sent, 3);
    }

    #[tokio::test]
    async fn a_letter_alone_or_taken_out_stays_unsent() {
        let ((one, at_one), (two, at_two)) = (letter("one"), letter("two"));
        let (one, two) = (put(one), put(two));
        assert_eq!(two.take().unwrap().sent, 0);
        one.send().await;
        assert_eq!(one.take().unwrap().sent, 0);
        assert_eq!(
            (received(&at_one), received(&at_two)),
            (String::new(), String::new())
        );
    }

    #[tokio::test]
    async fn one_that_cannot_be_sent_stops_no_other() {
        let ((one, at_one), (two, at_two)) = (letter("one"), letter("two"));
        drop(at_one);
        let (one, two) = (put(one), put(two));
        one.send().await;
        assert_eq!(received(&at_two), "two");
        assert_eq!(
            [one, two].map(|receipt| receipt.take().unwrap().sent),
            [0, 3]
        );
    }

    #[tokio::test]
    async fn without_the_kernels_help_letters_stay_as_they_are() {
        OUTBOX.with_borrow_mut(|outbox| outbox.kernel = None);
        let ((one, at_one), (two, _at_two)) = (letter("one"), letter("two"));
        let (one, two) = (put(one), put(two));
        one.send().await;
        assert_eq!(received(&at_one), "");
        assert_eq!(
            [one, two].map(|receipt| receipt.take().unwrap().sent),
            [0, 0]
        );
    }
}
