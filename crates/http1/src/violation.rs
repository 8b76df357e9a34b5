//! Why bytes are not a message.

use thiserror::Error;

/// What is wrong with a message. Nothing after it on its connection can be trusted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// A chunk's size or end is not where or what it should be.
    #[error("a chunk is malformed")]
    Chunk,
    /// `Content-Length` is not one number.
    #[error("Content-Length is no number")]
    ContentLength,
    /// A line that is no field line, or ends otherwise than with CR LF.
    #[error("a line is no header field")]
    FieldLine,
    /// A value of a field begins or ends with white space, in a version of HTTP that has none there (RFC 9113 §8.2.1).
    #[error("the value of a field begins or ends with white space")]
    FieldValue,
    /// The client speaks HTTP/2, and knows beforehand that we do (RFC 9113 §3.3): the first part of its preface has been taken.
    #[error("HTTP/2 is spoken, and not here")]
    Http2,
    /// The first line of a request.
    #[error("the request line is malformed")]
    RequestLine,
    /// The head of an answer.
    #[error("the answer's head is malformed")]
    ResponseHead,
    /// The head or a trailer section is longer than anybody needs.
    #[error("the head is too large")]
    TooLarge,
    /// The target of a request alone is longer than a head may be.
    #[error("the request's target is too long")]
    TargetTooLong,
    /// `Transfer-Encoding` is not `chunked`.
    #[error("Transfer-Encoding is not chunked")]
    TransferEncoding,
    /// Two fields say where the body ends.
    #[error("two fields give the body's length")]
    TwoLengths,
    /// A head has begun and did not end in time. The caller, which has a clock, reports it.
    #[error("the rest of the head did not come in time")]
    Unfinished,
    /// `Transfer-Encoding` names codings that we do not know, in a way in which it can (RFC 9112 §6.1).
    #[error("Transfer-Encoding has a coding other than chunked")]
    UnknownCoding,
}
