//! Finds session cookies in a request that belong to another realm than the route's.

use gate::Route;
use http::HeaderMap;
use http::header::COOKIE;
use session::{CookieName, SessionCookie};

use crate::live::Live;

/// Notes about session cookies of other realms. They contain names, never values.
pub(super) fn other_realm_notes(live: &Live, route: &Route, headers: &HeaderMap) -> Vec<String> {
    let realm = &live.gate.realms[route.realm];
    let own = &realm.name;
    let is_own = |cookie: &CookieName| realm.keys.cookies().any(|other| other.name() == cookie);
    let names: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| pair.split(|byte| *byte == b'=').next())
        .map(<[u8]>::trim_ascii)
        .collect();
    let others = live.gate.realms.iter().filter(|realm| realm.name != *own);
    let notes = others.flat_map(|realm| {
        let cookies = realm.keys.cookies().map(SessionCookie::name);
        let cookies = cookies.filter(|cookie| !is_own(cookie));
        let there = cookies.filter(|cookie| names.iter().any(|name| is_of(name, cookie)));
        there.map(|cookie| {
            format!(
                "the cookie `{cookie}` belongs to the realm {}, but this route to the realm {own}",
                realm.name
            )
        })
    });
    notes.collect()
}

/// Whether a name is that of the cookie, or of a chunk of it.
fn is_of(name: &[u8], cookie: &CookieName) -> bool {
    match name.strip_prefix(cookie.as_str().as_bytes()) {
        Some([]) => true,
        Some([b'.', number @ ..]) => number.iter().all(u8::is_ascii_digit),
        Some(_) | None => false,
    }
}
