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
    let accounts: Vec<&[u8]> = news.iter().map(|news| &news.account[..]).collect();
    let networks: Vec<String> = news.iter().map(|news| news.network.to_string()).collect();
    reads::query(shared, statements::TELL_NEWS, &[&node, &what, &accounts, &networks]).await?;
    reads::query(shared, statements::FORGET_NEWS, &[]).await.map(|_| ())
}

/// Reads what the others counted and was not heard yet.
pub(super) async fn hear(shared: &Shared, node: Uuid, heard: &mut Heard) -> Result<Vec<ThrottleNews>, Fault> {
    let (mut news, mut numbers) = (Vec::new(), HashSet::new());
    for row in reads::query(shared, statements::HEAR_NEWS, &[&node]).await? {
        let no: i64 = get(&row, 0)?;
        numbers.insert(no);
        let account: &[u8] = get(&row, 2)?;
        let network: Option<IpAddr> = get::<&str>(&row, 3)?.parse().ok();
        let parsed = (Counted::from_name(get(&row, 1)?), account.try_into().ok(), network);
        // A newer node may count what this one does not know.
        if let (Some(what), Some(account), Some(network)) = parsed
            && !heard.numbers.contains(&no)
        {
            news.push(ThrottleNews { what, account, network });
        }
    }
    heard.numbers = numbers;
    Ok(news)
}
