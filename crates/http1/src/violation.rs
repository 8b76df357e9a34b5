//! Why bytes are not a message.

use thiserror::Error;

/// What is wrong with a message. Nothing after it on its connection can be trusted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// A chunk's size or end is not where or what it should be.
    #[error("a chunk is malformed")]
    Chunk,
    /// `Content-Length` is not a single decimal number.
    #[error("Content-Length is not a number")]
    ContentLength,
    /// A line is not a field line, or does not end with CR LF.
    #[error("a line is not a header field")]
    FieldLine,
    /// The value of a field in HTTP/2 begins or ends with white space, which RFC 9113 §8.2.1 forbids.
    #[error("the value of a field begins or ends with white space")]
    FieldValue,
    /// The client uses HTTP/2 with prior knowledge (RFC 9113 §3.3). The first part of its preface has been taken from the input.
    #[error("the client sent HTTP/2, which is not accepted here")]
    Http2,
    /// The first line of a request is malformed.
    #[error("the request line is malformed")]
    RequestLine,
    /// The head of a response is malformed.
    #[error("the response head is malformed")]
    ResponseHead,
    /// A head or a trailer section is larger than its limit, or a head has too many fields.
    #[error("the head is too large")]
    TooLarge,
    /// The request line alone is longer than a head may be.
    #[error("the request's target is too long")]
    TargetTooLong,
    /// `Transfer-Encoding` is not `chunked`, or a client uses it in HTTP/1.0.
    #[error("Transfer-Encoding is not chunked")]
    TransferEncoding,
    /// Two fields determine the length of the body.
    #[error("two fields determine the length of the body")]
    TwoLengths,
    /// A head has begun and has not ended in time. The caller reports this, because it has the clock.
    #[error("the rest of the head did not arrive in time")]
    Unfinished,
    /// `Transfer-Encoding` is a valid list with a coding that is not supported (RFC 9112 §6.1).
    #[error("Transfer-Encoding has a coding other than chunked")]
    UnknownCoding,
}
