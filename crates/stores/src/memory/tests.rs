//! Tests of how long memory trusts its entries.

use gate::{KnownSession, User};
use session::{Standing, StoredColumns, StoredSession};

use super::super::channel::Channel;
use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
const SECOND: Duration = Duration::from_secs(1);

const NO_JITTER: Jitter = Jitter::new(|| 0);

fn settings(ttl: Duration, entries: usize) -> MemorySettings {
    MemorySettings {
        ttl,
        entries,
        bytes: 1 << 20,
    }
}

fn memory(ttl: Duration, entries: usize) -> Memory<User> {
    Memory::new(settings(ttl, entries), SECOND, no_changes(), NO_JITTER)
}

fn no_changes() -> Changes {
    Changes::new(Channels::NONE, Channels::NONE, Instant::now())
}

fn lookup_at(memory: &Memory<impl Fact>, at: Instant) -> LookupStart {
    LookupStart {
        at,
        now: NOW,
        ticket: memory.changes.ticket(at),
        was_up: true,
    }
}

/// Keeps an answer to a lookup that began at this time and was answered at once.
fn remember<F: Fact>(memory: &Memory<F>, key: &str, found: Option<&F>, at: Instant) {
    memory.remember(key, found, lookup_at(memory, at), at, Duration::MAX, true);
}

#[test]
fn present_and_absent_users_expire_after_their_own_times() {
    let (memory, start) = (memory(3 * SECOND, 10), Instant::now());
    remember(&memory, "7", Some(&User::default()), start);
    remember(&memory, "8", None, start);
    let known = |subject, after| {
        memory
            .recall(subject, start + after)
            .map(|recalled| recalled.lookup.found)
    };

    assert_eq!(known("7", Duration::ZERO), Some(Some(User::default())));
    assert_eq!(known("8", Duration::ZERO), Some(None));
    assert_eq!(known("9", Duration::ZERO), None);
    assert_eq!(known("8", SECOND), None);
    assert_eq!(
        known("7", 3 * SECOND - Duration::from_nanos(1)),
        Some(Some(User::default()))
    );
    assert_eq!(known("7", 3 * SECOND), None);
    let was_present = |subject| memory.was_present(subject);
    assert_eq!(
        [was_present("7"), was_present("8"), was_present("9")],
        [true, false, false]
    );
}

#[test]
fn a_session_is_not_recalled_after_it_ends() {
    let settings = settings(60 * SECOND, 10);
    let (memory, start) = (
        Memory::new(settings, SECOND, no_changes(), NO_JITTER),
        Instant::now(),
    );
    let session = StoredSession::new(StoredColumns {
        subject: "7",
        email: None,
        name: None,
        standing: Standing::default(),
        issued_at: None,
        expires_at: NOW.saturating_add(2 * SECOND),
    });
    let known = KnownSession {
        stored: session.unwrap(),
        user: User::default(),
    };
    remember(&memory, "id", Some(&known), start);
    let almost = 2 * SECOND - Duration::from_nanos(1);
    assert!(memory.recall("id", start + almost).is_some());
    assert!(memory.recall("id", start + 2 * SECOND).is_none());
}

#[test]
fn an_answer_that_is_not_kept_removes_the_earlier_one() {
    let start = Instant::now();
    let settings = settings(60 * SECOND, 10);
    let memory = Memory::new(settings, Duration::ZERO, no_changes(), NO_JITTER);
    let lookup = lookup_at(&memory, start);
    memory.remember(
        "7",
        Some(&User::default()),
        lookup,
        start,
        Duration::MAX,
        true,
    );
    memory.remember("7", None, lookup, start, Duration::MAX, true);
    assert!(memory.recall("7", start).is_none() && !memory.was_present("7"));
    assert!(memory.stale("7", start, 60 * SECOND).is_none());
}

#[test]
fn a_later_answer_replaces_an_earlier_one() {
    let (memory, start) = (memory(3 * SECOND, 10), Instant::now());
    remember(&memory, "7", Some(&User::default()), start);
    remember(&memory, "7", None, start);
    assert_eq!(
        memory
            .recall("7", start)
            .map(|recalled| recalled.lookup.found),
        Some(None)
    );
}

#[test]
fn nothing_is_recalled_after_an_invalidation_or_while_the_channel_is_down() {
    let start = Instant::now();
    let channels = Channels {
        postgres: true,
        redis: false,
    };
    let settings = settings(60 * SECOND, 10);
    let changes = Changes::new(channels, channels, start);
    let memory = Memory::new(settings, SECOND, changes, NO_JITTER);
    let known = |key| memory.recall(key, start + 2 * SECOND).is_some();
    let remember = |at| {
        remember(&memory, "7", Some(&User::default()), at);
    };
    remember(start + SECOND);
    assert!(!known("7"), "the channel is down");
    memory.changes.channel_up(Channel::Postgres, start + SECOND);
    assert!(!known("7"), "from before");
    remember(start + 2 * SECOND);
    assert!(known("7"));
    memory
        .changes
        .invalidate(Channel::Postgres, "7", start + 3 * SECOND);
    assert!(!known("7"));
    // A slow answer arrives, to a lookup from before the invalidation.
    remember(start + 2 * SECOND);
    assert!(!known("7"));
    remember(start + 4 * SECOND);
    assert!(known("7"));
}

#[test]
fn memory_that_is_off_remembers_nothing() {
    let start = Instant::now();
    for memory in [memory(Duration::ZERO, 10), memory(SECOND, 0)] {
        remember(&memory, "7", Some(&User::default()), start);
        remember(&memory, "8", None, start);
        assert!(memory.recall("7", start).is_none());
        assert!(memory.recall("8", start).is_none());
    }
}

#[test]
fn an_entry_that_ends_soon_is_due_once_unless_its_fact_is_absent() {
    let (memory, start) = (memory(100 * SECOND, 10), Instant::now());
    for (key, found) in [("7", Some(User::default())), ("8", None)] {
        let lookup = lookup_at(&memory, start);
        memory.remember(key, found.as_ref(), lookup, start, Duration::MAX, true);
    }
    let is_due = |key, millis| {
        let recalled = memory.recall(key, start + Duration::from_millis(millis));
        recalled.map(|recalled| recalled.is_due)
    };
    assert_eq!(is_due("7", 89_990), Some(false));
    assert_eq!(is_due("7", 90_010), Some(true));
    assert_eq!(is_due("8", 999), Some(false));
    assert_eq!([(); 2].map(|()| memory.claim("7")), [true, false]);
    assert_eq!(is_due("7", 90_010), Some(false), "its renewal is claimed");
    assert_eq!(is_due("7", 100_000), None);
    // The entry that replaces it becomes due again.
    let lookup = lookup_at(&memory, start);
    memory.remember(
        "7",
        Some(&User::default()),
        lookup,
        start,
        Duration::MAX,
        true,
    );
    assert_eq!(is_due("7", 90_010), Some(true));
    assert_eq!([memory.claim("8"), memory.claim("9")], [false; 2]);
    assert!(!memory.has("9"));
}

#[test]
fn an_invalidated_entry_is_known_to_have_existed_and_is_not_recalled() {
    let start = Instant::now();
    let memory = Memory::<User>::new(settings(100 * SECOND, 10), SECOND, no_changes(), NO_JITTER);
    let later = start + SECOND;
    for key in ["7", "8"] {
        remember(&memory, key, Some(&User::default()), start);
    }
    memory.invalidate("7");
    memory.invalidate("9");
    let state = |key| {
        let stale = memory.stale(key, later, 10 * SECOND).is_some();
        (
            memory.recall(key, later).is_some(),
            memory.was_present(key),
            stale,
        )
    };
    assert_eq!(state("7"), (false, true, false));
    assert_eq!(state("8"), (true, true, true));
    assert_eq!(state("9"), (false, false, false));
    // The answer of a later lookup is repeated, unless that is not current either.
    let lookup = lookup_at(&memory, later);
    memory.remember(
        "7",
        Some(&User::default()),
        lookup,
        later,
        Duration::MAX,
        false,
    );
    assert_eq!(state("7"), (false, true, false));
    remember(&memory, "7", Some(&User::default()), later);
    assert_eq!(state("7"), (true, true, true));
}

#[test]
fn times_are_shortened_by_the_jitter() {
    let start = Instant::now();
    let settings = settings(100 * SECOND, 10);
    let memory = Memory::<User>::new(settings, SECOND, no_changes(), Jitter::new(|| u64::MAX));
    let lookup = lookup_at(&memory, start);
    memory.remember(
        "7",
        Some(&User::default()),
        lookup,
        start,
        Duration::MAX,
        true,
    );
    let known = |millis| {
        memory
            .recall("7", start + Duration::from_millis(millis))
            .is_some()
    };
    assert_eq!([known(89_990), known(90_010)], [true, false]);
}

#[test]
fn a_stale_answer_is_used_for_a_while_unless_a_change_was_announced() {
    let start = Instant::now();
    let channels = Channels {
        postgres: true,
        redis: false,
    };
    let changes = Changes::new(channels, channels, start);
    let memory = Memory::new(settings(10 * SECOND, 10), SECOND, changes, NO_JITTER);
    memory.changes.channel_up(Channel::Postgres, start);
    let later = start + SECOND;
    for (key, found) in [("7", Some(User::default())), ("8", None)] {
        let lookup = lookup_at(&memory, later);
        memory.remember(key, found.as_ref(), lookup, later, Duration::MAX, true);
    }
    let is_stale = |key, seconds: u32| {
        let now = later + seconds * SECOND;
        memory.stale(key, now, 20 * SECOND).is_some()
    };
    // Whether the channel is currently up does not matter.
    memory.changes.channel_down(Channel::Postgres);
    assert_eq!(
        [0, 29, 30].map(|after| is_stale("7", after)),
        [true, true, false]
    );
    assert!(!is_stale("8", 0) && !is_stale("9", 0));
    memory
        .changes
        .invalidate(Channel::Postgres, "7", later + SECOND);
    assert!(!is_stale("7", 2));
}

#[test]
fn the_number_of_bytes_is_bounded() {
    let (start, bytes) = (Instant::now(), 1 << 20);
    let text = "x".repeat(4096);
    let user = User::with_columns(vec![serde_json::Value::String(text)]);
    let memory = memory(60 * SECOND, 10_000);
    for subject in 0..1000 {
        let lookup = lookup_at(&memory, start);
        let subject = subject.to_string();
        memory.remember(&subject, Some(&user), lookup, start, Duration::MAX, true);
    }
    let known = (0..1000).filter(|subject| memory.has(&subject.to_string()));
    let known = known.count();
    assert!(known > 50 && known * 4096 <= bytes, "{known}");
}

/// Run it with `cargo test --release -p sessiongate-stores --lib a_million -- --ignored --nocapture`.
#[test]
#[ignore = "measures the whole process, so it must be alone in it"]
fn a_million_entries_take_little_memory_beyond_their_text() {
    const ENTRIES: usize = 1_000_000;
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    };
    for len in [8, 36] {
        let (before, start) = (resident(), Instant::now());
        let settings = MemorySettings {
            bytes: 1 << 30,
            ..settings(3600 * SECOND, ENTRIES)
        };
        let memory = Memory::new(settings, SECOND, no_changes(), NO_JITTER);
        for subject in 0..ENTRIES {
            let lookup = lookup_at(&memory, start);
            let subject = format!("{subject:0len$}");
            memory.remember(
                &subject,
                Some(&User::default()),
                lookup,
                start,
                Duration::MAX,
                true,
            );
        }
        let kept = memory.entries.as_ref().unwrap().len();
        let above = (resident() - before) / kept - len;
        let known = (0..ENTRIES).step_by(7);
        let known: Vec<_> = known.map(|subject| format!("{subject:0len$}")).collect();
        let began = Instant::now();
        let recalled = known
            .iter()
            .filter(|key| memory.recall(key, start).is_some());
        let recalled = recalled.count();
        let each = began.elapsed().as_nanos() / known.len() as u128;
        println!(
            "{recalled} of {} were recalled, in {each} ns each",
            known.len()
        );
        println!("{kept} users with ids of {len} bytes: {above} bytes each above their text");
        assert!(above <= 120, "{above}");
    }
}

#[test]
fn the_number_of_entries_is_bounded() {
    let (memory, start) = (memory(SECOND, 100), Instant::now());
    for subject in 0..10_000 {
        remember(&memory, &subject.to_string(), Some(&User::default()), start);
    }
    let known = (0..10_000)
        .filter(|subject| memory.recall(&subject.to_string(), start).is_some())
        .count();
    assert!((1..=100).contains(&known), "{known}");
}
