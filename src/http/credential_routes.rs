//! The part of the route table about second factors and API keys.

use super::api_keys::{self, LONGEST_LIFE, LONGEST_OVERLAP, MAX_SCOPES};
use super::factors;
use super::problem::Code;
use super::routes::{AFTER, CREDENTIALS, LIMIT, NO_CONTENT, OTP, handler, ok, plain};
use super::spec::{Content, Doc, Field, Kind, Route, Success, Tag, Verb};

pub(super) const BEGIN_FACTOR: Route = Route {
    verb: Verb::Post,
    path: "/me/totp",
    access: CREDENTIALS,
    handler: handler!(factors::begin),
    doc: Doc {
        errors: &[Code::TotpState],
        ..plain(
            Tag::Accounts,
            "beginTotp",
            "Begin a second factor",
            "Gives what an authenticator app needs (TOTP, RFC 6238). It counts once it is confirmed.",
            &[ok(Content::Json("FactorOffer"), "The seed, shown once.")],
        )
    },
};

pub(super) const CONFIRM_FACTOR: Route = Route {
    verb: Verb::Post,
    path: "/me/totp/confirm",
    access: CREDENTIALS,
    handler: handler!(factors::confirm),
    doc: Doc {
        body: &[Field::required("otp", Kind::Text(64), "The code that the app shows.")],
        errors: &[Code::TotpState, Code::OtpInvalid, Code::RateLimited],
        example: r#"{"otp": "123456"}"#,
        ..plain(
            Tag::Accounts,
            "confirmTotp",
            "Confirm a second factor",
            "From then on a code is asked for at each login, for changing the password, for making API keys and for large \
             payments. Each code counts once.",
            &[ok(Content::Json("RecoveryCodes"), "Codes for when the app is lost.")],
        )
    },
};

pub(super) const REMOVE_FACTOR: Route = Route {
    verb: Verb::Delete,
    path: "/me/totp",
    access: CREDENTIALS,
    handler: handler!(factors::remove),
    doc: Doc {
        body: &[Field::required("password", Kind::Secret, "The password that you have.")],
        errors: &[Code::TotpState, Code::InvalidCredentials, Code::RateLimited],
        example: r#"{"password": "seven quiet otters"}"#,
        ..plain(
            Tag::Accounts,
            "removeTotp",
            "Take your second factor away",
            "Its recovery codes go with it.",
            NO_CONTENT,
        )
    },
};

pub(super) const MAKE_KEY: Route = Route {
    verb: Verb::Post,
    path: "/api-keys",
    access: CREDENTIALS,
    handler: handler!(api_keys::make),
    doc: Doc {
        body: &[
            Field::required("name", Kind::Text(100), "What you call it."),
            Field::required(
                "scopes",
                Kind::Words(MAX_SCOPES),
                "Permissions of your role that it has: \"own_account\", or \"own_account:read\" for looking alone.",
            ),
            Field::optional(
                "expires_in",
                Kind::Number(60, LONGEST_LIFE),
                "Seconds until it ends; left out: never.",
            ),
            OTP,
        ],
        errors: &[Code::OtpRequired, Code::OtpInvalid, Code::RateLimited],
        example: r#"{"name": "shop", "scopes": ["own_account"], "expires_in": 2592000}"#,
        ..plain(
            Tag::Accounts,
            "makeApiKey",
            "Make an API key",
            "For a server of yours: a token that is not refreshed. It can do what its scopes and your role both allow, and \
             nothing to your password, second factor, sessions and keys.",
            &[Success { status: 201, content: Content::Json("NewApiKey"), about: "The key, shown once." }],
        )
    },
};

pub(super) const KEYS: Route = Route {
    verb: Verb::Get,
    path: "/api-keys",
    access: CREDENTIALS,
    handler: handler!(api_keys::list),
    doc: Doc {
        query: &[LIMIT, AFTER],
        ..plain(
            Tag::Accounts,
            "apiKeys",
            "List your API keys",
            "All that still count, newest first.",
            &[ok(Content::List("ApiKey"), "A page of keys.")],
        )
    },
};

pub(super) const ROTATE_KEY: Route = Route {
    verb: Verb::Post,
    path: "/api-keys/{id}/rotate",
    access: CREDENTIALS,
    handler: handler!(api_keys::rotate),
    doc: Doc {
        body: &[
            Field::optional(
                "overlap",
                Kind::Number(0, LONGEST_OVERLAP),
                "Seconds for which the old one still counts; a day unless told.",
            ),
            OTP,
        ],
        errors: &[Code::NotFound, Code::OtpRequired, Code::OtpInvalid, Code::RateLimited],
        example: r#"{"overlap": 3600}"#,
        ..plain(
            Tag::Accounts,
            "rotateApiKey",
            "Replace an API key",
            "Makes one of the same name, scopes and lifetime. Both count for a while, so that nothing stands still.",
            &[Success {
                status: 201,
                content: Content::Json("NewApiKey"),
                about: "The new key, shown once.",
            }],
        )
    },
};

pub(super) const REVOKE_KEY: Route = Route {
    verb: Verb::Delete,
    path: "/api-keys/{id}",
    access: CREDENTIALS,
    handler: handler!(api_keys::revoke),
    doc: Doc {
        errors: &[Code::NotFound],
        ..plain(
            Tag::Accounts,
            "revokeApiKey",
            "Revoke an API key",
            "It ends at once, on every node.",
            NO_CONTENT,
        )
    },
};
