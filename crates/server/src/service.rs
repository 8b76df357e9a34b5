//! The services that answer permitted requests.

use std::sync::Arc;

use crate::config::ServiceSettings;
use crate::folder::Folder;
use crate::upstream::{Members, Upstream};

/// A service of one runtime. Every kind accepts only admitted requests.
#[derive(Debug)]
pub(crate) enum Service {
    /// A folder, whose files the gate sends itself.
    Folder(Folder),
    /// Servers, to which requests are forwarded.
    Upstream(Upstream),
}

impl Service {
    /// A service without connections yet.
    pub(crate) fn new(settings: &ServiceSettings, members: Option<&Arc<Members>>) -> Self {
        match settings {
            ServiceSettings::Folder(settings) => Self::Folder(Folder::new(settings)),
            ServiceSettings::Upstream(settings) => {
                let members = members.cloned();
                let members = members.unwrap_or_else(|| Arc::new(Members::new(settings)));
                Self::Upstream(Upstream::new(settings, &members))
            }
        }
    }
}
