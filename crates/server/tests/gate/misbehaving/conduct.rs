//! How a service behaves, by the number of a request, and what its client should get.

/// How a service behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Conduct {
    /// Breaks off where a chunk should begin.
    BadChunk,
    /// Sends a body where there is none: to HEAD.
    BodyToHead,
    /// Sends a body where there is none: with 204.
    BodyWithNone,
    /// Answers without a length.
    Chunked,
    /// Says that it closes the connection, and does.
    Closes,
    /// Closes the connection in place of an answer.
    ClosesAtOnce,
    /// Answers, and says that it will send nothing more.
    HalfCloses,
    /// Never answers.
    Hangs,
    /// Says something before it answers.
    Interim,
    /// Ends with all that it has under way.
    Killed,
    /// Closes the connection within the head.
    MidHead,
    /// Sends something that is no answer.
    Nonsense,
    /// Answers as it should.
    Proper,
    /// Resets in place of an answer.
    Resets,
    /// Answers in two pieces, with a pause.
    Slow,
    /// Sends more than it has announced.
    TooLong,
    /// Sends less than it has announced.
    TooShort,
    /// Announces two lengths.
    TwoLengths,
}

/// What a client may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its answer, with this status.
    Own(u16),
    /// The beginning of its answer; or this status, while nothing of it has left.
    BrokenOr(u16),
    /// An answer of the gate with this status.
    Refusal(u16),
}

impl Conduct {
    /// Of the request with this number. Most are answered as they should be.
    pub(super) fn of(number: u64) -> Self {
        // Neighbours should not behave alike.
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match random % 4096 {
            0 => Self::Hangs,
            1..=4 => Self::Killed,
            place => FAULTS
                .get(usize::try_from(place % 64).unwrap_or_default())
                .copied()
                .unwrap_or(Self::Proper),
        }
    }

    /// The method with which it is asked for.
    pub(super) fn method(self) -> &'static str {
        if matches!(self, Self::BodyToHead) {
            "HEAD"
        } else if matches!(self, Self::Closes | Self::TooLong | Self::Slow) {
            "POST"
        } else {
            "GET"
        }
    }

    pub(super) fn wanted(self) -> Wanted {
        match self {
            Self::BodyWithNone => Wanted::Own(204),
            Self::BodyToHead
            | Self::Chunked
            | Self::Closes
            | Self::HalfCloses
            | Self::Interim
            | Self::Proper
            | Self::Slow => Wanted::Own(200),
            Self::BadChunk | Self::TooShort => Wanted::BrokenOr(502),
            Self::TooLong => Wanted::Own(200),
            Self::Killed => Wanted::BrokenOr(502),
            Self::Hangs => Wanted::Refusal(504),
            Self::ClosesAtOnce
            | Self::MidHead
            | Self::Nonsense
            | Self::Resets
            | Self::TwoLengths => Wanted::Refusal(502),
        }
    }
}

/// What an answer says of itself in a field: whose it is.
pub(super) fn mark(user: &str, number: u64) -> String {
    format!("{user} {number}")
}

/// The body of an answer. Its length and its letters are those of its number.
pub(super) fn body(mark: &str, number: u64) -> Vec<u8> {
    let length = match number % 97 {
        0 => 150_000,
        _ => usize::try_from(number * 7919 % 5000).unwrap_or_default(),
    };
    let letter = b'a' + u8::try_from(number % 26).unwrap_or_default();
    let mut body = format!("{mark}\n").into_bytes();
    body.resize(body.len() + length, letter);
    body
}

/// What a service sends that nobody may get.
pub(super) const STRAY: &[u8] =
    b"HTTP/1.1 200 OK\r\nX-Mark: nobody 0\r\nContent-Length: 5\r\n\r\nstray";

const FAULTS: [Conduct; 19] = [
    Conduct::BadChunk,
    Conduct::BodyToHead,
    Conduct::BodyToHead,
    Conduct::BodyWithNone,
    Conduct::Chunked,
    Conduct::Chunked,
    Conduct::Closes,
    Conduct::ClosesAtOnce,
    Conduct::HalfCloses,
    Conduct::Interim,
    Conduct::MidHead,
    Conduct::Nonsense,
    Conduct::Resets,
    Conduct::Slow,
    Conduct::Slow,
    Conduct::TooLong,
    Conduct::TooLong,
    Conduct::TooShort,
    Conduct::TwoLengths,
];
