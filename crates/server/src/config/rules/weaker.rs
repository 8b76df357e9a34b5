//! Warns about requests that a strict route probably should match but leaves to a route that requires less.

use gate::{GapRequests, RouteGap, Routes};

use crate::config::raw_tables::RawTables;

/// Warns about each strict route that leaves requests to a route that requires less: which requests and which route, and what to
/// write.
pub(in crate::config) fn warn_about_weaker_routes(
    raw_tables: &RawTables,
    routes: &Routes,
    warnings: &mut Vec<String>,
) {
    for left in routes.gaps_to_weaker_routes() {
        let RouteGap { row, to, what } = left;
        let place = &raw_tables.routes[row.route.id].place;
        let (name, path, other) = (&row.route.name, row.path, &to.name);
        warnings.push(match what {
            GapRequests::Below => format!(
                "{place}: the route `{name}` matches only the path `{path}`: paths below it, such as `{path}/x`, match the route `{other}`, which requires less; add `{path}/` to its `path`, or add a route for `{path}/`"
            ),
            GapRequests::Folder => {
                let alone = path.as_str().trim_end_matches('/');
                format!(
                    "{place}: the route `{name}` is for the folder `{path}`: the path `{alone}` goes to the route \
                     `{other}`, which requires less, and many services answer it as they do `{path}`; add `{alone}` \
                     to its `path`, or a route for `{alone}`"
                )
            }
            GapRequests::Methods { named, and_others } => {
                let mut methods: Vec<_> = named.iter().map(|method| method.to_string()).collect();
                if and_others {
                    methods.push("every other method".to_owned());
                }
                format!(
                    "{place}: the route `{name}` matches only {}: requests for `{path}` with {} go to the route `{other}`, \
                     which requires less; leave `methods` out, or write a second route for them",
                    row.methods,
                    methods.join(", ")
                )
            }
        });
    }
}
