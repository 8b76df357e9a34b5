//! Admitted requests whose service is a folder.

use bytes::Bytes;
use gate::Admitted;
use http::header::{ALLOW, CONTENT_RANGE};
use http::{HeaderValue, Request, Response};
use http1::Length;

use super::client_kind::ClientKind;
use super::record::Record;
use super::{WarningLimiter, answer};
use crate::downstream::Downstream;
use crate::folder::{FileRequest, FileResponse, Folder, FolderError};

/// How a request to a folder is answered.
pub(super) enum FileOutcome {
    /// Not at all: the client has gone away.
    Abandoned,
    /// With a file of the folder, or with the folder's own error page.
    Answered(FileResponse),
    /// With an error of the gate itself.
    Refused(Response<Bytes>),
}

/// Finds a folder's answer to an admitted request.
pub(super) async fn find(
    folder: &Folder,
    admitted: Admitted<'_, Length>,
    (request, is_public): (&Request<Length>, bool),
    client: &mut impl Downstream,
    record: &mut Record<'_>,
    warnings: &WarningLimiter,
) -> FileOutcome {
    let file_request = FileRequest {
        headers: request.headers(),
        path: request.uri().path(),
        query: request.uri().query(),
        is_public,
        now: record.now,
    };
    let error = match folder.answer(admitted, &file_request, client).await {
        Ok(answer) => {
            record.service_answered(answer.status);
            return FileOutcome::Answered(answer);
        }
        Err(error) => error,
    };
    let Some(refused) = refusal(&error, request, record, warnings) else {
        return FileOutcome::Abandoned;
    };
    let method = request.method();
    // Programs get JSON. After a server error the page is not read, because a failing disk would not give it either.
    if !refused.status().is_server_error()
        && let ClientKind::Browser | ClientKind::Form = ClientKind::of(method, request.headers())
        && let Some(mut page) = folder
            .error_page(refused.status(), method, request.headers(), client)
            .await
    {
        page.add_fields_of(refused.headers());
        return FileOutcome::Answered(page);
    }
    FileOutcome::Refused(refused)
}

/// The answer for a folder's error; `None` when the client has gone away.
pub(super) fn refusal(
    error: &FolderError,
    request: &Request<Length>,
    record: &mut Record<'_>,
    warnings: &WarningLimiter,
) -> Option<Response<Bytes>> {
    let status = error.status()?;
    record.ended = error.ended();
    match error {
        FolderError::Broken(_) => record.upstream = Some("broken"),
        FolderError::TimedOut(_) => record.upstream = Some("timed_out"),
        FolderError::ClientGone
        | FolderError::Method
        | FolderError::NotFound
        | FolderError::Precondition
        | FolderError::Range { .. } => record.service_answered(status),
    }
    if status.is_server_error() && warnings.allows(record.now) {
        tracing::warn!(request_id = record.request_id(), %error, "a file cannot be read");
    }
    let client_kind = ClientKind::of(request.method(), request.headers());
    let mut response = answer::status(status, client_kind, record.request_id());
    let headers = response.headers_mut();
    match error {
        FolderError::Method => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        FolderError::Range { length } => {
            let range = HeaderValue::try_from(format!("bytes */{length}"));
            headers.insert(CONTENT_RANGE, range.expect("a number is visible ASCII"));
        }
        FolderError::Broken(_)
        | FolderError::ClientGone
        | FolderError::NotFound
        | FolderError::Precondition
        | FolderError::TimedOut(_) => {}
    }
    Some(response)
}
