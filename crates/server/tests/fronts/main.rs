//! The gate as it is asked by other proxies: the real nginx, Caddy, Envoy and HAProxy, started with the configurations
//! of `docs/fronts`, and a client that distrusts every endpoint.

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
