//! The parts of an explanation about the request, the answer, other routes, the session and the destination.

use serde::Serialize;
use session::Session;

use super::table::RouteLine;
use crate::clock::timestamp;

#[derive(Debug, Serialize)]
pub(super) struct RequestPart {
    pub(super) method: String,
    pub(super) host: Option<String>,
    pub(super) path: String,
    pub(super) client: String,
}

#[derive(Debug, Serialize)]
pub(super) struct AnswerPart {
    pub(super) enters: bool,
    /// The reason code in the audit log.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The status, if the gate itself answers.
    pub(super) status: Option<u16>,
    pub(super) location: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct OtherRoute {
    #[serde(flatten)]
    pub(super) line: RouteLine,
    pub(super) why_not: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct SessionPart {
    pub(super) user_id: String,
    pub(super) format: &'static str,
    pub(super) expires: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Destination {
    /// The servers, or the folder.
    pub(super) servers: Vec<String>,
    pub(super) path: String,
    pub(super) host: Option<String>,
}

impl AnswerPart {
    pub(super) fn from_gate(enters: bool, reason: &'static str, message: &str) -> Self {
        Self {
            enters,
            reason,
            message: message.to_owned(),
            status: None,
            location: None,
        }
    }
}

impl SessionPart {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            user_id: session.subject().to_owned(),
            format: session.format().as_str(),
            expires: timestamp(session.expires_at()).to_string(),
        }
    }
}
