//! `sessiongate doctor`: examines what an app sends, the configuration, and the stores and services behind it. It is
//! read-only: it writes to no store, and no request changes anything.

mod acme;
mod app;
mod attributes;
pub(crate) mod catalogue;
mod check;
mod cookie;
mod entropy;
mod fetch;
mod finding;
mod framework;
mod jar;
mod redis;
mod report;
mod role;
mod secrets;
mod services;
mod session;
mod settings;
mod site;
mod stores;
mod text;
mod user;

use http::HeaderValue;

use self::app::App;
use self::attributes::CookieContext;
use self::fetch::Fetcher;
use self::finding::Finding;
use self::report::Probe;
pub(crate) use self::report::{Conclusion, Report};
use self::session::RealmKeys;
pub(crate) use self::site::Site;
pub(crate) use self::text::of as text;
use crate::clock;
use crate::config::{self, Config, Loaded};
use crate::tls::{Authorities, TlsFileError};

/// The input of an examination.
#[derive(Debug)]
pub(crate) struct Examination<'a> {
    /// The configuration; `None` if there is none.
    pub(crate) loaded: Option<&'a Loaded>,
    /// The app, if a URL was given.
    pub(crate) site: Option<Site>,
    /// The base path of the app's framework, if it is not one of the usual ones.
    pub(crate) auth_path: Option<String>,
    /// The certificate authorities to trust for the app.
    pub(crate) authorities: Authorities,
    /// The value of a `Cookie` header with a session.
    pub(crate) session: Option<HeaderValue>,
    /// `Set-Cookie` fields that the app sent at a sign-in.
    pub(crate) set_cookies: Vec<Vec<u8>>,
    /// The ids of findings to ignore.
    pub(crate) ignore: Vec<String>,
}

/// Examines everything in the input.
///
/// # Errors
/// If there are no certificate authorities to verify the app with.
pub(crate) async fn examine(examination: Examination<'_>) -> Result<Report, TlsFileError> {
    let mut seen = ReportBuilder::default();
    let config = match examination.loaded {
        Some(loaded) => seen.configuration(loaded),
        None => {
            let skipped = "the configuration: there is no file, and no setting in the environment";
            seen.skipped.push(skipped.to_owned());
            None
        }
    };
    let read = config.as_ref().map(read_names);
    if let Some(config) = &config {
        seen.services(config).await;
    }
    seen.cookies(&examination, config.as_ref(), read.as_deref());
    seen.user(&examination, config).await;
    match &examination.site {
        Some(site) => seen.app(&examination, site, read.as_deref()).await?,
        None => seen.skipped.push("the app: no URL was given".to_owned()),
    }
    let ReportBuilder {
        findings,
        probes,
        skipped,
    } = seen;
    Ok(Report::new(findings, probes, skipped, &examination.ignore))
}

/// The findings so far, the probes made, and what was skipped.
#[derive(Debug, Default)]
struct ReportBuilder {
    findings: Vec<Finding>,
    probes: Vec<Probe>,
    skipped: Vec<String>,
}

impl ReportBuilder {
    fn configuration(&mut self, loaded: &Loaded) -> Option<Config> {
        let secrets = config::secrets(loaded);
        let of_secrets = secrets::assess(&secrets);
        self.findings
            .extend(secrets::assess_files(&config::secret_files(loaded)));
        let config = match Config::from_loaded(loaded) {
            Ok(config) => {
                let found = settings::assess(&config, loaded, &secrets);
                self.findings.extend(found);
                Some(config)
            }
            Err(errors) => {
                let found = settings::not_valid(errors.problems()).into_iter();
                // A secret that start-up refuses has a finding of its own.
                let is_told = |finding: &Finding| {
                    of_secrets
                        .iter()
                        .any(|other| other.subject == finding.subject)
                };
                self.findings
                    .extend(found.filter(|finding| !is_told(finding)));
                self.findings
                    .extend(settings::misspelled_names(errors.notes()));
                let skipped = "stores and services: the configuration is not valid";
                self.skipped.push(skipped.to_owned());
                None
            }
        };
        self.findings.extend(of_secrets);
        config
    }

    async fn services(&mut self, config: &Config) {
        for (findings, probes) in [
            stores::examine(config).await,
            services::examine(config).await,
            acme::examine(config).await,
        ] {
            self.findings.extend(findings);
            self.probes.extend(probes);
        }
    }

    /// Examines the cookies that were given as files.
    fn cookies(
        &mut self,
        examination: &Examination<'_>,
        config: Option<&Config>,
        read: Option<&[String]>,
    ) {
        let now = clock::now();
        if let Some(header) = &examination.session {
            let realms = config.map(|config| &config.realms[..]).unwrap_or_default();
            let realms: Vec<_> = realms
                .iter()
                .map(|realm| RealmKeys {
                    keys: &realm.keys,
                    demands: &realm.demands,
                })
                .collect();
            let header = header.as_bytes();
            let found = session::assess(header, &realms, read.unwrap_or_default(), now);
            self.findings.extend(found);
        }
        let fields = examination.set_cookies.iter().map(Vec::as_slice);
        let site = examination.site.as_ref();
        let setting = CookieContext {
            host: site.map(|site| site.host.as_str()),
            is_https: site.is_none_or(|site| site.is_https),
            read,
            now,
        };
        self.findings.extend(attributes::assess(fields, &setting));
    }

    /// Looks up the user of the given session, if it opens.
    async fn user(&mut self, examination: &Examination<'_>, config: Option<Config>) {
        let Some(cookies) = &examination.session else {
            return;
        };
        match config {
            Some(config) => match user::examine(config, cookies, clock::now()).await {
                Ok(finding) => self.findings.extend(finding),
                Err(why) => self.skipped.push(why),
            },
            None if examination.loaded.is_some() => {
                let skipped = "the session in --cookie-file: the configuration is not valid; `sessiongate open` explains it";
                self.skipped.push(skipped.to_owned());
            }
            None => {}
        }
    }

    async fn app(
        &mut self,
        examination: &Examination<'_>,
        site: &Site,
        read: Option<&[String]>,
    ) -> Result<(), TlsFileError> {
        let fetcher = Fetcher::new(examination.authorities.clone())?;
        let mut app = App::new(fetcher, read);
        if let Some(site) = app.find_page(site).await {
            let path = examination.auth_path.as_deref();
            framework::examine(&mut app, &site, path, examination.session.as_ref()).await;
        }
        self.findings.extend(app.findings);
        self.probes.extend(app.probes);
        Ok(())
    }
}

/// The names of the session cookies that the gate reads.
fn read_names(config: &Config) -> Vec<String> {
    let cookies = config.realms.iter().flat_map(|realm| realm.keys.cookies());
    cookies.map(|cookie| cookie.name().to_string()).collect()
}
