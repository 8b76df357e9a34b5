//! Reads all realms of a configuration: that of the top level, and those in `[realm.NAME]`.

use std::collections::{HashMap, HashSet};

use gate::{Access, Condition};
use session::KeyRing;

use super::identity::{self, RawGroups};
use super::problem::Problem;
use super::raw_tables::{DEFAULT_REALM, RawRealm, RawTables, Spanned};
use super::reader::{Reader, Setting, Variables};
use super::realm::{RealmReading, RealmSettings};
use super::rules::{self, BuiltRoutes, RealmColumns, RuleColumns, Rules, StoreColumns};
use super::sign_in::{self, PublicBy, SignIn, SignInCheck, SourceHosts};

/// All realms, with their own settings read.
pub(super) struct Realms<'s> {
    /// The realms; the first is that of the top level.
    pub(super) names: Vec<RealmColumns>,
    readings: Vec<RealmReading>,
    active: Vec<Condition>,
    /// Where the groups of each realm's users are found.
    groups: Vec<Option<RawGroups>>,
    /// Whether each realm is used: a route names it, or it is the first.
    are_used: Vec<bool>,
    /// The realms in the file, with the readers of their settings.
    named: Vec<(&'s RawRealm, Reader<'s>)>,
    /// Warnings about the realms in the file.
    warnings: Vec<String>,
}

impl<'s> Realms<'s> {
    /// Reads the realms in the file; that of the top level is read already.
    pub(super) fn read(
        default: RealmReading,
        reader: &mut Reader<'_>,
        raw_tables: &'s RawTables,
    ) -> Self {
        let mut realms = Self {
            names: Vec::new(),
            readings: Vec::new(),
            active: Vec::new(),
            groups: Vec::new(),
            are_used: Vec::new(),
            named: Vec::new(),
            warnings: Vec::new(),
        };
        realms.add(DEFAULT_REALM, default, reader);
        realms.are_used.push(true);
        let used: HashSet<_> = raw_tables.realms_of_routes().collect();
        for raw in &raw_tables.realms {
            let mut reader = Reader::new(&raw.settings);
            let mut warnings = Vec::new();
            let name = &raw.name.value;
            if !is_simple(name) {
                let what = "the name of a realm is used in Redis keys and logs: use only letters, digits, `-` and `_`";
                reader
                    .problems
                    .push(Problem::at(raw.name.place.clone(), what));
            }
            let reading = RealmReading::read(&mut reader, &mut warnings);
            let warnings = warnings.into_iter();
            let warnings = warnings.map(|warning| format!("realm {name}: {warning}"));
            realms.warnings.extend(warnings);
            realms.add(name, reading, &mut reader);
            realms.are_used.push(used.contains(name.as_str()));
            realms.named.push((raw, reader));
        }
        realms
    }

    fn add(&mut self, name: &str, reading: RealmReading, reader: &mut Reader<'_>) {
        let has_issuer = reading.issuer.is_some();
        let columns = RuleColumns::new(reading.format, reading.lookups, has_issuer);
        self.groups.push(identity::groups(reader));
        self.names.push(RealmColumns {
            name: name.to_owned(),
            columns,
        });
        self.readings.push(reading);
        self.active.push(Condition::ALWAYS);
    }

    /// The stores of the realms.
    pub(super) fn stores(&self) -> impl Iterator<Item = &::stores::Settings> {
        let readings = self.readings.iter();
        readings.filter_map(|reading| reading.stores.as_ref())
    }

    /// The realm of the top level.
    pub(super) fn default(&self) -> &RealmReading {
        &self.readings[0]
    }

    /// Reads `active`, the conditions on each realm's users.
    pub(super) fn read_active(&mut self, raw_tables: &RawTables, problems: &mut Vec<Problem>) {
        let raw = raw_tables.active.as_ref();
        let raws = [raw]
            .into_iter()
            .chain(self.named.iter().map(|(raw, _)| raw.active.as_ref()));
        let raws: Vec<_> = raws.collect();
        for ((raw, names), active) in raws.into_iter().zip(&mut self.names).zip(&mut self.active) {
            *active = rules::active(raw, &mut names.columns, problems);
        }
    }

    /// Sets the sign-in page of each route. `default` is that of the top level, which `top` has read.
    pub(super) fn set_sign_in_pages(
        &mut self,
        built: &mut BuiltRoutes,
        top: &Reader<'_>,
        default: Option<SignIn>,
        problems: &mut Vec<Problem>,
    ) {
        let mut pages = vec![default];
        for (place, (raw, reader)) in self.named.iter_mut().enumerate() {
            let mut warnings = Vec::new();
            let check = SignInCheck {
                routes: &built.rules.routes,
                public_by: PublicBy::Routes,
                sources: Some(built.sources(1 + place)),
            };
            pages.push(sign_in::settings(reader, &check, &mut warnings));
            let of_realm = |warning| format!("realm {}: {warning}", raw.name.value);
            self.warnings.extend(warnings.into_iter().map(of_realm));
        }
        let routes = built.rules.routes.clone();
        let named = &self.named;
        built.set_sign_in_pages(&pages, |route, realm, url| {
            let reader = match realm {
                0 => top,
                named_realm => &named[named_realm - 1].1,
            };
            let check = SignInCheck {
                routes: &routes,
                public_by: PublicBy::Routes,
                sources: match routes.all()[route].access {
                    Access::Public => None,
                    Access::Deny | Access::Session(_) | Access::Unknown => {
                        Some(SourceHosts::of_routes(&routes, [route]))
                    }
                },
            };
            sign_in_page_of_route(reader, &check, url, problems)
        });
    }

    /// Sets where each realm's groups are found, and warns about group settings of realms where no route writes groups and
    /// no calling proxy can ask for them. Without `rules`, which have problems then, there is no warning.
    pub(super) fn read_groups(
        &mut self,
        rules: Option<&Rules>,
        decides_for_others: bool,
        top: &mut Reader<'_>,
        warnings: &mut Vec<String>,
    ) {
        let unused = match rules {
            Some(rules) if !decides_for_others => {
                rules::realms_without_groups(rules, self.names.len())
            }
            Some(_) | None => Vec::new(),
        };
        for (place, groups) in self.groups.iter_mut().enumerate() {
            let Some(groups) = groups.take() else {
                continue;
            };
            let names = &mut self.names[place];
            if unused.contains(&place) {
                let realm = match place {
                    0 => String::new(),
                    _ => format!("realm {}: ", names.name),
                };
                warnings.push(format!(
                    "{realm}GROUPS_CLAIM or GROUPS_COLUMN has no effect: no route of the realm has `headers` with a \
                     profile that contains groups, such as `authelia`"
                ));
                continue;
            }
            let groups = match place {
                0 => groups.resolve(top, &mut names.columns),
                named => groups.resolve(&mut self.named[named - 1].1, &mut names.columns),
            };
            self.readings[place].identity.groups = Some(groups);
        }
    }

    /// Finishes the realms, and adds their problems and warnings. `None` if the keys of a realm have problems.
    pub(super) fn finish(
        self,
        top: (&Variables, &[Setting]),
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<String>,
    ) -> Option<Vec<RealmSettings>> {
        let mut all = Vec::new();
        let mut settings = vec![(DEFAULT_REALM.to_owned(), top.0, top.1.to_vec())];
        for (raw, mut reader) in self.named {
            reader.explain_problems();
            warnings.extend(reader.warnings());
            warnings.extend(reader.warnings);
            problems.append(&mut reader.problems);
            settings.push((raw.name.value.clone(), &raw.settings, reader.settings));
        }
        warnings.extend(self.warnings);
        let parts = self.readings.into_iter().zip(self.active).zip(self.names);
        let parts = parts.zip(self.are_used);
        for ((((reading, active), names), is_used), (name, variables, settings)) in
            parts.zip(settings)
        {
            let (reading, active, needed) = match is_used {
                true => (reading, active, names.columns.into_needed()),
                false => (reading.unused(), Condition::ALWAYS, StoreColumns::default()),
            };
            all.push(reading.settings(&name, active, needed, variables, &settings, problems));
        }
        let all: Vec<_> = all.into_iter().collect::<Option<_>>()?;
        warn_about_shared_cookies(&all, warnings);
        Some(all)
    }
}

fn is_simple(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(is_plain)
}

/// Reads the sign-in page of a single route.
fn sign_in_page_of_route(
    of_realm: &Reader<'_>,
    check: &SignInCheck<'_>,
    url: &Spanned<String>,
    problems: &mut Vec<Problem>,
) -> Option<SignIn> {
    let variables = of_realm.variables().clone();
    let variables = variables.with([("SIGN_IN_URL", url.value.clone())]);
    let mut reader = of_realm.with_variables(&variables);
    let page = sign_in::settings(&mut reader, check, &mut Vec::new());
    for problem in reader.problems {
        problems.push(Problem::at(url.place.clone(), problem.what));
    }
    page
}

/// Warns about cookies that two realms read with different keys: on the same host, a session of one realm would be an
/// invalid session of the other.
fn warn_about_shared_cookies(realms: &[RealmSettings], warnings: &mut Vec<String>) {
    let mut owners: HashMap<String, &str> = HashMap::new();
    for realm in realms {
        let names = KeyRing::cookies(&realm.keys).map(|cookie| cookie.name().to_string());
        for name in names {
            if let Some(owner) = owners.insert(name.clone(), &realm.name)
                && owner != &*realm.name
            {
                warnings.push(format!(
                    "the realms {owner} and {} both read the cookie `{name}`: this works only if their apps are on \
                     different hosts; on the same host, give one of the apps another cookie name",
                    realm.name
                ));
            }
        }
    }
}
