//! Sessions: one login and the tokens that follow from it, or one API key. Tokens are kept as hashes.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{KeyId, Permission, RequestId, Scope, SessionId, Timestamp, TokenHash, UserId};

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The request's own id, under which its log lines and events are found.
    pub request: RequestId,
    /// The client's address; none for the command line on the host.
    pub ip: Option<IpAddr>,
    /// What the client calls itself, cut to a sane length.
    pub user_agent: Option<String>,
}

/// The network that an address stands for: of IPv6 its /64, since a client owns that much; an IPv4 address itself, also
/// where it came as IPv6.
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V4(mapped),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
        },
    }
}

/// What the network of an address ([`network_of`]) is to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Perhaps the first: no session began from any address.
    First,
    /// A session began there.
    Known,
    /// Sessions began elsewhere alone.
    New,
}

impl Network {
    /// What the network of `ip` is to somebody whose sessions began at these addresses.
    pub fn among(known: impl IntoIterator<Item = IpAddr>, ip: IpAddr) -> Self {
        let mut network = Self::First;
        for known in known {
            if network_of(known) == network_of(ip) {
                return Self::Known;
            }
            network = Self::New;
        }
        network
    }
}

/// Who acts: proved by an access token at the door, and looked at again inside the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The session that the token belongs to.
    pub session: SessionId,
    /// The hash of the token that was shown.
    pub access: TokenHash,
}

/// How long a session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as its tokens are swapped for new ones in time.
    Refreshed,
    /// Milliseconds from the login, for one token that a browser keeps and nobody swaps: two pages that would swap it at
    /// the same moment would look like a thief and a victim.
    Fixed(i64),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// Its user logged out.
    Logout,
    /// Its user ended it from another session.
    EndedByUser,
    /// The password was changed from another session.
    PasswordChanged,
    /// A spent refresh token was used again.
    TokenReused,
    /// An operator ended it.
    EndedByOperator,
}

impl SessionEnd {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::Logout, Self::EndedByUser, Self::PasswordChanged, Self::TokenReused, Self::EndedByOperator];

    /// The reason's name, as in events and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::EndedByUser => "ended_by_user",
            Self::PasswordChanged => "password_changed",
            Self::TokenReused => "token_reused",
            Self::EndedByOperator => "ended_by_operator",
        }
    }

    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}

/// What began a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionKind {
    /// A login.
    Login,
    /// The making of an API key: a session with one token, which is not refreshed.
    ApiKey(ApiKey),
}

/// What an API key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What its user calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
}

impl SessionKind {
    /// Whether a call that needs this permission, and changes something or not, may be made with it.
    pub fn allows(&self, needs: Permission, changes: bool) -> bool {
        match self {
            Self::Login => true,
            Self::ApiKey(key) => key.scopes.iter().any(|scope| scope.allows(needs, changes)),
        }
    }

    /// The API key, if it is one.
    pub fn api_key(&self) -> Option<&ApiKey> {
        match self {
            Self::Login => None,
            Self::ApiKey(key) => Some(key),
        }
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which one.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// What began it.
    pub kind: SessionKind,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When one of its tokens was last seen, to about a minute.
    pub last_seen_at: Timestamp,
    /// The address of the login.
    pub ip: Option<IpAddr>,
    /// The client of the login.
    pub user_agent: Option<String>,
    /// The one access token that counts.
    pub access: TokenHash,
    /// Until when the access token counts.
    pub access_expires_at: Timestamp,
    /// The one refresh token that counts.
    pub refresh: TokenHash,
    /// Until when the refresh token counts.
    pub refresh_expires_at: Timestamp,
    /// When and why it ended, if it did.
    pub ended: Option<(Timestamp, SessionEnd)>,
}

impl Session {
    /// Whether one of its tokens can still be used.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.refresh_expires_at
    }

    /// The API key as its owner is told of it, in answers and in events; none if the session is no key's.
    pub fn told_key(&self) -> Option<Value> {
        let key = self.kind.api_key()?;
        let last_used_at = (self.last_seen_at > self.created_at).then_some(self.last_seen_at);
        let expires_at = (self.access_expires_at != Timestamp::NEVER).then_some(self.access_expires_at);
        Some(json!({
            "id": KeyId::new(self.id.uuid()),
            "name": key.name,
            "scopes": key.scopes,
            "created_at": self.created_at.to_string(),
            "last_used_at": last_used_at.map(|at| at.to_string()),
            "expires_at": expires_at.map(|at| at.to_string()),
        }))
    }
}
