//! How long requests take, told from the same buckets that are scraped.

use std::collections::BTreeMap;

use super::Telemetry;

const BUCKET: &str = "farthing_http_request_duration_seconds_bucket{route=\"";

/// How long the requests of one route took since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    /// The route's pattern.
    pub route: String,
    /// How many there were.
    pub requests: u64,
    /// Half of them took at most so many microseconds; none if more than the last bucket has.
    pub median_us: Option<u64>,
    /// 99 of 100 took at most so many.
    pub p99_us: Option<u64>,
}

impl Telemetry {
    /// How long requests took, by route, those with the most requests first; routes without any are left out. Reads what
    /// is rendered for a scrape, about a millisecond of work, so that both tell the same.
    pub fn latencies(&self) -> Vec<Latency> {
        read(&self.render())
    }
}

fn read(text: &str) -> Vec<Latency> {
    // Of each route its buckets in their order: the upper bound, and how many took at most that.
    let mut routes: BTreeMap<&str, Vec<(Option<u64>, u64)>> = BTreeMap::new();
    for line in text.lines() {
        let parts = line.strip_prefix(BUCKET).and_then(|rest| rest.split_once("\",le=\""));
        let Some((route, (bound, count))) =
            parts.and_then(|(route, rest)| Some((route, rest.split_once("\"} ")?)))
        else {
            continue;
        };
        routes.entry(route).or_default().push((micros(bound), count.parse().unwrap_or_default()));
    }
    let mut told: Vec<Latency> = routes
        .into_iter()
        .filter_map(|(route, buckets)| {
            let requests = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0)?;
            let within = |percent: u64| {
                let wanted = requests.saturating_mul(percent).div_ceil(100);
                buckets.iter().find(|(_, count)| *count >= wanted).and_then(|(bound, _)| *bound)
            };
            Some(Latency { route: route.to_owned(), requests, median_us: within(50), p99_us: within(99) })
        })
        .collect();
    told.sort_by_key(|latency| std::cmp::Reverse(latency.requests));
    told
}

/// Seconds as they are rendered, in microseconds; none for what has no bound.
fn micros(seconds: &str) -> Option<u64> {
    let (whole, decimals) = seconds.split_once('.').unwrap_or((seconds, ""));
    let decimals: String = decimals.chars().chain("000000".chars()).take(6).collect();
    let whole = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?;
    whole.checked_add(decimals.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn quantiles_are_the_upper_bounds_of_their_buckets() {
        let telemetry = Telemetry::new("0.1.0", "sandbox").unwrap();
        let pay = telemetry.route("POST", "/payment/{id}/refund");
        for _ in 0..98 {
            pay.record(201, Duration::from_micros(800));
        }
        for _ in 0..2 {
            pay.record(201, Duration::from_secs(61));
        }
        telemetry.route("GET", "/me").record(200, Duration::from_millis(3));
        telemetry.route("GET", "/never");
        let [first, second] = telemetry.latencies().try_into().unwrap();
        assert_eq!((first.route.as_str(), first.requests), ("/payment/{id}/refund", 100));
        assert_eq!((first.median_us, first.p99_us), (Some(1_000), None));
        assert_eq!((second.median_us, second.p99_us), (Some(5_000), Some(5_000)));
    }
}
