//! What the usual path of a request hardly ever comes to.

use std::pin::Pin;

/// In a box, and behind a pointer to its code. So the future of every request has no room for it, and the code that all requests
/// run through lies together: with all of it in one function, a fifth of that was in use, and it did not fit in a core's first
/// cache.
pub(crate) fn aside<'f, F>(future: F) -> Pin<Box<dyn Future<Output = F::Output> + 'f>>
where
    F: Future + 'f,
{
    Box::pin(future)
}
