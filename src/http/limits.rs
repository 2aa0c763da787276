//! Rate limits at the door: which class a route is of, and the headers that say how a caller stands.
//!
//! The headers follow draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` lists the limits of a class, `RateLimit`
//! says of the one that leaves least how many calls are left and when there will be one more.

use std::fmt::Write;

use hyper::HeaderMap;
use hyper::header::{Entry, HeaderName, HeaderValue};

use super::spec::{Route, Verb};
use crate::auth::throttle::{CallClass, Policy, Quotas, Scope, Standing};

pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The class that a route's calls count in; none for what watches over the server, which must not be kept out.
pub fn class_of(route: &Route) -> Option<CallClass> {
    const UNLIMITED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
    match (route.path, route.access.permission(), route.verb) {
        (path, ..) if UNLIMITED.contains(&path) => None,
        ("/login", ..) => Some(CallClass::Login),
        ("/register", ..) => Some(CallClass::Register),
        ("/token/refresh", ..) => Some(CallClass::Refresh),
        (_, Some(permission), _) if !permission.is_own() => Some(CallClass::Admin),
        (_, _, Verb::Get) => Some(CallClass::Read),
        (_, _, Verb::Post | Verb::Patch | Verb::Delete) => Some(CallClass::Payment),
    }
}

/// Whether the teller itself counts calls of this class, whatever door they come by.
pub(super) fn is_counted_inside(class: CallClass) -> bool {
    matches!(class, CallClass::Login | CallClass::Register)
}

/// The values of `RateLimit-Policy`, one for each class; written once.
#[derive(Debug)]
pub(super) struct PolicyHeaders(Vec<(CallClass, HeaderValue)>);

impl PolicyHeaders {
    pub(super) fn new(quotas: Option<&Quotas>) -> Self {
        let of = |class| Some((class, HeaderValue::try_from(policies(quotas?, class)?).ok()?));
        Self(CallClass::ALL.into_iter().filter_map(of).collect())
    }

    /// Says how the caller stands, unless the answer already says which limit they have reached.
    pub(super) fn write(&self, headers: &mut HeaderMap, class: CallClass, standing: Standing) {
        let Entry::Vacant(entry) = headers.entry(RATE_LIMIT) else { return };
        let Standing { policy, remaining, more_in_seconds, .. } = standing;
        // Room for all of it, so that it does not grow piece by piece.
        let mut item = String::with_capacity(64);
        if write!(item, "\"{policy}\";r={remaining};t={more_in_seconds}").is_ok()
            && let Ok(value) = HeaderValue::try_from(item)
        {
            entry.insert(value);
        }
        if let Some((_, value)) = self.0.iter().find(|(known, _)| *known == class) {
            headers.insert(RATE_LIMIT_POLICY, value.clone());
        }
    }
}

fn policies(quotas: &Quotas, class: CallClass) -> Option<String> {
    let item = |scope| {
        let policy = Policy { class, scope };
        let quota = quotas.by(policy)?;
        Some(format!("\"{}\";q={};w={}", policy.name(), quota.count, quota.window_seconds))
    };
    let items: Vec<String> =
        [Scope::Address, Scope::Account, Scope::Key].into_iter().filter_map(item).collect();
    (!items.is_empty()).then(|| items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes::ROUTES;
    use crate::http::spec::Tag;

    #[test]
    fn every_route_but_the_watchers_has_a_class_that_knows_its_caller() {
        for route in ROUTES {
            let class = class_of(route);
            let is_watcher = route.doc.tag == Tag::System && class.is_none();
            assert_eq!(is_watcher, class.is_none(), "{}", route.path);
            if let (Some(class), Some(_)) = (class, route.access.permission()) {
                assert!(class.knows_caller(), "{}", route.path);
            }
        }
        assert!(ROUTES.iter().filter(|route| class_of(route).is_none()).count() == 3);
    }

    #[test]
    fn the_headers_name_the_limits_and_the_one_that_leaves_least() {
        let headers = PolicyHeaders::new(Some(&Quotas::default()));
        let standing = Standing { policy: "payment-key", quota: 300, remaining: 7, more_in_seconds: 1 };
        let mut map = HeaderMap::new();
        headers.write(&mut map, CallClass::Payment, standing);
        assert_eq!(map["ratelimit"], "\"payment-key\";r=7;t=1");
        assert_eq!(
            map["ratelimit-policy"],
            "\"payment-address\";q=1200;w=60, \"payment-account\";q=600;w=60, \"payment-key\";q=300;w=60"
        );
        headers.write(&mut map, CallClass::Payment, Standing { remaining: 6, ..standing });
        assert_eq!(map["ratelimit"], "\"payment-key\";r=7;t=1", "what an answer said itself stays");
    }
}
