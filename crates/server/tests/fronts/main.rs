//! The gate and its calling proxies: the real nginx, Caddy, Envoy and HAProxy with the configurations of `docs/fronts`, and a
//! client that attacks every endpoint.

mod caching;
mod documents;
mod endpoints;
mod front;
mod names;
mod restrictions;
mod rules;
mod statuses;
mod table;
mod traefik;
