//! Warns about definitions that no route uses.

use std::collections::HashSet;

use gate::HeaderSource;

use super::Rules;
use crate::config::raw_tables::{RawRoute, RawTables, Spanned};

/// Warns about each service, profile and realm that no route names.
pub(in crate::config) fn warn_about_unused_tables(
    raw_tables: &RawTables,
    warnings: &mut Vec<String>,
) {
    let named = |of: fn(&RawRoute) -> Option<&Spanned<String>>| {
        let routes = raw_tables.routes.iter();
        let names: HashSet<_> = routes.filter_map(of).map(|name| &*name.value).collect();
        names
    };
    let services = named(|route| route.service.as_ref());
    let profiles = named(|route| route.headers.as_ref());
    let realms = named(|route| route.realm.as_ref());
    let of_services = raw_tables.services.iter().map(|service| &service.name);
    let of_profiles = raw_tables.profiles.iter().map(|profile| &profile.name);
    let of_realms = raw_tables.realms.iter().map(|realm| &realm.name);
    let mut warn = |kind: &str,
                    key: &str,
                    names: &HashSet<&str>,
                    all: &mut dyn Iterator<Item = &Spanned<String>>| {
        for name in all.filter(|name| !names.contains(&*name.value)) {
            warnings.push(format!(
                "[{kind}.{name}] has no effect: no route has `{key} = \"{name}\"` ({})",
                name.place,
                name = name.value,
            ));
        }
    };
    warn("service", "service", &services, &mut { of_services });
    warn("profile", "headers", &profiles, &mut { of_profiles });
    warn("realm", "realm", &realms, &mut { of_realms });
}

/// The indexes of the realms whose groups no route writes.
pub(in crate::config) fn realms_without_groups(rules: &Rules, realms: usize) -> Vec<usize> {
    let writes = |place: &usize| {
        rules.routes.all().iter().any(|route| {
            let mut headers = rules.profiles[route.profile].headers.iter();
            route.realm == *place
                && headers.any(|header| matches!(header.source, HeaderSource::Groups))
        })
    };
    (0..realms).filter(|place| !writes(place)).collect()
}
