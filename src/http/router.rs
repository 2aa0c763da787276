//! Finding the route of a path: every route's path is taken apart once at start, and no request allocates.

use hyper::Method;

use super::spec::{Route, Table};

/// The routes, ready to be searched.
pub struct Router {
    paths: Vec<Path>,
}

/// One path and the routes that share it.
struct Path {
    /// What stands before, between and after the parameters; the whole path alone if there is none.
    pieces: Vec<&'static str>,
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

/// Where a path's parameters begin and end, in their order.
pub type Spans = [Option<(usize, usize)>; 2];

/// The route that a path and a method lead to.
#[derive(Clone, Copy)]
pub struct Found {
    /// Its place among the routes of all tables.
    pub index: usize,
    /// Its table.
    pub table: &'static Table,
    /// The route.
    pub route: &'static Route,
    /// The path's parameters.
    pub parameters: Spans,
}

impl Router {
    /// Takes the tables' paths apart.
    pub fn new(tables: &'static [Table]) -> Self {
        let mut paths: Vec<Path> = Vec::new();
        let routes = tables.iter().flat_map(|table| table.routes.iter().map(move |route| (table, route)));
        for (index, (table, route)) in routes.enumerate() {
            let pieces = take_apart(route.path);
            if let Some(path) = paths.iter_mut().find(|path| path.pieces == pieces) {
                path.routes.push((index, route));
            } else {
                paths.push(Path { pieces, routes: vec![(index, route)], table, allow: String::new() });
            }
        }
        for path in &mut paths {
            let names: Vec<&str> = path.routes.iter().map(|(_, route)| route.verb.name()).collect();
            path.allow = names.join(", ").replace("GET", "GET, HEAD");
        }
        // A path without a parameter wins over one whose parameter would take the same segment.
        paths.sort_by_key(|path| path.pieces.len());
        Self { paths }
    }

    /// The route of this path and method.
    pub fn find(&self, method: &Method, path: &str) -> Match<'_> {
        let found = self.paths.iter().find_map(|candidate| Some((candidate, candidate.matches(path)?)));
        let Some((found, parameters)) = found else { return Match::Nothing };
        match found.routes.iter().find(|(_, route)| route.verb.answers(method)) {
            Some(&(index, route)) => Match::Found(Found { index, table: found.table, route, parameters }),
            None => Match::WrongMethod(&found.allow),
        }
    }
}

impl Path {
    /// Whether the path is this one; with its parameters, each a segment.
    fn matches(&self, path: &str) -> Option<Spans> {
        let (first, others) = self.pieces.split_first()?;
        let mut rest = path.strip_prefix(first)?;
        let mut spans = Spans::default();
        for (span, piece) in spans.iter_mut().zip(others) {
            let start = path.len().saturating_sub(rest.len());
            let length = rest.find('/').unwrap_or(rest.len());
            *span = Some((start, start.saturating_add(length))).filter(|_| length > 0);
            span.as_ref()?;
            rest = rest.get(length..)?.strip_prefix(piece)?;
        }
        rest.is_empty().then_some(spans)
    }
}

/// `/a/{id}/b` is `/a/` and `/b`.
fn take_apart(path: &'static str) -> Vec<&'static str> {
    path.split('{')
        .enumerate()
        .map(|(place, piece)| match piece.split_once('}') {
            Some((_, after)) if place > 0 => after,
            _ => piece,
        })
        .collect()
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
            Match::Found(Found { index, route, parameters, .. }) => {
                assert_eq!((route.verb, route.path), (ROUTES[index].verb, ROUTES[index].path));
                let parameters = parameters.iter().flatten().map(|&(start, end)| &path[start..end]);
                let parameters = parameters.collect::<Vec<_>>().join(" ");
                format!("{} {} {parameters}", route.verb.name(), route.path)
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
    #[case(
        Method::GET,
        "/webhooks/whk_1/deliveries/dlv_1",
        "GET /webhooks/{id}/deliveries/{delivery} whk_1 dlv_1"
    )]
    #[case(Method::GET, "/webhooks//deliveries/dlv_1", "nothing")]
    #[case(Method::GET, "/webhooks/whk_1/deliveries/", "nothing")]
    #[case(Method::GET, "/webhooks/whk_1/deliveries/dlv_1/again", "nothing")]
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
    fn each_route_finds_itself_and_has_at_most_two_parameters() {
        for route in ROUTES {
            assert!(route.path.matches('{').count() <= Spans::default().len(), "{}", route.path);
            let path = route.path.replace(['{', '}'], "");
            let method = Method::from_bytes(route.verb.name().as_bytes()).unwrap();
            assert!(find(&method, &path).starts_with(&format!("{} {} ", route.verb.name(), route.path)));
        }
    }
}
