//! Which role a route asks for. What is not in the table is refused to everybody.
//!
//! Reading is for every role; roles differ in what they may change. What `submit` may change of jobs are its own, which
//! the routes themselves see to.

use axum::http::{Method, StatusCode};

use super::super::Refusal;
use super::apart::{ENTER, LEAVE};
use crate::access::Role::{self, Admin, Operate, Submit};

/// A path as the router has it, without `/api`; the role to read it (GET, HEAD); the role for all other methods.
type Route = (&'static str, Role, Option<Role>);

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    ("/prompt",                           Submit,  Some(Submit)),
    ("/queue",                            Submit,  Some(Submit)),
    ("/history",                          Submit,  Some(Submit)),
    ("/history/{id}",                     Submit,  None),
    ("/jobs",                             Submit,  None),
    ("/jobs/{id}",                        Submit,  None),
    ("/jobs/cancel",                      Submit,  Some(Submit)),
    ("/jobs/{id}/cancel",                 Submit,  Some(Submit)),
    ("/interrupt",                        Submit,  Some(Submit)),
    ("/free",                             Operate, Some(Operate)),
    ("/upload/image",                     Submit,  Some(Submit)),
    ("/upload/mask",                      Submit,  Some(Submit)),
    ("/models",                           Submit,  None),
    ("/models/{folder}",                  Submit,  None),
    ("/embeddings",                       Submit,  None),
    ("/features",                         Submit,  None),
    ("/view_metadata/{folder}",           Submit,  None),
    ("/object_info",                      Submit,  None),
    ("/object_info/{class}",              Submit,  None),
    ("/system_stats",                     Submit,  None),
    ("/view",                             Submit,  None),
    ("/ws",                               Submit,  None),
    ("/extensions",                       Submit,  None),
    ("/i18n",                             Submit,  None),
    ("/users",                            Submit,  Some(Operate)),
    ("/settings",                         Submit,  Some(Submit)),
    ("/settings/{id}",                    Submit,  Some(Submit)),
    ("/userdata",                         Submit,  None),
    ("/userdata/{file}",                  Submit,  Some(Submit)),
    ("/userdata/{file}/move/{to}",        Submit,  Some(Submit)),
    ("/v2/userdata",                      Submit,  None),
    ("/global_subgraphs",                 Submit,  None),
    ("/global_subgraphs/{id}",            Submit,  None),
    ("/workflow_templates",               Submit,  None),
    ("/workflow_templates/{pack}/{*file}", Submit, None),
    ("/experiment/models",                Submit,  None),
    ("/experiment/models/{folder}",       Submit,  None),
    ("/experiment/models/preview/{folder}/{index}/{*file}", Submit, None),
    ("/internal/folder_paths",            Submit,  None),
    ("/",                                 Submit,  None),
    ("/index.html",                       Submit,  None),
    ("/user.css",                         Submit,  None),
    ("/style.css",                        Submit,  None),
    ("/materialdesignicons.min.css",      Submit,  None),
    ("/manifest.json",                    Submit,  None),
    ("/favicon.ico",                      Submit,  None),
    ("/favicon.png",                      Submit,  None),
    ("/favicon.svg",                      Submit,  None),
    ("/assets/{*file}",                   Submit,  None),
    ("/fonts/{*file}",                    Submit,  None),
    ("/scripts/{*file}",                  Submit,  None),
    ("/cursor/{*file}",                   Submit,  None),
    ("/lib/{*file}",                      Submit,  None),
    ("/types/{*file}",                    Submit,  None),
    ("/extensions/{*file}",               Submit,  None),
    ("/templates/{*file}",                Submit,  None),
    ("/docs/{*file}",                     Submit,  None),
    ("/orchestrator",                     Submit,  None),
    ("/orchestrator/",                    Submit,  None),
    ("/orchestrator/assets/{*file}",      Submit,  None),
    ("/orchestrator/metrics",             Submit,  None),
    ("/orchestrator/v1/backends",         Submit,  Some(Admin)),
    ("/orchestrator/v1/backends/{id}",    Submit,  Some(Admin)),
    ("/orchestrator/v1/backends/{id}/drain", Submit, Some(Operate)),
    ("/orchestrator/v1/backends/{id}/free", Operate, Some(Operate)),
    ("/orchestrator/v1/backends/{id}/resume", Submit, Some(Operate)),
    ("/orchestrator/v1/events",           Submit,  None),
    ("/orchestrator/v1/inspect",          Submit,  Some(Submit)),
    ("/orchestrator/v1/openapi.json",     Submit,  None),
    ("/orchestrator/v1/queue",            Submit,  None),
    ("/orchestrator/v1/sd",               Submit,  None),
    ("/orchestrator/v1/jobs/{id}/events", Submit,  None),
    ("/orchestrator/v1/jobs",             Submit,  Some(Submit)),
    ("/orchestrator/v1/jobs/{id}",        Submit,  None),
    ("/orchestrator/v1/jobs/{id}/cancel", Submit,  Some(Submit)),
    ("/orchestrator/v1/jobs/{id}/move",   Submit,  Some(Submit)),
    ("/orchestrator/v1/jobs/{id}/preview", Submit, None),
    ("/orchestrator/v1/jobs/{id}/priority", Submit, Some(Submit)),
    ("/orchestrator/v1/jobs/{id}/prompt", Submit,  None),
    ("/orchestrator/v1/jobs/{id}/retry",  Submit,  Some(Submit)),
    ("/orchestrator/v1/jobs/{id}/workflow", Submit, None),
    ("/orchestrator/v1/timeline",         Submit,  None),
    ("/orchestrator/v1/whoami",           Submit,  None),
];

/// Figures for Prometheus: for every role, and without tokens by whatever name it calls the collector.
const FIGURES: &str = "/metrics";

/// What asks for nothing: whether the collector lives, for whoever restarts it, and the way in.
const OPEN: [&str; 6] = ["/-/healthy", "/-/ready", "/login", LEAVE, ENTER, "/logout"];

pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

/// Whether a request may come under any name of this machine: what is there is nobody's secret.
pub(super) fn is_for_any_host(path: &str) -> bool {
    path == FIGURES || path == "/-/healthy" || path == "/-/ready"
}

/// The least role that may; None: nobody.
fn needed(method: &Method, path: &str) -> Option<Role> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if path == FIGURES {
        return reads.then_some(Submit);
    }
    let path = path.strip_prefix("/api").unwrap_or(path);
    let (_, read, change) = ROUTES.iter().find(|(route, ..)| *route == path)?;
    if reads { Some(*read) } else { *change }
}

pub(super) fn check(role: Role, method: &Method, path: &str) -> Result<(), Refusal> {
    let message = match needed(method, path) {
        Some(needed) if role >= needed => return Ok(()),
        Some(needed) => format!(
            "{method} {path} takes a token with the role {}, and this one has {}; ask whoever operates this collector",
            needed.as_str(),
            role.as_str()
        ),
        None => format!("{method} {path} is open to no token"),
    };
    Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 3] = [Submit, Operate, Admin];

    fn may(role: Role, method: &Method, path: &str) -> bool {
        check(role, method, path).is_ok()
    }

    /// Every path that the router knows, as its own debug output lists them.
    fn routed() -> Vec<String> {
        let routes = format!("{:?}", crate::api::bare_routes(Default::default(), 1));
        let (routes, _fallbacks) = routes.split_once("fallback_router").unwrap();
        let quoted = routes.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
        let mut paths: Vec<String> = quoted.map(str::to_owned).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    #[test]
    fn every_route_that_the_router_has_stands_in_the_table_and_every_row_is_routed() {
        let routed = routed();
        let without_api: Vec<&str> =
            routed.iter().map(|path| path.strip_prefix("/api").unwrap_or(path)).collect();
        for path in &routed {
            assert!(is_open(path) || needed(&Method::GET, path).is_some(), "{path} is open to nobody");
        }
        for (path, ..) in ROUTES {
            assert!(without_api.contains(path), "{path} is no route");
        }
        assert!(routed.contains(&"/api/prompt".to_owned()), "{routed:?}");
    }

    #[test]
    fn what_is_not_in_the_table_is_open_to_nobody() {
        for path in [
            "/promptx",
            "/api",
            "/internal/logs",
            "/manager/queue",
            "/orchestrator/v1/backends/{id}/x",
            "/api/metrics",
        ] {
            for role in ROLES {
                assert!(!may(role, &Method::GET, path), "{path}");
                assert!(!may(role, &Method::POST, path), "{path}");
            }
        }
    }

    #[test]
    fn all_may_read_and_each_may_change_what_its_role_says() {
        for (path, method, roles) in [
            ("/prompt", Method::POST, &ROLES[..]),
            ("/api/prompt", Method::POST, &ROLES),
            ("/queue", Method::POST, &ROLES),
            ("/history", Method::POST, &ROLES),
            ("/interrupt", Method::POST, &ROLES),
            ("/upload/image", Method::POST, &ROLES),
            ("/free", Method::POST, &ROLES[1..]),
            ("/api/free", Method::POST, &ROLES[1..]),
            ("/view", Method::POST, &[]),
            ("/object_info", Method::DELETE, &[]),
            ("/metrics", Method::POST, &[]),
            ("/orchestrator/v1/jobs/{id}", Method::POST, &[]),
        ] {
            let allowed: Vec<Role> = ROLES.into_iter().filter(|role| may(*role, &method, path)).collect();
            assert_eq!(allowed, roles, "{method} {path}");
        }
        for path in routed().iter().filter(|path| !is_open(path) && !path.ends_with("/free")) {
            assert!(ROLES.iter().all(|role| may(*role, &Method::GET, path)), "{path}");
        }
    }
}
