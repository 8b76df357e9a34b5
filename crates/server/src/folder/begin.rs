//! Begins the answer of a folder, in either version of HTTP.

use http::header::DATE;
use http1::Length;

use super::body::Body;
use super::response::FileResponse;
use crate::clock;
use crate::downstream::Downstream;
use crate::inbound::arrival::X_REQUEST_ID;
use crate::inbound::record::Record;

impl FileResponse {
    /// Begins the answer. Returns the body that follows, if there is one.
    pub(crate) fn begin(self, client: &mut impl Downstream, record: &Record<'_>) -> Option<Body> {
        let Self {
            status,
            fields,
            body,
        } = self;
        let length = Length::Exactly(body.as_ref().map_or(0, Body::length));
        let id = record.request_id().as_bytes();
        let date = clock::http_date();
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let fields = fields.chain([
            (DATE.as_str().as_bytes(), date.as_bytes()),
            (X_REQUEST_ID.as_str().as_bytes(), id),
        ]);
        let reason = status.canonical_reason().unwrap_or_default();
        client.begin_answer(status, reason.as_bytes(), fields, length);
        body
    }
}
