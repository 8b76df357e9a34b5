//! `POST /reload`: reloads the configuration, and answers with the result.

use http::header::ORIGIN;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::live::Reloads;

/// Returns status, content type and body: 200 with the changes, or 422 with all problems.
pub(super) async fn answer(
    reloads: &Reloads,
    headers: &HeaderMap,
) -> (StatusCode, &'static str, String) {
    // Without a token, any page in a browser on this machine could send this; browsers send `Origin` with a POST.
    if headers.contains_key(ORIGIN) {
        let message = "web pages may not request a reload\n".to_owned();
        return (StatusCode::FORBIDDEN, TEXT, message);
    }
    match reloads.reload().await {
        Ok(changes) => {
            let body = json!({
                "changed": changes.changed,
                "added": changes.added,
                "removed": changes.removed,
                "needs_restart": changes.needs_restart,
            });
            (StatusCode::OK, "application/json", format!("{body}\n"))
        }
        Err(problems) => {
            let message = format!("{problems}\n");
            (StatusCode::UNPROCESSABLE_ENTITY, TEXT, message)
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
