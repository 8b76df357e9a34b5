//! Session tickets (RFC 5077, RFC 8446 §4.6.1): encrypted session state that a client keeps, so that it can resume without a
//! full handshake.
//!
//! rustls has its own tickets, but their keys cannot be read. The keys here can be handed to the next process, and all cores
//! share them.

use std::fmt;
use std::iter;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use rustls::Error;
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{clock, random};

/// Encrypts and decrypts tickets. The encrypting key is replaced every six hours; a key decrypts for twelve.
pub(crate) struct Tickets {
    keys: ArcSwap<Keys>,
}

/// A ticket key in the form for the next process. It is zeroized when dropped.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct TicketKey {
    /// The prefix of each ticket of this key.
    name: [u8; NAME_LEN],
    secret: [u8; 32],
    /// When the key was made, in seconds of the Unix time.
    made: u64,
}

/// The encrypting key, and the one before it.
struct Keys {
    current: Arc<TicketCipher>,
    previous: Option<Arc<TicketCipher>>,
}

/// A key that is in use.
struct TicketCipher {
    cipher: RandomizedNonceKey,
    known_as: TicketKey,
}

impl Tickets {
    /// A ticketer with a fresh key.
    ///
    /// # Errors
    /// When the system returns no random bytes.
    pub(crate) fn new() -> Result<Self, Error> {
        Self::at(seconds())
    }

    fn at(now: u64) -> Result<Self, Error> {
        let keys = Keys {
            current: Arc::new(TicketCipher::make(now)?),
            previous: None,
        };
        Ok(Self {
            keys: ArcSwap::from_pointee(keys),
        })
    }

    /// A ticketer with the keys of the previous process, from its [`Self::keys`]. `None` if there are none.
    ///
    /// # Errors
    /// When rustls accepts none of the keys.
    pub(crate) fn with(keys: Vec<TicketKey>) -> Result<Option<Self>, Error> {
        let mut keys = keys.into_iter().map(TicketCipher::new);
        let Some(current) = keys.next().transpose()? else {
            return Ok(None);
        };
        let keys = Keys {
            current: Arc::new(current),
            previous: keys.next().transpose()?.map(Arc::new),
        };
        Ok(Some(Self {
            keys: ArcSwap::from_pointee(keys),
        }))
    }

    /// The keys for the next process, the encrypting one first.
    pub(crate) fn keys(&self) -> Vec<TicketKey> {
        let keys = self.keys.load();
        keys.all().map(|key| key.known_as.clone()).collect()
    }

    fn seal(&self, message: &[u8], now: u64) -> Option<Vec<u8>> {
        let key = self.sealing(now).ok()?;
        let mut sealed = message.to_vec();
        let name = &key.known_as.name;
        let nonce = key
            .cipher
            .seal_in_place_append_tag(Aad::from(name), &mut sealed)
            .ok()?;
        Some([&name[..], nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys.load();
        let key = keys
            .all()
            .find(|key| key.known_as.name == name && key.opens(now))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let message = key
            .cipher
            .open_in_place(nonce, Aad::from(name), &mut opened);
        let length = message.ok()?.len();
        opened.truncate(length);
        Some(opened)
    }

    /// Returns the current encrypting key, which is replaced when it is due.
    fn sealing(&self, now: u64) -> Result<Arc<TicketCipher>, Error> {
        let keys = self.keys.load();
        if keys.current.seals(now) {
            return Ok(Arc::clone(&keys.current));
        }
        let current = &keys.current;
        let next = Keys {
            current: Arc::new(TicketCipher::make(now)?),
            previous: current.opens(now).then(|| Arc::clone(current)),
        };
        // If two cores make a key at the same time, both use the first one.
        self.keys.compare_and_swap(&keys, Arc::new(next));
        Ok(Arc::clone(&self.keys.load().current))
    }
}

impl Keys {
    /// Both keys, the encrypting one first.
    fn all(&self) -> impl Iterator<Item = &Arc<TicketCipher>> {
        iter::once(&self.current).chain(&self.previous)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, seconds())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, seconds())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("TicketKey");
        text.field("made", &self.made).finish_non_exhaustive()
    }
}

impl TicketCipher {
    fn make(now: u64) -> Result<Self, Error> {
        let no_bytes = |_| Error::FailedToGetRandomBytes;
        Self::new(TicketKey {
            name: random::bytes().map_err(no_bytes)?,
            secret: random::bytes().map_err(no_bytes)?,
            made: now,
        })
    }

    fn new(known_as: TicketKey) -> Result<Self, Error> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &known_as.secret);
        let unusable = |_| Error::General("a key of session tickets is unusable".to_owned());
        Ok(Self {
            cipher: cipher.map_err(unusable)?,
            known_as,
        })
    }

    fn seals(&self, now: u64) -> bool {
        now.saturating_sub(self.known_as.made) < u64::from(LIFETIME / 2)
    }

    fn opens(&self, now: u64) -> bool {
        now.saturating_sub(self.known_as.made) < u64::from(LIFETIME)
    }
}

/// The Unix time in seconds, because the next process reads the same clock.
fn seconds() -> u64 {
    clock::now().millis() / 1000
}

const NAME_LEN: usize = 16;

/// The greatest age of a ticket, in seconds. A key encrypts for half of that, which stays below the 2³² random nonces of
/// AES-GCM (NIST SP 800-38D §8.3) at up to 200,000 tickets a second.
const LIFETIME: u32 = 12 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const START: u64 = 1_800_000_000;

    fn tickets() -> Tickets {
        Tickets::at(START).unwrap()
    }

    #[test]
    fn sealed_ticket_opens_and_no_two_tickets_are_equal() {
        let tickets = tickets();
        for message in [&b""[..], b"a session", &[7; 4000]] {
            let ticket = tickets.seal(message, START).unwrap();
            assert_eq!(tickets.open(&ticket, START).unwrap(), message);
            assert_ne!(tickets.seal(message, START).unwrap(), ticket);
        }
    }

    #[test]
    fn a_damaged_or_foreign_ticket_is_not_opened() {
        let tickets = tickets();
        let ticket = tickets.seal(b"a session", START).unwrap();
        for at in 0..ticket.len() {
            let mut damaged = ticket.clone();
            damaged[at] ^= 1;
            assert_eq!(tickets.open(&damaged, START), None, "byte {at}");
            assert_eq!(tickets.open(&ticket[..at], START), None, "{at} bytes");
        }
        let longer = [&ticket[..], b"x"].concat();
        assert_eq!(tickets.open(&longer, START), None);
        let foreign = self::tickets().seal(b"a session", START).unwrap();
        assert_eq!(tickets.open(&foreign, START), None);
    }

    #[test]
    fn a_key_seals_for_six_hours_and_opens_for_twelve() {
        let tickets = tickets();
        let first = tickets.seal(b"1", START).unwrap();
        let second = tickets.seal(b"2", START + 6 * HOUR).unwrap();
        assert_ne!(first[..NAME_LEN], second[..NAME_LEN]);
        let late = START + 12 * HOUR - 1;
        assert_eq!(tickets.open(&first, late).unwrap(), b"1");
        assert_eq!(tickets.open(&second, late).unwrap(), b"2");
        assert_eq!(tickets.open(&first, late + 1), None, "too old");
        // The third key takes the place of the second, which still opens, and the first is gone.
        let third = tickets.seal(b"3", late + 1).unwrap();
        assert_eq!(tickets.open(&second, late + 1).unwrap(), b"2");
        assert_eq!(tickets.open(&third, late + 1).unwrap(), b"3");
        assert_eq!(tickets.keys().len(), 2);
        // After a long pause, no earlier key opens a ticket any more.
        tickets.seal(b"4", START + 100 * HOUR).unwrap();
        assert_eq!(tickets.keys().len(), 1);
    }

    #[test]
    fn next_process_opens_old_tickets_and_rotates_the_key_on_time() {
        let before = tickets();
        let first = before.seal(b"1", START).unwrap();
        let second = before.seal(b"2", START + 7 * HOUR).unwrap();
        let text = serde_json::to_string(&before.keys()).unwrap();
        let keys: Vec<TicketKey> = serde_json::from_str(&text).unwrap();
        let after = Tickets::with(keys).unwrap().unwrap();
        let now = START + 8 * HOUR;
        assert_eq!(after.open(&first, now).unwrap(), b"1");
        assert_eq!(after.open(&second, now).unwrap(), b"2");
        let third = after.seal(b"3", now).unwrap();
        assert_eq!(third[..NAME_LEN], second[..NAME_LEN]);
        let opened = before.open(&third, now).unwrap();
        assert_eq!(opened, b"3", "the previous process opens new tickets");
        let fourth = after.seal(b"4", START + 13 * HOUR).unwrap();
        assert_ne!(fourth[..NAME_LEN], second[..NAME_LEN]);
        assert!(Tickets::with(Vec::new()).unwrap().is_none());
    }

    #[test]
    fn the_secret_of_a_key_is_not_shown() {
        let key = tickets().keys().remove(0);
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("TicketKey {{ made: {START}, .. }}"));
    }
}
