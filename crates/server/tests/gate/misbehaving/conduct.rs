//! How a service behaves for the number of a request, and the outcome that its client should get.

/// The behavior of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Conduct {
    /// Closes the connection where a chunk should begin.
    BadChunk,
    /// Sends a body in answer to HEAD.
    BodyToHead,
    /// Sends a body with 204.
    BodyWithNone,
    /// Answers without a length.
    Chunked,
    /// Announces that it closes the connection, and does so.
    Closes,
    /// Closes the connection instead of answering.
    ClosesAtOnce,
    /// Answers, and closes its sending side.
    HalfCloses,
    /// Never answers.
    Hangs,
    /// Sends an interim response before the answer.
    Interim,
    /// Ends its connection with all requests under way.
    Killed,
    /// Closes the connection within the head.
    MidHead,
    /// Sends something that is not HTTP.
    Nonsense,
    /// Answers as it should.
    Proper,
    /// Resets the connection or stream instead of answering.
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

/// The outcome that a client should get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Its answer, with this status.
    Own(u16),
    /// The beginning of its answer; or this status, if nothing of the answer has been sent.
    BrokenOr(u16),
    /// An answer of the gate with this status.
    Refusal(u16),
}

impl Conduct {
    /// Returns the behavior for the request with this number. Most requests get a proper answer.
    pub(super) fn of(number: u64) -> Self {
        // Consecutive numbers should not behave alike.
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

    /// Returns the method of the request.
    pub(super) fn method(self) -> &'static str {
        if matches!(self, Self::BodyToHead) {
            "HEAD"
        } else if matches!(self, Self::Closes | Self::TooLong | Self::Slow) {
            "POST"
        } else {
            "GET"
        }
    }

    pub(super) fn expected(self) -> Expected {
        match self {
            Self::BodyWithNone => Expected::Own(204),
            Self::BodyToHead
            | Self::Chunked
            | Self::Closes
            | Self::HalfCloses
            | Self::Interim
            | Self::Proper
            | Self::Slow => Expected::Own(200),
            Self::BadChunk | Self::TooShort => Expected::BrokenOr(502),
            Self::TooLong => Expected::Own(200),
            Self::Killed => Expected::BrokenOr(502),
            Self::Hangs => Expected::Refusal(504),
            Self::ClosesAtOnce
            | Self::MidHead
            | Self::Nonsense
            | Self::Resets
            | Self::TwoLengths => Expected::Refusal(502),
        }
    }
}

/// Returns the mark in a field of an answer, which identifies its request.
pub(super) fn mark(user: &str, number: u64) -> String {
    format!("{user} {number}")
}

/// Returns the body of an answer, whose length and letter depend on the number.
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

/// Stray bytes of a service that no client may get.
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
