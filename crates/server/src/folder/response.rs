//! The answers of a folder: files and their heads.

use std::io;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, LOCATION, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smallvec::{SmallVec, smallvec};

use super::blocking::BlockingThreads;
use super::body::{Body, Segment};
use super::error::FolderError;
use super::ranges::{self, FileRange, RequestedParts};
use super::request::FileRequest;
use super::site::File;
use super::validators::{Validators, Verdict};
use crate::random;

/// The answer of a folder.
#[derive(Debug)]
pub(crate) struct FileResponse {
    pub(crate) status: StatusCode,
    /// The fields, except those of the connection and the request id.
    pub(super) fields: Fields,
    /// The body; `None` without one, or for HEAD.
    pub(super) body: Option<Body>,
}

impl FileResponse {
    /// Adds `Strict-Transport-Security`.
    pub(crate) fn add_hsts(&mut self, hsts: &HeaderValue) {
        self.fields.push((STRICT_TRANSPORT_SECURITY, hsts.clone()));
    }

    /// Adds the fields that an answer with this status must have, from another answer with it.
    pub(crate) fn add_fields_of(&mut self, headers: &HeaderMap) {
        for name in [ALLOW, CONTENT_RANGE] {
            let value = headers.get(&name).cloned();
            self.fields.extend(value.map(|value| (name, value)));
        }
    }
}

/// The fields of an answer, in order.
pub(super) type Fields = Vec<(HeaderName, HeaderValue)>;

/// Returns the answer with a file or the requested parts of it, or 304.
pub(super) fn of_file(
    file: File,
    is_head: bool,
    file_request: &FileRequest<'_>,
    cache_control: &HeaderValue,
    blocking: &BlockingThreads,
) -> Result<FileResponse, FolderError> {
    let validators = Validators::of(&file.stat, file.coding, file_request.now.secs());
    let mut fields = Fields::with_capacity(MOST_FIELDS);
    fields.extend(validators.fields());
    fields.push((CACHE_CONTROL, cache_control.clone()));
    fields.extend(varies(&file).map(|names| (VARY, HeaderValue::from_static(names))));
    match validators.verdict(file_request.headers) {
        Verdict::Failed => return Err(FolderError::Precondition),
        Verdict::NotModified => {
            return Ok(FileResponse {
                status: StatusCode::NOT_MODIFIED,
                fields,
                body: None,
            });
        }
        Verdict::Holds => {}
    }
    fields.push((ACCEPT_RANGES, HeaderValue::from_static("bytes")));
    let length = file.stat.length;
    // Ranges apply only to GET (RFC 9110 §14.2).
    let wanted = match !is_head && validators.may_be_partial(file_request.headers) {
        true => ranges::wanted(file_request.headers, length),
        false => RequestedParts::Whole,
    };
    match wanted {
        RequestedParts::Unsatisfiable => Err(FolderError::Range { length }),
        RequestedParts::Whole => Ok(whole(StatusCode::OK, file, fields, is_head, blocking)),
        RequestedParts::One(part) => {
            fields.push((CONTENT_RANGE, value(content_range(part, length))));
            describe(&file, &mut fields);
            let before = Vec::new();
            let segments = smallvec![Segment { before, part }];
            Ok(partial(file, fields, segments, blocking))
        }
        RequestedParts::Parts(parts) => several(&parts, file, fields, blocking),
    }
}

/// An answer with the folder's own error page.
pub(super) fn of_error(
    status: StatusCode,
    file: File,
    is_head: bool,
    blocking: &BlockingThreads,
) -> FileResponse {
    let mut fields = Fields::with_capacity(MOST_FIELDS);
    fields.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    whole(status, file, fields, is_head, blocking)
}

/// Redirects to the path with a slash at its end. The location is relative, so that a prefix that other proxies have removed
/// is kept, and it cannot lead to another host.
pub(super) fn redirect_to_folder(
    file_request: &FileRequest<'_>,
    cache_control: &HeaderValue,
) -> FileResponse {
    let last = file_request.path.rsplit('/').next().unwrap_or_default();
    let query = file_request.query.map(|query| format!("?{query}"));
    let location = format!("./{last}/{}", query.unwrap_or_default());
    FileResponse {
        status: StatusCode::MOVED_PERMANENTLY,
        fields: vec![
            (LOCATION, value(location)),
            (CACHE_CONTROL, cache_control.clone()),
        ],
        body: None,
    }
}

fn whole(
    status: StatusCode,
    file: File,
    mut fields: Fields,
    is_head: bool,
    blocking: &BlockingThreads,
) -> FileResponse {
    describe(&file, &mut fields);
    let length = file.stat.length;
    let body = match is_head {
        true => {
            fields.push((CONTENT_LENGTH, length.into()));
            None
        }
        false => {
            let (before, part) = (Vec::new(), FileRange { start: 0, length });
            let segments = smallvec![Segment { before, part }];
            Some(Body::new(file.opened, segments, blocking.clone()))
        }
    };
    FileResponse {
        status,
        fields,
        body,
    }
}

/// A multipart body, each part with its head (RFC 9110 §14.6).
fn several(
    parts: &[FileRange],
    file: File,
    mut fields: Fields,
    blocking: &BlockingThreads,
) -> Result<FileResponse, FolderError> {
    let boundary = random::hex::<16>();
    let boundary = boundary.map_err(|error| FolderError::Broken(io::Error::other(error)))?;
    let (kind, length) = (file.kind.name, file.stat.length);
    let mut segments = SmallVec::new();
    for (place, part) in parts.iter().enumerate() {
        let line_before = if place == 0 { "" } else { "\r\n" };
        let range = content_range(*part, length);
        let before = format!(
            "{line_before}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n"
        );
        segments.push(Segment {
            before: before.into_bytes(),
            part: *part,
        });
    }
    segments.push(Segment {
        before: format!("\r\n--{boundary}--\r\n").into_bytes(),
        part: FileRange {
            start: 0,
            length: 0,
        },
    });
    describe(&file, &mut fields);
    let kind = format!("multipart/byteranges; boundary={boundary}");
    fields.retain(|(name, _)| *name != CONTENT_TYPE);
    fields.push((CONTENT_TYPE, value(kind)));
    Ok(partial(file, fields, segments, blocking))
}

fn partial(
    file: File,
    fields: Fields,
    segments: SmallVec<[Segment; 1]>,
    blocking: &BlockingThreads,
) -> FileResponse {
    FileResponse {
        status: StatusCode::PARTIAL_CONTENT,
        fields,
        body: Some(Body::new(file.opened, segments, blocking.clone())),
    }
}

/// Adds the fields that describe a file's content: its type and coding.
fn describe(file: &File, fields: &mut Fields) {
    let kind = HeaderValue::from_static(file.kind.name);
    fields.push((CONTENT_TYPE, kind));
    // The type follows from the name only, and never from the content, which may come from anyone.
    let nosniff = HeaderValue::from_static("nosniff");
    fields.push((X_CONTENT_TYPE_OPTIONS, nosniff));
    if let Some(coding) = file.coding {
        let coding = HeaderValue::from_static(coding.name());
        fields.push((CONTENT_ENCODING, coding));
    }
}

/// The `Vary` of a file.
fn varies(file: &File) -> Option<&'static str> {
    match (file.kind.is_compressible, file.is_fallback) {
        (true, true) => Some("accept-encoding, accept, sec-fetch-mode"),
        (true, false) => Some(ACCEPT_ENCODING.as_str()),
        (false, true) => Some("accept, sec-fetch-mode"),
        (false, false) => None,
    }
}

fn content_range(part: FileRange, length: u64) -> String {
    let last = part.start + part.length - 1;
    format!("bytes {}-{last}/{length}", part.start)
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers and a part of a valid target are visible ASCII")
}

/// How many fields an answer has at most.
const MOST_FIELDS: usize = 10;
