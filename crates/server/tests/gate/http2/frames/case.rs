//! The type of a case: frames that break a rule, and the expected outcome.

pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const COMPRESSION_ERROR: u32 = 9;

/// The expected outcome of a case.
pub(super) enum Effect {
    /// The connection ends with this code.
    Away(u32),
    /// The first stream is answered with this status.
    Is(u16),
    /// The stream, or the connection, ends with this code.
    Ends(u32),
}

/// A violation with its section of the RFC, the frames, and the expected outcome.
pub(super) struct Case(
    pub(super) &'static str,
    pub(super) Vec<u8>,
    pub(super) Effect,
);
