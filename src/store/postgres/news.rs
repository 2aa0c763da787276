//! What the throttles of several nodes tell each other, through a table of the last seconds.

use std::collections::HashSet;
use std::net::IpAddr;

use uuid::Uuid;

use super::fault::Fault;
use super::rows::get;
use super::{Shared, reads, statements};
use crate::auth::throttle::{Counted, ThrottleNews};

/// What of the table was heard already.
#[derive(Debug, Default)]
pub(super) struct Heard {
    numbers: HashSet<i64>,
}

/// Writes down what this node counted.
pub(super) async fn tell(shared: &Shared, node: Uuid, news: &[ThrottleNews]) -> Result<(), Fault> {
    if news.is_empty() {
        return Ok(());
    }
    let what: Vec<&str> = news.iter().map(|news| news.what.name()).collect();
    let keys: Vec<&[u8]> = news.iter().map(|news| &news.key[..]).collect();
    let networks: Vec<String> = news.iter().map(|news| news.network.to_string()).collect();
    let times: Vec<i32> = news.iter().map(|news| i32::try_from(news.times).unwrap_or(i32::MAX)).collect();
    reads::query(shared, statements::TELL_NEWS, &[&node, &what, &keys, &networks, &times]).await?;
    reads::query(shared, statements::FORGET_NEWS, &[]).await.map(|_| ())
}

/// Reads what the others counted and was not heard yet.
pub(super) async fn hear(shared: &Shared, node: Uuid, heard: &mut Heard) -> Result<Vec<ThrottleNews>, Fault> {
    let (mut news, mut numbers) = (Vec::new(), HashSet::new());
    for row in reads::query(shared, statements::HEAR_NEWS, &[&node]).await? {
        let no: i64 = get(&row, 0)?;
        numbers.insert(no);
        let key: &[u8] = get(&row, 2)?;
        let network: Option<IpAddr> = get::<&str>(&row, 3)?.parse().ok();
        let times: i32 = get(&row, 4)?;
        let parsed = (Counted::from_name(get(&row, 1)?), key.try_into().ok(), network);
        // A newer node may count what this one does not know.
        if let (Some(what), Some(key), Some(network)) = parsed
            && !heard.numbers.contains(&no)
        {
            news.push(ThrottleNews { what, key, network, times: u32::try_from(times).unwrap_or_default() });
        }
    }
    heard.numbers = numbers;
    Ok(news)
}
