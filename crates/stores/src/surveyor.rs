//! Surveys a database and a Redis, on connections like those of lookups and within the same timeouts. Nothing is
//! written.

use std::time::Duration;

use tokio::time::timeout;

use super::channel::ChannelState;
use super::columns::UserColumn;
use super::pools::Pools;
use super::process::Clock;
use super::settings::{DatabaseSettings, DatabaseUrl, RedisSettings, Settings};
use super::survey::{DatabaseSurvey, RedisSurvey, RedisUses, Wanted};
use super::{postgres, redis, sqlite};

/// Surveys a database.
///
/// # Errors
/// When it does not answer in time, or does not let us in. Messages hold no credentials.
pub async fn survey_database(
    settings: &Settings,
    database: &DatabaseSettings,
    clock: &Clock,
) -> Result<DatabaseSurvey, String> {
    let (of_users, with_sessions) = (settings.user_columns(), settings.session_columns());
    let mut wanted = wanted(database);
    let users = database.users.iter();
    let configured = users.flat_map(|users| of_users.tables(&users.table, None));
    let sessions = database.sessions.iter();
    let configured =
        configured.chain(sessions.flat_map(|sessions| {
            with_sessions.tables(&sessions.users.table, Some(&sessions.table))
        }));
    for (table, columns) in configured {
        for column in columns {
            want(&mut wanted, Wanted::read(table, column));
        }
    }
    match &database.url {
        DatabaseUrl::Postgres(server) => {
            postgres::survey(server, database.timeout, &wanted, clock).await
        }
        DatabaseUrl::Sqlite(options) => sqlite::survey(options, database.timeout, &wanted).await,
    }
}

/// Returns the reason why no announcements of changes in the database are received. It waits for at most `limit` for
/// the channel to work. `None` when the channel works, or no channel is configured.
pub async fn survey_changes(settings: &Settings, pools: &Pools, limit: Duration) -> Option<String> {
    let lease = pools.postgres_changes(settings)?;
    let mut state = lease.resource.publisher().watch();
    let _ = timeout(limit, state.wait_for(|state| *state == ChannelState::Up)).await;
    let why = match &*state.borrow() {
        ChannelState::Up => None,
        ChannelState::Down(why) => Some(why.to_string()),
    };
    if let Some(channel) = lease.give_back() {
        channel.close().await;
    }
    why
}

/// Surveys a Redis and the permissions that its `uses` need.
///
/// # Errors
/// When it does not answer in time, or does not let us in. Messages hold no credentials.
pub async fn survey_redis(
    settings: &RedisSettings,
    uses: RedisUses,
) -> Result<RedisSurvey, String> {
    redis::survey(settings, uses).await
}

/// Lists the columns by which rows are looked up, and those that every lookup reads, each once.
fn wanted(database: &DatabaseSettings) -> Vec<Wanted<'_>> {
    let mut wanted = Vec::new();
    if let Some(users) = &database.users {
        want(&mut wanted, Wanted::key(&users.table, &users.id));
    }
    if let Some(sessions) = &database.sessions {
        let (table, users) = (&sessions.table, &sessions.users);
        want(&mut wanted, Wanted::key(table, &sessions.token));
        want(&mut wanted, Wanted::key(&users.table, &users.id));
        for column in sessions.of_sessions() {
            want(&mut wanted, Wanted::read(table, column));
        }
        for column in sessions.of_users() {
            want(&mut wanted, Wanted::read(&users.table, column));
        }
    }
    for column in &database.columns {
        if let UserColumn::OrganizationRoles(memberships) = column {
            want(
                &mut wanted,
                Wanted::key(&memberships.table, &memberships.user),
            );
        }
    }
    wanted
}

fn want<'a>(wanted: &mut Vec<Wanted<'a>>, new: Wanted<'a>) {
    let is_same = |other: &Wanted<'_>| (other.table, other.column) == (new.table, new.column);
    if !wanted.iter().any(is_same) {
        wanted.push(new);
    }
}
