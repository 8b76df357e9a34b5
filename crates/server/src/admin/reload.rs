//! `POST /reload`: reads the configuration anew, and answers when that is done.

use http::header::ORIGIN;
use http::{HeaderMap, Response, StatusCode};
use serde_json::json;

use super::{text, typed};
use crate::live::Reloads;

/// 200 with what has changed, or 422 with everything that is wrong.
pub(super) async fn answer(reloads: &Reloads, asking: &HeaderMap) -> Response<String> {
    // Without a token, any page in a browser on this machine could send this; browsers name the page's origin with a POST.
    if asking.contains_key(ORIGIN) {
        return text(StatusCode::FORBIDDEN, "reloads are not for web pages\n");
    }
    match reloads.reload().await {
        Ok(changes) => {
            let body = json!({
                "changed": changes.changed,
                "added": changes.added,
                "removed": changes.removed,
                "needs_restart": changes.needs_restart,
            });
            typed(StatusCode::OK, "application/json", format!("{body}\n"))
        }
        Err(problems) => text(StatusCode::UNPROCESSABLE_ENTITY, &format!("{problems}\n")),
    }
}
