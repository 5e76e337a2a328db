//! Messages that came to a queue through a topic of SNS.

use outbox_core::consumer::{Delivery, HandlerError};
use outbox_seaorm::Tx;
use outbox_tests::{Kind, TestDb, sqs::TestQueue};
use serde_json::{Value, json};

use crate::world::{OrderPlaced, consumer, effect, effects, event, run_dry, send_body};

/// As SNS writes it where the subscription does not ask for raw delivery.
fn notification(message: &str, attributes: &Value) -> String {
    let mut envelope = json!({
        "Type": "Notification",
        "MessageId": "63a3f6b6-d533-4a47-aef9-fcf5cf758c76",
        "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
        "Message": message,
        "Timestamp": "2012-03-29T05:12:16.901Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLEnTrFPa3",
        "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem",
        "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
    });
    if !attributes.is_null() {
        envelope["MessageAttributes"] = attributes.clone();
    }
    serde_json::to_string_pretty(&envelope).expect("JSON")
}

async fn reserve(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    effect(&txn, &format!("{} {}", event.order_id, event.message().source)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_came_to_sqs_through_sns_are_handled_in_either_format() {
    TestQueue::run_fifo(async |queue| {
        let attribute = |value: &str| json!({ "Type": "String", "Value": value });
        let raw = json!({
            "id": attribute("o2"), "source": attribute("/shop"), "type": attribute("order.placed"),
            "theirs": { "Type": "Binary", "Value": "AAEC" },
        });
        send_body(&queue, "a1", notification(&event("o1"), &Value::Null)).await?;
        send_body(&queue, "a2", notification(r#"{"order_id":"o2"}"#, &raw)).await?;
        send_body(&queue, "a3", event("o3")).await?;
        TestDb::run(Kind::Sqlite, async |db| {
            let report = run_dry(consumer(&queue, &db).on(reserve), &queue).await?;
            assert_eq!((report.processed, report.failed), (3, 0), "{report:?}");
            assert_eq!(effects(&db.db).await?, ["o1 /orders", "o2 /shop", "o3 /orders"]);
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}
