//! Finding the route of a path: every route's path is taken apart once at start, and no request allocates.

use hyper::Method;

use super::spec::{Route, Table};

/// The routes, ready to be searched.
pub struct Router {
    paths: Vec<Path>,
}

/// One path and the routes that share it.
struct Path {
    /// What stands before the parameter; the whole path if there is none.
    before: &'static str,
    /// What stands after the parameter; none if there is no parameter.
    after: Option<&'static str>,
    routes: Vec<(usize, &'static Route)>,
    table: &'static Table,
    /// The methods that it takes, as the `Allow` header lists them.
    allow: String,
}

/// What a path and a method lead to.
pub enum Match<'r> {
    /// To a route.
    Found(Found),
    /// To a path that does not take this method but these.
    WrongMethod(&'r str),
    /// Nowhere.
    Nothing,
}

/// The route that a path and a method lead to.
#[derive(Clone, Copy)]
pub struct Found {
    /// Its place among the routes of all tables.
    pub index: usize,
    /// Its table.
    pub table: &'static Table,
    /// The route.
    pub route: &'static Route,
    /// The span of the path's parameter.
    pub parameter: Option<(usize, usize)>,
}

impl Router {
    /// Takes the tables' paths apart.
    pub fn new(tables: &'static [Table]) -> Self {
        let mut paths: Vec<Path> = Vec::new();
        let routes = tables.iter().flat_map(|table| table.routes.iter().map(move |route| (table, route)));
        for (index, (table, route)) in routes.enumerate() {
            let (before, after) = take_apart(route.path);
            if let Some(path) = paths.iter_mut().find(|path| path.before == before && path.after == after) {
                path.routes.push((index, route));
            } else {
                let allow = String::new();
                paths.push(Path { before, after, routes: vec![(index, route)], table, allow });
            }
        }
        for path in &mut paths {
            let names: Vec<&str> = path.routes.iter().map(|(_, route)| route.verb.name()).collect();
            path.allow = names.join(", ").replace("GET", "GET, HEAD");
        }
        // A path without a parameter wins over one whose parameter would take the same segment.
        paths.sort_by_key(|path| path.after.is_some());
        Self { paths }
    }

    /// The route of this path and method.
    pub fn find(&self, method: &Method, path: &str) -> Match<'_> {
        let found = self.paths.iter().find_map(|candidate| Some((candidate, candidate.matches(path)?)));
        let Some((found, parameter)) = found else { return Match::Nothing };
        match found.routes.iter().find(|(_, route)| route.verb.answers(method)) {
            Some(&(index, route)) => Match::Found(Found { index, table: found.table, route, parameter }),
            None => Match::WrongMethod(&found.allow),
        }
    }
}

impl Path {
    /// Whether the path is this one; with the span of its parameter.
    #[expect(clippy::option_option, reason = "no match, a match without a parameter, a match with one")]
    fn matches(&self, path: &str) -> Option<Option<(usize, usize)>> {
        let Some(after) = self.after else { return (path == self.before).then_some(None) };
        let parameter = path.strip_prefix(self.before)?.strip_suffix(after)?;
        let is_one_segment = !parameter.is_empty() && !parameter.contains('/');
        let start = self.before.len();
        is_one_segment.then_some(Some((start, start.saturating_add(parameter.len()))))
    }
}

fn take_apart(path: &'static str) -> (&'static str, Option<&'static str>) {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1))) {
        Some((before, after)) => (before, Some(after)),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::API;
    use crate::http::routes::ROUTES;
    use rstest::rstest;

    static TABLES: &[Table] = &[API];

    fn find(method: &Method, path: &str) -> String {
        match Router::new(TABLES).find(method, path) {
            Match::Found(Found { index, route, parameter, .. }) => {
                assert_eq!((route.verb, route.path), (ROUTES[index].verb, ROUTES[index].path));
                let parameter = parameter.map_or("", |(start, end)| &path[start..end]);
                format!("{} {} {parameter}", route.verb.name(), route.path)
            }
            Match::WrongMethod(allow) => format!("allow {allow}"),
            Match::Nothing => "nothing".to_owned(),
        }
    }

    #[rstest]
    #[case(Method::POST, "/payment", "POST /payment ")]
    #[case(Method::GET, "/payment", "GET /payment ")]
    #[case(Method::GET, "/payments/batch", "allow POST")]
    #[case(Method::GET, "/payment/pay_1", "GET /payment/{id} pay_1")]
    #[case(Method::HEAD, "/payment/pay_1", "GET /payment/{id} pay_1")]
    #[case(Method::DELETE, "/payment/pay_1", "allow GET, HEAD")]
    #[case(Method::PUT, "/me", "allow GET, HEAD, PATCH")]
    #[case(Method::OPTIONS, "/sessions/ses_1", "allow DELETE")]
    #[case(Method::GET, "/payment/", "nothing")]
    #[case(Method::GET, "/payment/a/b", "nothing")]
    #[case(Method::GET, "/me/", "nothing")]
    #[case(Method::GET, "//me", "nothing")]
    #[case(Method::GET, "/ME", "nothing")]
    #[case(Method::GET, "*", "nothing")]
    #[case(Method::GET, "/", "GET / ")]
    fn paths_lead_where_they_should(#[case] method: Method, #[case] path: &str, #[case] expected: &str) {
        assert_eq!(find(&method, path), expected);
    }

    #[test]
    fn each_route_finds_itself_and_has_at_most_one_parameter() {
        for route in ROUTES {
            assert!(route.path.matches('{').count() <= 1, "{}", route.path);
            let path = route.path.replace("{id}", "x").replace("{code}", "x");
            let method = Method::from_bytes(route.verb.name().as_bytes()).unwrap();
            assert!(find(&method, &path).starts_with(&format!("{} {} ", route.verb.name(), route.path)));
        }
    }
}
