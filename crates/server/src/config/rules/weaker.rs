//! Warns about requests that a strict route probably should match but leaves to a route that requires less.

use gate::{Left, LeftRequests, Routes};

use crate::config::stack::Stack;

/// Warns about each strict route that leaves requests to a route that requires less: which requests and which route, and what to
/// write.
pub(in crate::config) fn name_them(stack: &Stack, routes: &Routes, warnings: &mut Vec<String>) {
    for left in routes.left_to_weaker() {
        let Left { row, to, what } = left;
        let place = &stack.routes[row.route.id].place;
        let (name, path, other) = (&row.route.name, row.path, &to.name);
        warnings.push(match what {
            LeftRequests::Below => format!(
                "{place}: the route `{name}` matches only the path `{path}`: paths below it, such as `{path}/x`, match the route `{other}`, which requires less; add `{path}/` to its `path`, or add a route for `{path}/`"
            ),
            LeftRequests::Folder => {
                let alone = path.as_str().trim_end_matches('/');
                format!(
                    "{place}: the route `{name}` is for the folder `{path}`: the path `{alone}` goes to the route `{other}`, which \
                     demands less, and many services answer it as they do `{path}`; add `{alone}` to its `path`, or a route for \
                     `{alone}`"
                )
            }
            LeftRequests::Methods { named, and_others } => {
                let mut methods: Vec<_> = named.iter().map(|method| method.to_string()).collect();
                if and_others {
                    methods.push("every other method".to_owned());
                }
                format!(
                    "{place}: the route `{name}` is for {} alone: requests for `{path}` with {} go to the route `{other}`, \
                     which demands less; leave `methods` out, or write a second route for them",
                    row.methods,
                    methods.join(", ")
                )
            }
        });
    }
}
