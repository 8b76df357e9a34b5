//! A read-only survey of the ACME server and the store, for `doctor`.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::client::AcmeClient;
use super::folder::FolderStore;
use super::keeper;
use super::store;
use super::stored::StoredKind;
use crate::config::{AcmePlace, AcmeSettings};
use stores::{Pools, SharedRows, SharedRowsSurvey};

/// The results of [`survey`].
#[derive(Debug)]
pub(crate) struct AcmeSurvey {
    /// Whether the directory can be fetched, or why not.
    pub(crate) directory: Result<(), String>,
    pub(crate) place: PlaceSurvey,
    /// The certificate of each configured hostname.
    pub(crate) certificates: Vec<(String, StoredCertificate)>,
}

/// The state of the store.
#[derive(Debug)]
pub(crate) enum PlaceSurvey {
    /// A folder, with the path that is not writable, if there is one.
    Folder { not_writable: Option<PathBuf> },
    /// A table, or why it cannot be read.
    Rows(Result<SharedRowsSurvey, String>),
}

/// The state of a stored certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StoredCertificate {
    Missing,
    /// The certificate expires at `end` and is renewed at `renewal` at the latest, both in seconds since 1970.
    Until {
        end: u64,
        renewal: u64,
    },
    /// The certificate is unreadable or invalid.
    Unreadable(String),
}

/// Surveys the server and the store. Messages contain no credentials.
pub(crate) async fn survey(settings: &AcmeSettings, pools: &Pools) -> AcmeSurvey {
    let directory = match AcmeClient::new(settings.authorities.clone()) {
        Ok(client) => client.directory(&settings.directory_url).await,
        Err(error) => Err(format!("ACME_CA_FILE: {error}")),
    };
    let mut certificates = Vec::new();
    let place = match &settings.place {
        AcmePlace::Folder(path) => {
            let scope = store::scope(&settings.directory_url);
            let folder = FolderStore::at(path, &scope);
            for domain in &settings.domains {
                let text = folder.get(StoredKind::Certificate, domain).await;
                let text = text.map_err(|error| error.to_string());
                certificates.push((domain.clone(), kept(domain, text)));
            }
            let not_writable = not_writable(&path.join(scope));
            PlaceSurvey::Folder { not_writable }
        }
        AcmePlace::Postgres(database) => {
            let (url, holder) = (&settings.directory_url, String::new());
            let rows = SharedRows::open(database, pools, url, holder);
            let rows = rows.expect("the settings name a PostgreSQL");
            let survey = rows.survey().await.map_err(|error| error.to_string());
            if survey.as_ref().is_ok_and(SharedRowsSurvey::is_readable) {
                for domain in &settings.domains {
                    let text = rows.get(StoredKind::Certificate.label(), domain).await;
                    let text = text.map_err(|error| error.to_string());
                    certificates.push((domain.clone(), kept(domain, text)));
                }
            }
            PlaceSurvey::Rows(survey)
        }
    };
    AcmeSurvey {
        directory,
        place,
        certificates,
    }
}

fn kept(domain: &str, text: Result<Option<String>, String>) -> StoredCertificate {
    let text = match text {
        Ok(Some(text)) => text,
        Ok(None) => return StoredCertificate::Missing,
        Err(error) => return StoredCertificate::Unreadable(error),
    };
    match keeper::read(domain, &text) {
        Ok(certificate) => StoredCertificate::Until {
            end: certificate.not_after,
            renewal: super::due::renewal(&certificate, 1.0),
        },
        Err(error) => StoredCertificate::Unreadable(error),
    }
}

/// The folder, or its nearest existing parent, if it is not writable.
fn not_writable(folder: &Path) -> Option<PathBuf> {
    let there = folder.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or(Path::new("."));
    let may = there.is_dir() && access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    (!may).then(|| there.to_owned())
}
