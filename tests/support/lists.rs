//! Walking lists, and checking on the way that they are lists as promised.

use std::collections::HashSet;

use serde_json::Value;

use super::{Client, Response};

/// The rows of a list, wrapped in an object or not.
pub fn rows(list: &Value) -> Vec<Value> {
    list.as_array()
        .or_else(|| list["data"].as_array())
        .unwrap_or_else(|| panic!("not a list: {list}"))
        .clone()
}

/// Every row from the newest to the oldest.
pub fn every_row(client: &mut Client, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = None;
    loop {
        let response = page(client, path, 100, next.as_deref());
        let body = response.json();
        all.extend(rows(&body));
        next = check_page(&response);
        if next.is_none() {
            return all;
        }
    }
}

/// One page.
pub fn page(client: &mut Client, path: &str, limit: usize, after: Option<&str>) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    let cursor = after.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
    client.get(&format!("{path}{separator}limit={limit}{cursor}")).expect(200)
}

/// Checks the members and the `Link` header of a page; gives the cursor to the next one.
#[track_caller]
pub fn check_page(response: &Response) -> Option<String> {
    let body = response.json();
    let members: HashSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, HashSet::from(["data", "has_more", "next"]), "{response}");
    let has_more = body["has_more"].as_bool().unwrap_or_else(|| panic!("has_more: {response}"));
    if !has_more {
        assert!(body["next"].is_null(), "{response}");
        return None;
    }
    let cursor = body["next"].as_str().unwrap_or_else(|| panic!("next: {response}")).to_owned();
    let link = response.header("link").unwrap_or_else(|| panic!("no Link: {response}"));
    assert!(link.contains("rel=\"next\"") && link.contains(&cursor), "{link}");
    Some(cursor)
}

/// The `id` of each row.
pub fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap_or_else(|| panic!("no id: {row}")).to_owned()).collect()
}

/// Insists that no row comes twice.
#[track_caller]
pub fn assert_distinct(ids: &[String]) {
    let mut seen = HashSet::new();
    for id in ids {
        assert!(seen.insert(id), "{id} comes twice");
    }
}
