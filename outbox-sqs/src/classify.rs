//! What an error of SQS means, by its code alone, as pure code.
//!
//! `SenderFault` is not asked: the service says true for throttling by KMS, and servers that speak
//! its protocol say false for invalid characters. Unknown codes of an entry count against that entry,
//! unknown codes of a request against its entries: neither is a reason to stop a whole subscription.

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Too many requests: slow down.
    Throttled,
    /// Nobody answers, or what answers is not well.
    Away,
    /// The queue or the credentials are missing, or not allowed to do it. Somebody has to act, and
    /// the message cannot help it.
    Setup,
    /// The service stumbled over this one.
    Internal,
    /// The message itself: its characters.
    Content,
    /// The message, or all messages of a request together, are too large.
    TooLong,
    /// A parameter: the message's if the entry says so, and anybody's if the request does.
    Parameter,
    /// A code that is not known here.
    Unknown,
}

impl Kind {
    /// The meaning of an error code.
    pub(crate) fn of_code(code: &str) -> Self {
        match bare(code) {
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded"
            | "LimitExceededException"
            | "PriorRequestNotComplete"
            | "SlowDown"
            | "OverLimit"
            | "KmsThrottled"
            | "KMS.ThrottlingException" => Self::Throttled,

            "ServiceUnavailable"
            | "ServiceUnavailableException"
            | "ServerUnavailable"
            | "RequestTimeout"
            | "RequestTimeoutException"
            | "RequestCanceled" => Self::Away,

            "NonExistentQueue"
            | "QueueDoesNotExist"
            | "QueueDeletedRecently"
            | "InvalidAddress"
            | "InvalidSecurity"
            | "UnsupportedOperation"
            | "AccessDenied"
            | "AccessDeniedException"
            | "AuthFailure"
            | "UnauthorizedOperation"
            | "NotAuthorized"
            | "OptInRequired"
            | "SubscriptionRequiredException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "MissingSecurityHeader"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "TokenRefreshRequired"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "RequestInTheFuture"
            | "KmsAccessDenied"
            | "KmsDisabled"
            | "KmsInvalidKeyUsage"
            | "KmsInvalidState"
            | "KmsNotFound"
            | "KmsOptInRequired" => Self::Setup,

            kms if kms.starts_with("KMS.") => Self::Setup,

            "InternalError" | "InternalFailure" | "InternalServerError" | "InternalServiceError" => {
                Self::Internal
            }
            "InvalidMessageContents" => Self::Content,
            "BatchRequestTooLong" | "MessageTooLong" => Self::TooLong,
            "InvalidParameterValue" | "InvalidParameterValueException" | "InvalidAttributeValue" => {
                Self::Parameter
            }
            _ => Self::Unknown,
        }
    }

    /// The meaning of the failure of a whole request.
    pub(crate) fn of_answer(status: u16, code: Option<&str>) -> Self {
        match code.map_or(Self::Unknown, Self::of_code) {
            Self::Unknown => match (status, code) {
                (429, _) => Self::Throttled,
                (413, _) => Self::TooLong,
                (500.., _) => Self::Away,
                // No code: a broken body, or something in between that is not SQS.
                (_, None) => Self::Away,
                (_, Some(_)) => Self::Unknown,
            },
            known => known,
        }
    }

    /// Whether one entry may have spoilt a whole request, so that a smaller request may pass.
    pub(crate) fn divides(self) -> bool {
        matches!(self, Self::Content | Self::TooLong | Self::Parameter)
    }
}

/// Whether a code says that who asks is known but may not do this.
pub(crate) fn is_permission(code: &str) -> bool {
    matches!(bare(code), "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized")
}

/// The code without the name spaces that the two protocols put before it.
fn bare(code: &str) -> &str {
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        for (code, kind) in [
            ("RequestThrottled", Kind::Throttled),
            ("AWS.SimpleQueueService.RequestThrottled", Kind::Throttled),
            ("ThrottlingException", Kind::Throttled),
            ("KMS.ThrottlingException", Kind::Throttled),
            ("ServiceUnavailable", Kind::Away),
            ("AWS.SimpleQueueService.NonExistentQueue", Kind::Setup),
            ("com.amazonaws.sqs#QueueDoesNotExist", Kind::Setup),
            ("QueueDoesNotExist", Kind::Setup),
            ("AccessDenied", Kind::Setup),
            ("AccessDeniedException", Kind::Setup),
            ("ExpiredToken", Kind::Setup),
            ("InvalidClientTokenId", Kind::Setup),
            ("SignatureDoesNotMatch", Kind::Setup),
            ("KMS.DisabledException", Kind::Setup),
            ("KMS.OptInRequired", Kind::Setup),
            ("InternalError", Kind::Internal),
            ("InternalFailure", Kind::Internal),
            ("InvalidMessageContents", Kind::Content),
            ("AWS.SimpleQueueService.BatchRequestTooLong", Kind::TooLong),
            ("InvalidParameterValue", Kind::Parameter),
            ("SomethingNew", Kind::Unknown),
            ("", Kind::Unknown),
        ] {
            assert_eq!(Kind::of_code(code), kind, "{code}");
        }
    }

    #[test]
    fn an_answer_without_a_known_code_is_judged_by_its_status() {
        for (status, code, kind) in [
            // A body that cannot be read says nothing about the message.
            (200, None, Kind::Away),
            (403, None, Kind::Away),
            (404, None, Kind::Away),
            (502, None, Kind::Away),
            (503, Some("SomethingNew"), Kind::Away),
            (429, None, Kind::Throttled),
            (413, None, Kind::TooLong),
            (400, Some("SomethingNew"), Kind::Unknown),
            // A known code wins over the status.
            (400, Some("ThrottlingException"), Kind::Throttled),
            (403, Some("RequestThrottled"), Kind::Throttled),
            (500, Some("InternalError"), Kind::Internal),
            (400, Some("AWS.SimpleQueueService.NonExistentQueue"), Kind::Setup),
        ] {
            assert_eq!(Kind::of_answer(status, code), kind, "{status} {code:?}");
        }
    }

    #[test]
    fn only_what_one_entry_can_cause_divides_a_request() {
        for kind in [Kind::Content, Kind::TooLong, Kind::Parameter] {
            assert!(kind.divides(), "{kind:?}");
        }
        for kind in [Kind::Throttled, Kind::Away, Kind::Setup, Kind::Internal, Kind::Unknown] {
            assert!(!kind.divides(), "{kind:?}");
        }
    }
}
