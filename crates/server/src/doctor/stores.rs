//! Examines the database, Redis and the store of revocations.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_postgres::config::SslMode;

use super::app::clock_difference;
use super::catalogue::app::CLOCK_OFF;
use super::catalogue::stores as checks;
use super::check::Check;
use super::finding::Finding;
use super::redis;
use super::report::Probe;
use super::settings::{is_remote, of_realm};
use crate::config::{Config, RealmSettings};
use crate::{clock, process};
use stores::{
    self, ChangeTriggers, ClockReading, ColumnState, ColumnSurvey, DatabaseSettings,
    DatabaseSurvey, DatabaseUrl, LookupSurvey, Plan, Pools, PostgresServer, RedisAddress,
    RedisSettings, RedisUses, RevocationSettings, RevocationStore, RoleSurvey, Rows, Verify,
    Visibility, survey_changes,
};

/// Surveys the database and Redis of each realm, and the Redis in which rates are counted.
pub(super) async fn examine(config: &Config) -> (Vec<Finding>, Vec<Probe>) {
    let mut found = StoreFindings::default();
    let limits = config.shared_limits.as_ref();
    let is_of_realm = |settings: &RedisSettings| {
        let mut stores = config
            .realms
            .iter()
            .filter_map(|realm| realm.stores.as_ref());
        stores.any(|stores| stores.redis.as_ref() == Some(settings))
    };
    if let Some(settings) = limits.filter(|settings| !is_of_realm(settings)) {
        let what = format!("Redis {} for limits", settings.server.address);
        let uses = RedisUses {
            caches: false,
            counts: true,
        };
        found.redis(what, settings, uses).await;
    }
    for realm in &config.realms {
        let Some(stores) = &realm.stores else {
            continue;
        };
        if let Some(database) = &stores.database {
            found.database(realm, stores, database).await;
        }
        if let Some(redis) = &stores.redis {
            let what = of_realm(&realm.name, &format!("Redis {}", redis.server.address));
            let counts = limits == Some(redis);
            let caches = stores.caches_in_redis();
            found.redis(what, redis, RedisUses { caches, counts }).await;
        }
    }
    if let Some(settings) = &config.revocations {
        found.revocations(settings).await;
    }
    (found.findings, found.probes)
}

#[derive(Debug, Default)]
struct StoreFindings {
    findings: Vec<Finding>,
    probes: Vec<Probe>,
}

impl StoreFindings {
    async fn database(
        &mut self,
        realm: &RealmSettings,
        stores: &stores::Settings,
        settings: &DatabaseSettings,
    ) {
        let what = of_realm(
            &realm.name,
            &format!("database {}", place_of_database(&settings.url)),
        );
        if let DatabaseUrl::Postgres(server) = &settings.url {
            self.findings.extend(encryption(&what, server));
        }
        let survey = stores::survey_database(stores, settings, &process::clock()).await;
        let failure = survey.as_ref().err().cloned();
        self.record_probe(
            &checks::DATABASE_UNREACHABLE,
            &what,
            failure,
            settings.timeout,
        );
        if let Ok(survey) = survey {
            self.findings.extend(assess_database(&what, &survey));
            if let Some(listen) = &settings.listen {
                self.findings
                    .extend(encryption("LISTEN_DATABASE_URL", listen));
                let what = format!("LISTEN_DATABASE_URL, {listen}");
                let what = of_realm(&realm.name, &what);
                self.changes(stores, settings, what).await;
            }
        }
    }

    /// Checks whether notifications of changes are sent and received, if the gate listens for them.
    async fn changes(
        &mut self,
        stores: &stores::Settings,
        settings: &DatabaseSettings,
        what: String,
    ) {
        let pools = Pools::new(process::process(Handle::current()));
        let tables = ChangeTriggers::of([stores]).inspect(settings, &pools).await;
        // A database that does not answer is reported already.
        let mut are_said = true;
        for table in tables.unwrap_or_default() {
            if let Some(flaw) = table.flaws.first() {
                are_said = false;
                let subject = format!("table {}", table.table);
                let finding = Finding::new(
                    &checks::CHANGE_TRIGGERS_INCOMPLETE,
                    subject,
                    flaw.to_string(),
                );
                self.findings.push(finding);
            }
        }
        if !are_said {
            return;
        }
        let failure = survey_changes(stores, &pools, LISTENING).await;
        let (check, subject) = (&checks::CHANGE_NOTIFICATIONS_MISSING, "LISTEN_DATABASE_URL");
        self.add_failure(check, subject, failure.as_deref());
        self.probes.push(Probe {
            what,
            failure,
            limit: LISTENING,
        });
    }

    /// Checks whether the revocations can be read.
    async fn revocations(&mut self, settings: &RevocationSettings) {
        let pools = Pools::new(process::process(Handle::current()));
        let store = RevocationStore::open(&settings.place, &pools);
        let read = store.load(clock::now()).await;
        store.close().await;
        let what = format!("revocations in {}", settings.place.source());
        let failure = read.err().map(|error| error.to_string());
        self.add_failure(&checks::REVOCATIONS_UNREADABLE, &what, failure.as_deref());
        if let Some(limit) = settings.place.timeout() {
            self.probes.push(Probe {
                what,
                failure,
                limit,
            });
        }
    }

    async fn redis(&mut self, what: String, settings: &RedisSettings, uses: RedisUses) {
        let is_clear = match &settings.server.address {
            RedisAddress::Cluster(seeds) => {
                let mut hosts = seeds.hosts.iter();
                !seeds.tls && hosts.any(|(host, _)| is_remote(host))
            }
            RedisAddress::Tcp { host, tls, .. } => !tls && is_remote(host),
            RedisAddress::Sentinels(sentinels) => {
                let mut hosts = sentinels.hosts.iter();
                !sentinels.tls && hosts.any(|(host, _)| is_remote(host))
            }
            RedisAddress::Unix(_) => false,
        };
        if is_clear {
            let seen = "REDIS_URL begins with redis://, but the host is another machine";
            self.findings
                .push(Finding::new(&checks::REDIS_CLEAR, what.clone(), seen));
        }
        let survey = stores::survey_redis(settings, uses).await;
        let failure = survey.as_ref().err().cloned();
        let unreachable = match uses.caches || settings.sessions.is_some() {
            false => &checks::LIMITS_UNREACHABLE,
            true => &checks::REDIS_UNREACHABLE,
        };
        self.record_probe(unreachable, &what, failure, settings.timeout);
        if let Ok(survey) = survey {
            let findings = redis::assess(&what, settings, &survey, uses);
            self.findings.extend(findings);
        }
    }

    fn record_probe(
        &mut self,
        unreachable: &'static Check,
        what: &str,
        failure: Option<String>,
        limit: Duration,
    ) {
        self.add_failure(unreachable, what, failure.as_deref());
        self.probes.push(Probe {
            what: what.to_owned(),
            failure,
            limit,
        });
    }

    /// Adds a finding if something failed.
    fn add_failure(&mut self, check: &'static Check, subject: &str, failure: Option<&str>) {
        let found = failure.map(|why| Finding::new(check, subject, why));
        self.findings.extend(found);
    }
}

/// The address of a database, without credentials.
fn place_of_database(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Postgres(server) => server.to_string(),
        DatabaseUrl::Sqlite(options) => options.get_filename().display().to_string(),
    }
}

fn encryption(what: &str, server: &PostgresServer) -> Option<Finding> {
    let is_remote = |host: &stores::PostgresHost| !host.is_socket() && is_remote(&host.name);
    if !server.hosts.iter().any(is_remote) {
        return None;
    }
    let finding = |check, seen: &str| Some(Finding::new(check, what, seen));
    match (server.config.get_ssl_mode(), server.verify) {
        (SslMode::Disable, _) => finding(&checks::DATABASE_CLEAR, "sslmode=disable"),
        (SslMode::Prefer, _) => finding(&checks::DATABASE_CLEAR, "sslmode=prefer, the default"),
        (_, Verify::Nothing) => finding(
            &checks::DATABASE_NOT_VERIFIED,
            "the server's certificate is not verified",
        ),
        (_, Verify::Authority) => finding(
            &checks::DATABASE_NOT_VERIFIED,
            "the name in the server's certificate is not verified",
        ),
        (_, Verify::AuthorityAndName) => None,
    }
}

fn assess_database(what: &str, survey: &DatabaseSurvey) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(ClockReading {
        before,
        theirs,
        after,
    }) = survey.clock
        && let Some(seen) = clock_difference(theirs, before, after)
    {
        findings.push(Finding::new(&CLOCK_OFF, what, seen));
    }
    let role = survey.role.as_ref();
    findings.extend(role.and_then(|role| rights(what, role, &survey.columns)));
    let role_name = role.map_or("the gate's role", |role| &role.name);
    for column in &survey.columns {
        findings.extend(assess_column(column, role_name));
    }
    findings
}

/// The finding about rights of the role other than reading.
fn rights(what: &str, role: &RoleSurvey, columns: &[ColumnSurvey]) -> Option<Finding> {
    let name = &role.name;
    if role.is_superuser {
        let seen = format!("the role {name} is a superuser");
        return Some(Finding::new(&checks::DATABASE_SUPERUSER, what, seen));
    }
    let mut parts: Vec<String> = Vec::new();
    if !role.rights.is_empty() {
        parts.push(role.rights.join(", "));
    }
    for column in columns {
        if let ColumnState::Key(LookupSurvey { rights, .. }) = &column.state
            && !rights.is_empty()
        {
            let part = format!("{} on {}", rights.join(", "), column.table);
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    let seen = format!("the role {name} has {}", parts.join("; "));
    (!parts.is_empty()).then(|| Finding::new(&checks::DATABASE_RIGHTS, what, seen))
}

fn assess_column(survey: &ColumnSurvey, role: &str) -> Vec<Finding> {
    let ColumnSurvey {
        table,
        column,
        state,
    } = survey;
    let subject = format!("column {column} of {table}");
    match state {
        ColumnState::NoColumn => {
            let seen = format!("{table} has no column {column}");
            vec![Finding::new(&checks::COLUMN_MISSING, subject, seen)]
        }
        ColumnState::NoTable => {
            let subject = format!("table {table}");
            let seen = "there is no table or view with this name that the gate's role can see";
            vec![Finding::new(&checks::TABLE_MISSING, subject, seen)]
        }
        ColumnState::NotReadable => {
            let seen = format!("the role {role} may not read it");
            let advice =
                format!("`GRANT SELECT ON {table} TO \"{role}\";`, as the owner of the table.");
            let finding = Finding::new(&checks::TABLE_NOT_READABLE, subject, seen);
            vec![finding.with_advice(advice)]
        }
        ColumnState::Readable => Vec::new(),
        ColumnState::Unknown(why) => {
            vec![Finding::new(
                &checks::TABLE_NOT_ANSWERING,
                subject,
                why.clone(),
            )]
        }
        ColumnState::Key(lookup) => {
            let found = [index(&subject, lookup), visibility(table, lookup, role)];
            found.into_iter().flatten().collect()
        }
    }
}

/// The finding about how a row is looked up.
fn index(subject: &str, lookup: &LookupSurvey) -> Option<Finding> {
    let rows = match lookup.rows {
        Rows::About(rows) => format!("about {rows} rows"),
        Rows::AtLeast(rows) => format!("more than {rows} rows"),
        Rows::Exactly(1) => "1 row".to_owned(),
        Rows::Exactly(rows) => format!("{rows} rows"),
        Rows::NotCounted => "rows that were not counted".to_owned(),
    };
    match (&lookup.index, lookup.plan) {
        (_, Some(Plan::Index)) => None,
        (_, Some(Plan::Scan)) if lookup.is_view => {
            let seen = "EXPLAIN shows that a whole table behind the view is read";
            Some(Finding::new(&checks::INDEX_UNKNOWN, subject, seen))
        }
        (None, Some(Plan::Scan)) => {
            let seen = format!("no index begins with this column, and the table has {rows}");
            let finding = Finding::new(&checks::INDEX_MISSING, subject, seen);
            Some(finding.with_advice(format!("`{}`", lookup.create_index)))
        }
        // Databases read a small table as a whole.
        (Some(index), Some(Plan::Scan)) if lookup.rows.least() >= MANY => {
            let seen =
                format!("EXPLAIN shows that the index {index} is not used; the table has {rows}");
            Some(Finding::new(&checks::INDEX_UNUSED, subject, seen))
        }
        (Some(_), Some(Plan::Scan)) | (_, None) => None,
    }
}

fn visibility(table: &str, lookup: &LookupSurvey, role: &str) -> Option<Finding> {
    let subject = format!("table {table}");
    match lookup.visible {
        Visibility::All => None,
        Visibility::ByPolicy => {
            let seen = format!("row-level security is on, and policies show {role} some rows");
            Some(Finding::new(&checks::ROWS_BY_POLICY, subject, seen))
        }
        Visibility::Nothing => {
            let seen = format!("row-level security is on, and no policy shows {role} a row");
            Some(Finding::new(&checks::ROWS_HIDDEN, subject, seen))
        }
    }
}

/// How long to wait for a notification on the channel: three of its test intervals.
const LISTENING: Duration = Duration::from_secs(5);

/// The number of rows from which reading the whole table is slower than an index.
const MANY: u64 = 10_000;

#[cfg(test)]
mod tests;
