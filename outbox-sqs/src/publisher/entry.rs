//! A message as an entry of a batch request, checked before it is sent.

use aws_sdk_sqs::{
    error::BuildError,
    types::{
        MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
        SendMessageBatchRequestEntry,
    },
};
use outbox_core::{
    message::{Message, names},
    publisher::Outcome,
    wire::WireFormat,
};

use super::group::Label;
use crate::{
    attributes::attributes,
    limits::{DATA_TYPE, invalid_character, size},
    trace::xray_header,
};

/// A message that SQS can take.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its place in the relay's batch. It is also its id in the request, so that an answer finds it.
    pub(super) index: usize,
    /// The bytes that it counts for.
    pub(super) size: usize,
    body: String,
    attributes: Vec<(String, String)>,
    trace: Option<String>,
    label: Label,
}

impl Entry {
    /// Encodes a message.
    ///
    /// # Errors
    /// [`Outcome::Rejected`] for a message that SQS can never take.
    pub(super) fn new(
        index: usize,
        message: &Message,
        label: Label,
        format: WireFormat,
        max_bytes: usize,
    ) -> Result<Self, Outcome> {
        let mut encoded = format.encode(message);
        let attributes = attributes(message, format, &mut encoded);
        let body = encoded.body;

        if body.is_empty() {
            return Err(Outcome::rejected("expected a body, found an empty one"));
        }
        let size = size(&body, &attributes);
        if size > max_bytes {
            return Err(Outcome::rejected(format_args!(
                "expected at most {max_bytes} bytes with its attributes, found {size}: make the payload smaller, or store \
                 it elsewhere and send its address"
            )));
        }
        let texts = std::iter::once(("the body", &body))
            .chain(attributes.iter().map(|(name, value)| (name.as_str(), value)));
        for (place, text) in texts {
            if let Some(found) = invalid_character(text) {
                let code = u32::from(found);
                return Err(Outcome::rejected(format_args!(
                    "found U+{code:04X} in {place}, which SQS does not take"
                )));
            }
        }

        let trace = message.headers.get(names::TRACEPARENT).and_then(xray_header);
        Ok(Self { index, size, body, attributes, trace, label })
    }

    /// The id of this entry in its request.
    pub(super) fn id(&self) -> String {
        self.index.to_string()
    }

    /// The entry in the SDK's words.
    pub(super) fn to_request(&self) -> Result<SendMessageBatchRequestEntry, BuildError> {
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(self.id())
            .message_body(&self.body)
            .set_message_group_id(self.label.group.clone())
            .set_message_deduplication_id(self.label.deduplication.clone());
        for (name, value) in &self.attributes {
            let value = MessageAttributeValue::builder().data_type(DATA_TYPE).string_value(value).build()?;
            entry = entry.message_attributes(name, value);
        }
        if let Some(trace) = &self.trace {
            let value =
                MessageSystemAttributeValue::builder().data_type(DATA_TYPE).string_value(trace).build()?;
            entry =
                entry.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, value);
        }
        entry.build()
    }
}
