//! Entries taken out of a batch request and put into its answer, as pure code.

use serde_json::{Map, Value, json};

use super::fault::EntryFault;

/// The entries of a request; none where it is no batch.
pub(super) fn entries(request: &Value) -> &[Value] {
    request["Entries"].as_array().map_or(&[], Vec::as_slice)
}

/// An entry's id.
pub(super) fn id(entry: &Value) -> &str {
    entry["Id"].as_str().unwrap_or_default()
}

/// What goes wrong with each entry, by its id.
pub(super) fn fates(request: &Value, faults: &[EntryFault]) -> Vec<(String, EntryFault)> {
    let faults = faults.iter().copied().chain(std::iter::repeat(EntryFault::None));
    entries(request).iter().map(|entry| id(entry).to_owned()).zip(faults).collect()
}

/// The request that the server gets; `None` where no entry is left for it.
pub(super) fn forwarded(request: &Value, fates: &[(String, EntryFault)]) -> Option<Value> {
    let left: Vec<Value> = entries(request)
        .iter()
        .zip(fates)
        .filter(|(_, (_, fault))| fault.reaches_server())
        .map(|(entry, _)| entry.clone())
        .collect();
    if left.is_empty() {
        return None;
    }
    let mut request = request.clone();
    request["Entries"] = Value::Array(left);
    Some(request)
}

/// The answer that the client gets, made of the server's; of none where the server was not asked.
pub(super) fn answered(answer: Option<&Value>, fates: &[(String, EntryFault)]) -> Value {
    let list = |name: &str| answer.and_then(|answer| answer[name].as_array()).cloned().unwrap_or_default();
    let fate = |entry: &Value| fates.iter().find(|(id, _)| id == self::id(entry)).map(|(_, fault)| *fault);
    let is_told = |entry: &Value| fate(entry).is_none_or(|fault| fault == EntryFault::None);

    let successful: Vec<Value> = list("Successful").into_iter().filter(is_told).collect();
    let mut failed: Vec<Value> = list("Failed").into_iter().filter(is_told).collect();
    failed.extend(fates.iter().filter_map(|(id, fault)| match fault {
        EntryFault::Refuse(error) | EntryFault::Deny(error) => Some(json!({
            "Id": id,
            "Code": error.code,
            "Message": "made up on the way",
            "SenderFault": error.sender_fault,
        })),
        EntryFault::None | EntryFault::Forget | EntryFault::Omit => None,
    }));

    let mut whole = answer.and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    whole.insert("Successful".to_owned(), Value::Array(successful));
    whole.insert("Failed".to_owned(), Value::Array(failed));
    Value::Object(whole)
}

#[cfg(test)]
mod tests {
    use super::{super::fault::EntryError, *};

    fn request() -> Value {
        let entries: Vec<Value> =
            (0..5).map(|number| json!({ "Id": number.to_string(), "MessageBody": "x" })).collect();
        json!({ "QueueUrl": "http://sqs/1/orders", "Entries": entries })
    }

    fn ids(list: &Value) -> Vec<&str> {
        list.as_array().expect("a list").iter().map(id).collect()
    }

    #[test]
    fn entries_that_do_not_reach_the_server_are_taken_out_and_the_rest_stays_as_it_is() {
        let request = request();
        let faults = [
            EntryFault::Refuse(EntryError::INTERNAL),
            EntryFault::Forget,
            EntryFault::Deny(EntryError::INTERNAL),
        ];
        let fates = fates(&request, &faults);
        let forwarded = forwarded(&request, &fates).expect("three entries");
        assert_eq!(ids(&forwarded["Entries"]), ["2", "3", "4"]);
        assert_eq!(forwarded["QueueUrl"], request["QueueUrl"]);
        assert_eq!(forwarded["Entries"][1], request["Entries"][3]);
    }

    #[test]
    fn a_request_without_any_entry_left_is_not_sent() {
        let request = request();
        assert_eq!(forwarded(&request, &fates(&request, &[EntryFault::Forget; 5])), None);
    }

    #[test]
    fn the_answer_tells_each_entry_as_it_was_told_to() {
        let request = request();
        let error = EntryError { code: "RequestThrottled", sender_fault: true };
        let faults =
            [EntryFault::Refuse(error), EntryFault::Forget, EntryFault::Deny(error), EntryFault::Omit];
        let server = json!({
            "Successful": [{ "Id": "2" }, { "Id": "3" }, { "Id": "4", "MessageId": "m" }],
            "Failed": [],
            "ResponseMetadata": 1,
        });
        let answer = answered(Some(&server), &fates(&request, &faults));
        assert_eq!(answer["Successful"], json!([{ "Id": "4", "MessageId": "m" }]));
        assert_eq!(ids(&answer["Failed"]), ["0", "2"]);
        assert_eq!(answer["Failed"][0]["Code"], "RequestThrottled");
        assert_eq!(answer["Failed"][0]["SenderFault"], true);
        assert_eq!(answer["ResponseMetadata"], 1, "what else was there stays");
    }

    #[test]
    fn what_the_server_refused_by_itself_stays_refused() {
        let request = request();
        let server = json!({ "Successful": [], "Failed": [{ "Id": "4", "Code": "InvalidMessageContents" }] });
        let answer = answered(Some(&server), &fates(&request, &[EntryFault::Forget; 4]));
        assert_eq!(answer["Failed"], server["Failed"]);
    }

    #[test]
    fn an_answer_can_be_made_without_a_server() {
        let request = request();
        let answer = answered(None, &fates(&request, &[EntryFault::Refuse(EntryError::INTERNAL); 5]));
        assert_eq!(ids(&answer["Failed"]).len(), 5);
        assert_eq!(ids(&answer["Successful"]).len(), 0);
    }
}
