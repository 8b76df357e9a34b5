//! What a client asks of a folder.

use http::HeaderMap;
use session::UnixTime;

/// What a client asks of a folder, beside the path of the admitted request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileRequest<'r> {
    /// Those of the request as it came: conditions and preferences.
    pub(crate) headers: &'r HeaderMap,
    /// The path that the client knows, before anything was cut off.
    pub(crate) path: &'r str,
    pub(crate) query: Option<&'r str>,
    /// Whether everybody may enter.
    pub(crate) is_public: bool,
    pub(crate) now: UnixTime,
}
