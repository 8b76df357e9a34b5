//! A request to a folder.

use http::HeaderMap;
use session::UnixTime;

/// What a folder needs of the client's request, besides the admitted request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileRequest<'r> {
    /// The fields of the client's request: conditions and preferences.
    pub(crate) headers: &'r HeaderMap,
    /// The path in the client's request, before a prefix was removed.
    pub(crate) path: &'r str,
    pub(crate) query: Option<&'r str>,
    /// Whether the route is public.
    pub(crate) is_public: bool,
    pub(crate) now: UnixTime,
}
