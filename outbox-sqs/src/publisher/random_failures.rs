//! Random failures of single entries and of whole requests against a model of SQS: what is reported as
//! published is what the model confirmed, whatever went wrong around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::stub::{Answer, client};

/// What the model does with an entry.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Store,
    Refuse(&'static str),
    /// Neither stored nor mentioned.
    Omit,
    /// The whole request fails because of it.
    Spoil(&'static str),
}

/// What the model does with a request.
#[derive(Debug, Clone, Copy)]
enum Line {
    Good,
    Error(u16, &'static str),
    /// Everything is stored, and the answer is lost on its way.
    BrokenAnswer,
}

#[derive(Debug, Default)]
struct Model {
    requests: usize,
    stored: BTreeMap<usize, usize>,
    /// In the order in which they were stored.
    order: Vec<usize>,
    confirmed: BTreeMap<usize, usize>,
}

impl Model {
    fn answer(&mut self, request: &Value, fates: &[Fate], lines: &[Line]) -> Answer {
        let line = lines[self.requests % lines.len()];
        self.requests += 1;
        if let Line::Error(status, code) = line {
            return Answer::error(status, code);
        }
        let entries: Vec<(usize, &Value)> = request["Entries"]
            .as_array()
            .expect("a batch request")
            .iter()
            .map(|entry| {
                (entry["MessageBody"].as_str().and_then(|body| body.parse().ok()).expect("a number"), entry)
            })
            .collect();
        for (number, _) in &entries {
            if let Fate::Spoil(code) = fates[*number] {
                return Answer::error(400, code);
            }
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (number, entry) in entries {
            match fates[number] {
                Fate::Store => {
                    *self.stored.entry(number).or_default() += 1;
                    self.order.push(number);
                    if !matches!(line, Line::BrokenAnswer) {
                        *self.confirmed.entry(number).or_default() += 1;
                    }
                    successful.push(json!({ "Id": entry["Id"], "MessageId": format!("m{number}"), "MD5OfMessageBody": "" }));
                }
                Fate::Refuse(code) => {
                    failed.push(json!({ "Id": entry["Id"], "Code": code, "SenderFault": number % 2 == 0 }));
                }
                Fate::Omit | Fate::Spoil(_) => {}
            }
        }
        successful.reverse();
        let body = json!({ "Successful": successful, "Failed": failed }).to_string();
        match line {
            Line::BrokenAnswer => Answer::body(&&body[..body.len() / 2]),
            _ => Answer::body(&body),
        }
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    let refusals =
        ["InvalidMessageContents", "InternalError", "RequestThrottled", "AccessDenied", "SomethingNew"];
    prop_oneof![
        12 => Just(Fate::Store),
        3 => prop::sample::select(refusals.to_vec()).prop_map(Fate::Refuse),
        1 => Just(Fate::Omit),
        1 => prop::sample::select(vec!["BatchRequestTooLong", "InvalidMessageContents"]).prop_map(Fate::Spoil),
    ]
}

fn line() -> impl Strategy<Value = Line> {
    prop_oneof![
        8 => Just(Line::Good),
        1 => Just(Line::Error(400, "RequestThrottled")),
        1 => Just(Line::Error(500, "InternalFailure")),
        1 => Just(Line::BrokenAnswer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn partial_failures_never_lose_double_or_poison_a_message(
        fates in vec(fate(), 1..60),
        lines in vec(line(), 1..20),
    ) {
        let model = Arc::new(Mutex::new(Model::default()));
        let (client, _) = client({
            let (model, fates) = (model.clone(), fates.clone());
            move |request| model.lock().expect("the model does not panic").answer(request, &fates, &lines)
        });
        let publisher = SqsPublisher::new(client).route("orders", "http://sqs.invalid/1/orders").wire_format(WireFormat::Raw);
        let messages: Vec<_> = (0..fates.len())
            .map(|number| Message::new(Uuid::from_u128(number as u128), "/shop", "orders", "order.placed", number.to_string()))
            .collect();

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let outcomes = runtime.block_on(publisher.publish(&messages));

        let model = model.lock().expect("the model does not panic");
        prop_assert_eq!(outcomes.len(), messages.len());
        for (number, outcome) in outcomes.iter().enumerate() {
            let confirmed = model.confirmed.contains_key(&number);
            prop_assert_eq!(outcome.is_published(), confirmed, "{}: {:?}", number, outcome);
            if confirmed {
                prop_assert_eq!(outcome, &Outcome::published_as(format!("m{number}")));
            }
            prop_assert!(model.stored.get(&number).is_none_or(|copies| *copies == 1), "{} was sent twice", number);
            if matches!(outcome, Outcome::Rejected { .. }) {
                let at_fault = matches!(fates[number], Fate::Spoil(_) | Fate::Refuse("InvalidMessageContents"));
                prop_assert!(at_fault, "{} was poisoned: {:?}", number, outcome);
            }
        }
    }

    #[test]
    fn partial_failures_let_no_message_of_a_fifo_queue_overtake_one_of_its_group(
        fates in vec((fate(), 0..6_usize), 1..60),
        lines in vec(line(), 1..20),
    ) {
        let (fates, groups): (Vec<_>, Vec<_>) = fates.into_iter().unzip();
        let model = Arc::new(Mutex::new(Model::default()));
        let (client, _) = client({
            let (model, fates) = (model.clone(), fates.clone());
            move |request| model.lock().expect("the model does not panic").answer(request, &fates, &lines)
        });
        let publisher = SqsPublisher::new(client).route("orders", "http://sqs.invalid/1/orders.fifo").wire_format(WireFormat::Raw);
        let messages: Vec<_> = (0..fates.len())
            .map(|number| {
                let id = Uuid::from_u128(number as u128);
                let mut message = Message::new(id, "/shop", "orders", "order.placed", number.to_string());
                message.aggregate_id = Some(groups[number].to_string());
                message
            })
            .collect();

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let outcomes = runtime.block_on(publisher.publish(&messages));

        let model = model.lock().expect("the model does not panic");
        prop_assert_eq!(outcomes.len(), messages.len());
        let mut stuck = BTreeSet::new();
        for (number, outcome) in outcomes.iter().enumerate() {
            let group = groups[number];
            prop_assert_eq!(outcome.is_published(), model.confirmed.contains_key(&number), "{}: {:?}", number, outcome);
            let is_held_back = matches!(outcome, Outcome::HeldBack { .. });
            prop_assert_eq!(is_held_back, stuck.contains(&group), "{}: {:?}", number, outcome);
            if is_held_back {
                prop_assert!(!model.stored.contains_key(&number), "{} was tried", number);
            }
            if !outcome.is_published() {
                stuck.insert(group);
            }
        }
        let mut last = BTreeMap::new();
        for number in &model.order {
            let before = last.insert(groups[*number], *number);
            prop_assert!(before.is_none_or(|before| before < *number), "{} came after {:?}", number, before);
        }
    }
}
