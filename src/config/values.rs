//! What a value of the configuration looks like: read from its text, and written as TOML.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{
    AmountLimits, AmountRule, ClassQuotas, CountRule, DatabaseUrl, LogFormat, Mode, Networks, Origins,
    Passphrase, Ports, ProxyHeader, Schedule,
};

/// How a value is written in a TOML file; `None` where there is nothing to write.
pub(super) trait Show {
    fn toml(&self) -> Option<String>;
}

impl<T: Show> Show for Option<T> {
    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(Show::toml)
    }
}

macro_rules! show {
    ($($type:ty: $value:ident => $toml:expr;)*) => {$(
        impl Show for $type {
            fn toml(&self) -> Option<String> {
                let $value = self;
                Some($toml)
            }
        }
    )*};
}

show! {
    bool: value => value.to_string();
    u8: value => value.to_string();
    u64: value => value.to_string();
    usize: value => value.to_string();
    u32: value => value.to_string();
    String: value => quoted(value);
    ClassQuotas: value => quoted(&value.to_string());
    Networks: value => quoted(&value.to_string());
    Ports: value => quoted(&value.to_string());
    Origins: value => quoted(&value.to_string());
    Schedule: value => quoted(&value.to_string());
    AmountLimits: value => quoted(&value.to_string());
    AmountRule: value => quoted(&value.to_string());
    CountRule: value => quoted(&value.to_string());
    ProxyHeader: value => quoted(value.name());
    SocketAddr: value => quoted(&value.to_string());
    PathBuf: value => quoted(&value.to_string_lossy());
    Mode: value => quoted(value.name());
    LogFormat: value => quoted(value.name());
    DatabaseUrl: value => quoted(&value.masked());
    Passphrase: _passphrase => quoted("***");
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

pub(super) fn yes_or_no(text: &str) -> Option<bool> {
    text.parse().ok()
}

pub(super) fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

pub(super) fn count(text: &str, least: usize, most: usize) -> Option<usize> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

/// An address for HTTP without a password in it, which every listing of the settings would show.
pub(super) fn http_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.has_host();
    (matches!(url.scheme(), "http" | "https") && is_plain).then(|| text.to_owned())
}

pub(super) fn one_line(text: &str) -> Option<String> {
    let text = text.trim();
    let allowed = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    allowed.then(|| text.to_owned())
}

/// Names other than `localhost` are not looked up: what a server listens on should not hang on a resolver.
pub(super) fn listen_address(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    }
    text.parse().ok()
}

pub(super) fn log_filter(text: &str) -> Option<String> {
    // The filter's parser takes any word for the name of a module; a lone word that is no level is a mistake.
    let is_level = |word: &str| word.parse::<tracing::level_filters::LevelFilter>().is_ok();
    let words_are_levels = text.split(',').all(|part| {
        part.split_once('=').map_or_else(|| is_level(part.trim()), |(_, level)| is_level(level.trim()))
    });
    (!text.is_empty() && words_are_levels).then(|| text.to_owned())
}
