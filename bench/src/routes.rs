//! A thousand routes on a hundred hosts, for the gate and for nginx.

use std::fmt::Write as _;

/// The host of the requests.
pub(crate) const HOST: &str = "host50.example.com";

/// A path under one of the routes of that host.
pub(crate) const PATH: &str = "/area5/page";

/// The number of routes.
pub(crate) const COUNT: usize = HOSTS * PATHS;

const HOSTS: usize = 100;
const PATHS: usize = 10;

/// Returns the routes as a configuration file of the gate.
pub(crate) fn for_gate() -> String {
    let mut file = String::new();
    for (host, path) in all() {
        writeln!(file, "[[route]]\nhost = \"{host}\"\npath = \"{path}\"\n")
            .expect("memory takes everything");
    }
    file
}

/// Returns the routes as configuration of nginx: a server for every host, which listens at `listen`.
pub(crate) fn for_nginx(listen: &str) -> String {
    let mut servers = String::new();
    for (place, (host, path)) in all().enumerate() {
        if place % PATHS == 0 {
            write!(
                servers,
                "    server {{ listen {listen}; server_name {host};"
            )
            .expect("memory takes everything");
        }
        write!(servers, " location {path} {{ proxy_pass http://app; }}")
            .expect("memory takes everything");
        if place % PATHS == PATHS - 1 {
            servers.push_str(" }\n");
        }
    }
    servers
}

/// Returns the host and path of each route. The first path of each host covers everything that the others do not.
fn all() -> impl Iterator<Item = (String, String)> {
    (0..HOSTS).flat_map(|host| {
        (0..PATHS).map(move |path| {
            let path = match path {
                0 => "/".to_owned(),
                path => format!("/area{path}/"),
            };
            (format!("host{host}.example.com"), path)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_all_of_them_and_the_one_that_is_asked_for() {
        let (gate, nginx) = (for_gate(), for_nginx("127.0.0.1:1"));
        assert_eq!(gate.matches("[[route]]").count(), COUNT);
        assert_eq!(nginx.matches(" location ").count(), COUNT);
        let (folder, _) = PATH.rsplit_once('/').unwrap();
        assert!(gate.contains(&format!("host = \"{HOST}\"\npath = \"{folder}/\"")));
        assert!(nginx.contains(&format!("server_name {HOST};")));
    }
}
