//! Examines the ACME server and the stored certificates.

use std::time::Duration;

use session::UnixTime;
use tokio::runtime::Handle;

use super::catalogue::acme as checks;
use super::finding::Finding;
use super::report::Probe;
use crate::acme::{self, AcmeSurvey, PlaceSurvey, StoredCertificate};
use crate::clock;
use crate::config::{AcmePlace, AcmeSettings, Config};
use crate::process::process;
use stores::Pools;

/// Requests the directory of the ACME server, and examines the stored certificates.
pub(super) async fn examine(config: &Config) -> (Vec<Finding>, Vec<Probe>) {
    let Some(settings) = &config.acme else {
        return (Vec::new(), Vec::new());
    };
    let pools = Pools::new(process(Handle::current()));
    let survey = acme::survey(settings, &pools).await;
    let mut probes = vec![Probe {
        what: format!("ACME server {}", settings.directory_url),
        failure: survey.directory.clone().err(),
        limit: acme::LONGEST,
    }];
    if let (AcmePlace::Postgres(database), PlaceSurvey::Rows(rows)) =
        (&settings.place, &survey.place)
    {
        probes.push(Probe {
            what: ROWS.to_owned(),
            failure: rows.as_ref().err().cloned(),
            limit: database.timeout,
        });
    }
    (assess(settings, &survey, clock::now()), probes)
}

fn assess(settings: &AcmeSettings, survey: &AcmeSurvey, now: UnixTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(failure) = &survey.directory {
        let what = format!("ACME server {}", settings.directory_url);
        findings.push(Finding::new(&checks::DIRECTORY, what, failure.clone()));
    }
    match &survey.place {
        PlaceSurvey::Folder { not_writable: None } => {}
        PlaceSurvey::Folder {
            not_writable: Some(folder),
        } => {
            let seen = format!("the folder {} is not writable", folder.display());
            findings.push(Finding::new(&checks::FOLDER, "ACME_STORE", seen));
        }
        PlaceSurvey::Rows(Err(failure)) => {
            findings.push(Finding::new(&checks::ROWS, ROWS, failure.clone()));
        }
        PlaceSurvey::Rows(Ok(rows)) => {
            if let Some(lacks) = rows.missing() {
                let finding = Finding::new(&checks::ROWS, ROWS, lacks);
                findings.push(finding.with_advice(rows.advice()));
            }
        }
    }
    let certificates = survey.certificates.iter();
    findings.extend(certificates.filter_map(|(domain, kept)| certificate(domain, kept, now)));
    findings
}

/// The finding about the certificate of a host: how long it is valid, and whether it should have been renewed.
fn certificate(domain: &str, kept: &StoredCertificate, now: UnixTime) -> Option<Finding> {
    let subject = format!("certificate for {domain}");
    let (check, seen) = match kept {
        StoredCertificate::Missing => (&checks::MISSING, "no certificate is stored".to_owned()),
        StoredCertificate::Unreadable(why) => (&checks::MISSING, why.clone()),
        StoredCertificate::Until { end, .. } if *end <= now.secs() => {
            let ago = days(now.secs() - end);
            (&checks::LATE, format!("it expired {ago} ago"))
        }
        StoredCertificate::Until { end, renewal } => {
            let (left, good) = (end - now.secs(), days(end - now.secs()));
            // The certificate is renewed with a third of its lifetime left, and the order retried every six hours.
            let is_late = left < (end - renewal.min(end)) / 2;
            let check = if is_late {
                &checks::LATE
            } else {
                &checks::GOOD
            };
            (check, format!("it is valid for another {good}"))
        }
    };
    Some(Finding::new(check, subject, seen))
}

fn days(seconds: u64) -> String {
    match Duration::from_secs(seconds).as_secs() / (24 * 60 * 60) {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

const ROWS: &str = "table sessiongate_acme";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_is_late_after_half_of_its_renewal_time() {
        const DAY: u64 = 24 * 60 * 60;
        let now = UnixTime::from_secs(1000 * DAY);
        let until = |end: u64| StoredCertificate::Until {
            end: end * DAY,
            renewal: (end - 30) * DAY,
        };
        for (kept, id, seen) in [
            (
                StoredCertificate::Missing,
                "acme-certificate-missing",
                "no certificate is stored",
            ),
            (
                until(1060),
                "acme-certificate-kept",
                "it is valid for another 60 days",
            ),
            (
                until(1016),
                "acme-certificate-kept",
                "it is valid for another 16 days",
            ),
            (
                until(1014),
                "acme-certificate-late",
                "it is valid for another 14 days",
            ),
            (
                until(1001),
                "acme-certificate-late",
                "it is valid for another 1 day",
            ),
            (until(999), "acme-certificate-late", "it expired 1 day ago"),
        ] {
            let finding = certificate("a.example", &kept, now).unwrap();
            assert_eq!((finding.check.id, &*finding.seen), (id, seen), "{kept:?}");
        }
    }
}
