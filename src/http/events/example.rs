//! An example of each type of event: for the documents, and for trying a receiver.

use serde_json::{Value, json};

use crate::ledger::EventType;

const USER: &str = "usr_01h455vb4pex5vsknk084sn02q";
const PAYMENT: &str = "pay_01h455vb4pex5vsknk084sn02q";
const TRANSACTION: &str = "txn_01h455vb4pex5vsknk084sn02q";
const TIME: &str = "2026-01-31T09:30:00.000Z";

/// What an event of that type tells, in its `data`.
pub fn example(kind: EventType) -> Value {
    match kind {
        EventType::PaymentSucceeded => payment("succeeded", "12.50", &Value::Null),
        EventType::PaymentDeclined => {
            payment("declined", "0.00", &json!({"code": "insufficient_funds", "available": "3.00"}))
        }
        EventType::PaymentAuthorized => payment("authorized", "0.00", &Value::Null),
        EventType::PaymentPendingReview => payment("pending_review", "0.00", &Value::Null),
        EventType::PaymentCaptured | EventType::PaymentApproved => step("succeeded", "12.50", "0.00", None),
        EventType::PaymentVoided => step("voided", "0.00", "0.00", None),
        EventType::PaymentExpired => step("expired", "0.00", "0.00", None),
        EventType::PaymentRejected => step("rejected", "0.00", "0.00", None),
        EventType::RefundSucceeded => step("refunded", "12.50", "12.50", None),
        EventType::RefundDeclined => step("succeeded", "12.50", "0.00", Some("insufficient_funds")),
        EventType::DepositSucceeded => movement("deposit", "succeeded", None),
        EventType::DepositPending => movement("deposit", "pending", None),
        EventType::DepositRejected => movement("deposit", "rejected", None),
        EventType::WithdrawalSucceeded => movement("withdrawal", "succeeded", None),
        EventType::WithdrawalDeclined => movement("withdrawal", "declined", Some("insufficient_funds")),
        EventType::WithdrawalPending => movement("withdrawal", "pending", None),
        EventType::WithdrawalRejected => movement("withdrawal", "rejected", None),
        EventType::TopupSucceeded => movement("topup", "succeeded", None),
        EventType::TopupFailed => movement("topup", "declined", Some("expired")),
        EventType::GrantCreated => movement("grant", "succeeded", None),
        EventType::RequestCreated | EventType::RequestReopened => request("open", None, None),
        EventType::RequestPaid => request("paid", Some(PAYMENT), Some(TIME)),
        EventType::RequestCancelled => request("cancelled", None, Some(TIME)),
        EventType::RequestExpired => request("expired", None, None),
        EventType::ScheduleCreated => schedule("active", None),
        EventType::ScheduleRunFailed => schedule("active", Some("declined")),
        EventType::ScheduleRunSkipped => schedule("active", Some("skipped")),
        EventType::ScheduleDone => schedule("done", Some("paid")),
        EventType::ScheduleCancelled => schedule("cancelled", Some("paid")),
        EventType::UserCreated
        | EventType::UserUpdated
        | EventType::UserPasswordChanged
        | EventType::UserTotpEnabled
        | EventType::UserTotpDisabled
        | EventType::UserFrozen
        | EventType::UserUnfrozen => user("customer"),
        EventType::UserRoleChanged => user("cashier"),
        EventType::ApiKeyCreated | EventType::ApiKeyDeleted => api_key(None),
        EventType::ApiKeyRotated => api_key(Some(TIME)),
        EventType::WebhookCreated
        | EventType::WebhookUpdated
        | EventType::WebhookDeleted
        | EventType::WebhookTest => webhook("enabled", None),
        EventType::WebhookDisabled => webhook("disabled", Some("gone")),
    }
}

fn payment(status: &str, captured: &str, decline: &Value) -> Value {
    json!({
        "id": PAYMENT, "status": status, "amount": "12.50", "amount_captured": captured,
        "amount_refunded": "0.00", "currency": "USD", "from": {"id": USER, "name": "Ada"},
        "to": {"id": "house", "name": "House"}, "description": "Two teas", "reference": "order-7",
        "metadata": {}, "decline": decline, "created_at": TIME,
    })
}

fn step(status: &str, captured: &str, refunded: &str, declined: Option<&str>) -> Value {
    json!({
        "id": TRANSACTION, "payment": PAYMENT, "amount": "12.50", "currency": "USD", "status": status,
        "amount_captured": captured, "amount_refunded": refunded, "declined": declined, "created_at": TIME,
    })
}

fn movement(kind: &str, status: &str, reason: Option<&str>) -> Value {
    json!({
        "id": TRANSACTION, "type": kind, "status": status, "amount": "12.50", "currency": "USD",
        "user": USER, "reason": reason, "created_at": TIME,
    })
}

fn request(status: &str, payment: Option<&str>, ended_at: Option<&str>) -> Value {
    json!({
        "id": "plk_01h455vb4pex5vsknk084sn02q", "status": status, "amount": "12.50", "currency": "USD",
        "description": "Two teas", "to": {"id": USER, "name": "Ada"}, "payment": payment,
        "created_at": TIME, "expires_at": TIME, "ended_at": ended_at,
    })
}

fn schedule(status: &str, outcome: Option<&str>) -> Value {
    let last = outcome.map(|outcome| {
        json!({
            "due_at": TIME, "at": TIME, "outcome": outcome,
            "payment": (outcome != "skipped").then_some(PAYMENT), "reason": null,
        })
    });
    json!({
        "id": "sch_01h455vb4pex5vsknk084sn02q", "status": status, "amount": "12.50", "currency": "USD",
        "to": {"id": "house", "name": "House"}, "description": "Rent", "reference": null, "at": TIME,
        "rrule": "FREQ=MONTHLY", "missed": "run_once", "next_at": (status == "active").then_some(TIME),
        "runs": u8::from(last.is_some()), "last": last, "created_at": TIME,
    })
}

fn user(role: &str) -> Value {
    json!({"id": USER, "email": "ada@example.com", "name": "Ada", "role": role, "created_at": TIME})
}

fn api_key(expires_at: Option<&str>) -> Value {
    json!({
        "id": "key_01h455vb4pex5vsknk084sn02q", "name": "Shop", "scopes": ["own_account"],
        "created_at": TIME, "last_used_at": null, "expires_at": expires_at,
    })
}

fn webhook(status: &str, reason: Option<&str>) -> Value {
    json!({
        "id": "whk_01h455vb4pex5vsknk084sn02q", "url": "https://shop.example/farthing",
        "events": ["payment.*"], "description": null, "scope": "own", "signature": "v1", "public_key": null,
        "status": status, "disabled_reason": reason, "old_secret_until": null, "created_at": TIME,
        "updated_at": TIME,
    })
}
