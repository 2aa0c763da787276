//! What a route is: its method, path, access, handler and documentation, all in one value.
//!
//! A route without an access rule cannot be written down. The same fields that document a body are the ones that
//! reading the body allows, so that the OpenAPI document and the behaviour cannot drift apart.

use std::future::Future;
use std::pin::Pin;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Uri};

use super::call::Call;
use super::problem::{Code, Problem};
use super::reply::Reply;
pub use crate::auth::permission::{Access, Permission};
use crate::ledger::RequestId;

/// What a handler gives back.
pub type Answer = Result<Reply, Problem>;

/// What answers a call.
pub type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The methods that routes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads; answers HEAD too.
    Get,
    /// Creates or acts.
    Post,
    /// Changes some fields.
    Patch,
    /// Ends something.
    Delete,
}

impl Verb {
    /// The name in upper-case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether a request of this method is answered by a route of this verb.
    pub fn answers(self, method: &Method) -> bool {
        match self {
            Self::Get => method == Method::GET || method == Method::HEAD,
            Self::Post => method == Method::POST,
            Self::Patch => method == Method::PATCH,
            Self::Delete => method == Method::DELETE,
        }
    }

    /// Whether requests of this method carry a body that means something.
    pub const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Patch | Self::Delete)
    }
}

/// A table of routes, and the door in front of them.
#[derive(Clone, Copy)]
pub struct Table {
    /// What the paths of this table begin with; requests that match no route are told no by the door of the longest that
    /// their path begins with.
    pub prefix: &'static str,
    /// The routes.
    pub routes: &'static [Route],
    /// How their callers are met.
    pub door: &'static dyn Door,
}

/// How callers are met: by what they prove themselves, what bodies they send, and how they are told no.
pub trait Door: Send + Sync {
    /// The access token that the request shows.
    ///
    /// # Errors
    /// 401 `token_missing`, 401 `token_invalid`.
    fn token<'r>(&self, parts: &'r Parts) -> Result<&'r str, Problem>;

    /// The body as the JSON that handlers read.
    ///
    /// # Errors
    /// If it is not of the kind that callers at this door send.
    fn body(&self, route: &Route, parts: &Parts, body: Bytes) -> Result<Bytes, Problem>;

    /// The answer that tells a "no".
    fn refuse(&self, problem: Problem, asked: &Asked, request_id: RequestId) -> Reply;
}

/// What was asked, for the answer that tells a "no".
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path and the query.
    pub uri: Uri,
}

/// One entry of a route table.
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The path; a parameter is a whole segment in braces, at most two a path.
    pub path: &'static str,
    /// Who may call.
    pub access: Access,
    /// What answers.
    pub handler: Handler,
    /// What the OpenAPI document says.
    pub doc: Doc,
}

/// The most bytes that a body may have.
pub const MAX_BODY: usize = 64 * 1024;
/// The most bytes that a body with a list of objects may have.
pub const MAX_BULK: usize = 1024 * 1024;
/// The most bytes that a file may have.
pub const MAX_FILE: usize = 10 * 1024 * 1024;

/// The documentation of a route, and the fields that it takes.
pub struct Doc {
    /// The part of the docs page that lists it.
    pub tag: Tag,
    /// The OpenAPI operation id.
    pub operation: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it does, in sentences.
    pub description: &'static str,
    /// The fields of the body. None: the body is empty or `{}`.
    pub body: &'static [Field],
    /// The types of the file that the body is instead of JSON; none for JSON.
    pub file: &'static [File],
    /// The parameters of the query.
    pub query: &'static [Field],
    /// Whether it takes an `Idempotency-Key`.
    pub idempotent: bool,
    /// The answers that are a success.
    pub success: &'static [Success],
    /// The codes of its own; those that follow from access, body and query are added.
    pub errors: &'static [Code],
    /// A body that works, as JSON text; empty where there is none.
    pub example: &'static str,
}

impl Doc {
    /// The most bytes that a body may have.
    pub fn body_limit(&self) -> usize {
        if !self.file.is_empty() {
            MAX_FILE
        } else if self.body.iter().any(|field| matches!(field.kind, Kind::Items(..))) {
            MAX_BULK
        } else {
            MAX_BODY
        }
    }
}

/// The parts of the docs page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Registering, logging in, sessions.
    Accounts,
    /// Paying and getting paid.
    Payments,
    /// Wallets and movements.
    Wallets,
    /// What operators see and do.
    Operators,
    /// Webhooks and the feed of events.
    Webhooks,
    /// The server itself.
    System,
    /// Pages of the console, which the docs page leaves out.
    Console,
}

impl Tag {
    /// All of the API's, in the order of the docs page.
    pub const ALL: [Self; 6] =
        [Self::Accounts, Self::Payments, Self::Wallets, Self::Webhooks, Self::Operators, Self::System];

    /// The name in the OpenAPI document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "Accounts",
            Self::Payments => "Payments",
            Self::Wallets => "Wallets",
            Self::Operators => "Operators",
            Self::Webhooks => "Webhooks",
            Self::System => "System",
            Self::Console => "Console",
        }
    }

    /// What the part is about.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Accounts => "Register, log in, and look after your account and its sessions.",
            Self::Payments => "Pay another user or the house, exactly once.",
            Self::Webhooks => "What happens, told to your server as it happens, or fetched.",
            Self::Wallets => "What you have, and how it came and went.",
            Self::Operators => "Users, everybody's payments, security events: by role and permission.",
            Self::System => "The server itself: health, metrics and documentation.",
            Self::Console => "Pages for people.",
        }
    }
}

/// A success: its status, what it carries, and when it is given.
pub struct Success {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub content: Content,
    /// When it is given.
    pub about: &'static str,
}

/// The body of a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// JSON of a schema of the OpenAPI document.
    Json(&'static str),
    /// A list of such.
    List(&'static str),
    /// JSON of a schema, or one of these other kinds of files, as the query asks.
    Formats(&'static str, &'static [File]),
    /// A page.
    Html,
    /// A style sheet.
    Css,
    /// Plain text.
    Text,
    /// Server-sent events.
    EventStream,
    /// Nothing.
    Nothing,
}

/// A kind of file that is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its media type.
    pub media: &'static str,
    /// What one holds.
    pub example: &'static str,
}

/// A field of a body or a parameter of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it means.
    pub about: &'static str,
}

impl Field {
    /// A field that must be there.
    pub const fn required(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: true, about }
    }

    /// A field that may be left out or null.
    pub const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: false, about }
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text of at most so many characters, without control characters. Empty is absent.
    Text(usize),
    /// An email address.
    Email,
    /// A password, taken as it is.
    Password,
    /// A password that exists already: no rules but that it is text.
    Secret,
    /// What a file holds, as text.
    Document,
    /// A token.
    Token,
    /// An amount in major units, a string or a number.
    Amount,
    /// An ISO 4217 code.
    Currency,
    /// A user id or an email address.
    Recipient,
    /// A user id.
    UserId,
    /// True or false.
    Flag,
    /// Up to 50 pairs of strings.
    Metadata,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number between these two.
    Number(i64, i64),
    /// A page size, 1 to 100.
    Limit,
    /// A cursor.
    After,
    /// A place in the feed of events.
    Place,
    /// A list of at most so many words.
    Words(usize),
    /// An RFC 3339 time or a date.
    Moment,
    /// A list of at most so many objects with these fields.
    Items(&'static [Field], usize),
}
