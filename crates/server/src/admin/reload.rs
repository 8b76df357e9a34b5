//! `POST /reload`: reads the configuration anew, and answers when that is done.

use http::header::ORIGIN;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::live::Reloads;

/// 200 with what has changed, or 422 with everything that is wrong: the status, the body's type, and the body.
pub(super) async fn answer(
    reloads: &Reloads,
    asking: &HeaderMap,
) -> (StatusCode, &'static str, String) {
    // Without a token, any page in a browser on this machine could send this; browsers name the page's origin with a POST.
    if asking.contains_key(ORIGIN) {
        let said = "reloads are not for web pages\n".to_owned();
        return (StatusCode::FORBIDDEN, TEXT, said);
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
            let said = format!("{problems}\n");
            (StatusCode::UNPROCESSABLE_ENTITY, TEXT, said)
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
