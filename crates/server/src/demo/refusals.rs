//! The last refusal of the gate, and how the admin listener explains it.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use gate::Route;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::audit::AuditEntry;
use crate::clock::timestamp;

/// A refused request, as in its audit line.
#[derive(Clone, Debug)]
pub(super) struct RefusedRequest {
    pub(super) request_id: String,
    /// When the request arrived, in UTC, to the second.
    pub(super) time: String,
    pub(super) method: String,
    pub(super) path: String,
    /// The route that governed it, if one did.
    pub(super) route: Option<String>,
    /// The code of the reason.
    pub(super) reason: &'static str,
    pub(super) status: u16,
    /// The user of its session, once that was opened.
    pub(super) user_id: Option<String>,
}

/// The last refusal of this process, and the address of its admin listener.
#[derive(Debug, Default)]
pub(super) struct LastRefusal {
    last: Mutex<Option<RefusedRequest>>,
    admin: OnceLock<SocketAddr>,
}

impl LastRefusal {
    /// Keeps the entry of an audit line if it is a refusal, unless browsers send such requests by themselves.
    pub(super) fn record(&self, entry: &AuditEntry<'_>) {
        if entry.outcome != "deny" || is_requested_by_browsers(entry.path) {
            return;
        }
        let refused = RefusedRequest {
            request_id: entry.request_id.to_owned(),
            time: timestamp(entry.ts).strftime("%H:%M:%S UTC").to_string(),
            method: entry.method.to_owned(),
            path: entry.path.to_owned(),
            route: entry
                .rule
                .filter(|rule| *rule != Route::UNMATCHED)
                .map(str::to_owned),
            reason: entry.reason,
            status: entry.status,
            user_id: entry.user_id.map(str::to_owned),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
    }

    /// Sets the address of the admin listener.
    pub(super) fn set_admin_address(&self, admin: SocketAddr) {
        // There is one admin listener, and this is called once.
        let _ = self.admin.set(admin);
    }

    pub(super) fn last(&self) -> Option<RefusedRequest> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// The answer of the admin listener to `GET /explain?request_id=…`; `None` when that is not 200, for example because the
    /// listener does not know the request any more.
    pub(super) async fn explained(&self, request_id: &str) -> Option<String> {
        let admin = *self.admin.get()?;
        let answer = timeout(LONGEST_QUESTION, fetch_explanation(admin, request_id)).await;
        let answer = answer.ok()?.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let is_told = head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.0 200 ");
        is_told.then(|| readable(body))
    }
}

/// Whether browsers request this path by themselves, beside the page that they load.
fn is_requested_by_browsers(path: &str) -> bool {
    path == "/favicon.ico"
        || path.starts_with("/apple-touch-icon")
        || path.starts_with("/.well-known/appspecific/")
}

async fn fetch_explanation(admin: SocketAddr, request_id: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    let request_id = utf8_percent_encode(request_id, NON_ALPHANUMERIC);
    let question = format!(
        "GET /explain?request_id={request_id} HTTP/1.0\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n"
    );
    stream.write_all(question.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Formats JSON on several lines. Any other text is returned as it is, without white space at the end.
fn readable(body: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(json) => format!("{json:#}"),
        Err(_) => body.trim_end().to_owned(),
    }
}

/// How long to wait for the admin listener, which is in this process.
const LONGEST_QUESTION: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Returns the explanation from this answer of the admin listener, and the request that was sent to it.
    async fn shown(answer: &str) -> (Option<String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusals = LastRefusal::default();
        refusals.set_admin_address(listener.local_addr().unwrap());
        let answers = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 1024];
            let count = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..count]).into_owned()
        };
        tokio::join!(refusals.explained("a b"), answers)
    }

    #[tokio::test]
    async fn explanation_of_the_admin_listener_is_shown() {
        let (text, asked) = shown("HTTP/1.0 200 OK\r\nA: b\r\n\r\nRoute  admin\n").await;
        assert_eq!(text.as_deref(), Some("Route  admin"));
        assert!(asked.starts_with("GET /explain?request_id=a%20b HTTP/1.0\r\n"));
        let (json, _) = shown("HTTP/1.1 200 OK\r\n\r\n{\"a\":1}").await;
        assert_eq!(json.as_deref(), Some("{\n  \"a\": 1\n}"));
        let (absent, _) = shown("HTTP/1.1 404 Not Found\r\n\r\nno such page").await;
        assert_eq!(absent, None);
    }
}
