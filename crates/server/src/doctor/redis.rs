//! Judges the survey of a Redis that answers.

use super::catalogue::stores as checks;
use super::finding::Finding;
use stores::{RedisAddress, RedisSettings, RedisSurvey, RedisUses};

/// The findings about a Redis.
pub(super) fn assess(
    what: &str,
    settings: &RedisSettings,
    survey: &RedisSurvey,
    uses: RedisUses,
) -> Vec<Finding> {
    let user = redis_user(settings, uses);
    let mut findings = Vec::new();
    if !survey.refused.is_empty() {
        let seen = survey.refused.join("; ");
        let finding = Finding::new(&checks::REDIS_RIGHTS_MISSING, what, seen);
        findings.push(finding.with_advice(&user));
    }
    if let Some(code) = &survey.write_refusal {
        let seen = format!("refused SET: {code}");
        findings.push(Finding::new(&checks::REDIS_TAKES_NO_WRITES, what, seen));
    }
    if !survey.other_keys.is_empty() {
        let seen = format!(
            "the gate's user may {} keys that do not belong to the gate",
            survey.other_keys.join(" and ")
        );
        let finding = Finding::new(&checks::REDIS_RIGHTS_MANY, what, seen);
        findings.push(finding.with_advice(&user));
    }
    // Counters may be evicted.
    if uses.caches || settings.sessions.is_some() {
        findings.extend(fullness(what, settings, survey));
    }
    findings
}

/// The command that creates a user with the rights that `docs/operating.md` lists.
fn redis_user(settings: &RedisSettings, uses: RedisUses) -> String {
    let select = match settings.server.login.db() {
        0 => "",
        _ => " +select",
    };
    let caching = if uses.caches { " +pttl +del" } else { "" };
    let scripts = match uses.caches || uses.counts {
        true => " +evalsha +eval",
        false => "",
    };
    let counting = if uses.counts { " +time" } else { "" };
    let tracking = if settings.tracking {
        " +client|tracking"
    } else {
        ""
    };
    let finding = match settings.server.address {
        RedisAddress::Cluster(_) if settings.tracking => " +cluster|slots +cluster|nodes",
        RedisAddress::Cluster(_) => " +cluster|slots",
        RedisAddress::Sentinels(_) => " +role",
        RedisAddress::Tcp { .. } | RedisAddress::Unix(_) => "",
    };
    let prefix = &settings.key_prefix;
    let sessions = settings.sessions.as_ref();
    let sessions = sessions
        .map(|prefix| format!(" %R~{prefix}*"))
        .unwrap_or_default();
    format!(
        "`ACL SETUSER gate reset on >PASSWORD +getrange +set{caching}{scripts}{counting}{tracking}{finding}{select} \
         ~{prefix}*{sessions}`, with your own password instead of PASSWORD."
    )
}

fn fullness(what: &str, settings: &RedisSettings, survey: &RedisSurvey) -> Option<Finding> {
    let Some(fullness) = &survey.memory_limit else {
        let seen = "INFO memory was refused";
        return Some(Finding::new(&checks::REDIS_POLICY_UNKNOWN, what, seen));
    };
    // Without a limit, Redis is never full.
    if fullness.max_memory == 0 {
        return None;
    }
    let policy = &fullness.policy;
    let seen = format!(
        "maxmemory-policy is {policy}, maxmemory {} bytes",
        fullness.max_memory
    );
    match (policy == "noeviction", settings.sessions.is_some()) {
        (false, true) => Some(Finding::new(&checks::REDIS_EVICTS_SESSIONS, what, seen)),
        (true, false) => Some(Finding::new(&checks::REDIS_FULL, what, seen)),
        (false, false) | (true, true) => None,
    }
}
