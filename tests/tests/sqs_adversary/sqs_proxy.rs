//! That the proxy does to requests what it says.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use aws_sdk_sqs::{
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata as _, SdkError},
    operation::{
        receive_message::ReceiveMessageOutput,
        send_message_batch::{SendMessageBatchError, SendMessageBatchOutput},
    },
    types::{
        BatchResultErrorEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
        SendMessageBatchRequestEntry, SendMessageBatchResultEntry,
    },
};
use outbox_tests::{
    database::until,
    sqs::{
        TestQueue, client, endpoint,
        proxy::{EntryError, EntryFault, Fault, Operation, Proxy, Refusal},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::world::World;

type Sent = Result<SendMessageBatchOutput, SdkError<SendMessageBatchError>>;

/// Sends so many entries once, through the proxy; the id of each event is its place.
async fn send(world: &World, count: usize) -> Result<Sent> {
    let mut request = world.client.send_message_batch().queue_url(&world.queue.url);
    for place in 0..count {
        let id = MessageAttributeValue::builder().data_type("String").string_value(format!("event-{place}"));
        let entry = SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body("ü");
        request = request.entries(entry.message_attributes("id", id.build()?).build()?);
    }
    let once = aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled());
    Ok(request.customize().config_override(once).send().await)
}

async fn receive(world: &World) -> Result<ReceiveMessageOutput> {
    let request = world.client.receive_message().queue_url(&world.queue.url).max_number_of_messages(10);
    let once = aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled());
    Ok(request.wait_time_seconds(2).customize().config_override(once).send().await?)
}

async fn on_a_queue<F: Future<Output = Result<()>>>(test: impl FnOnce(World) -> F) {
    TestQueue::run(async |queue: Arc<TestQueue>| test(World::around(queue).await?).await).await;
}

/// What is read from a connection that asks for all of a queue's attributes, and how it ends.
async fn read_raw(world: &World) -> Result<(String, std::io::Result<usize>)> {
    let proxy = world.proxy.url();
    let mut connection = TcpStream::connect(proxy.trim_start_matches("http://")).await?;
    let body = format!(r#"{{"QueueUrl":"{}","Entries":[{{"Id":"0","MessageBody":"x"}}]}}"#, world.queue.url);
    let request = format!(
        "POST / HTTP/1.1\r\nhost: sqs\r\nx-amz-target: AmazonSQS.SendMessageBatch\r\n\
         content-type: application/x-amz-json-1.0\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    let end = connection.read_to_end(&mut read).await;
    Ok((String::from_utf8(read)?, end))
}

#[tokio::test]
async fn without_a_fault_requests_and_answers_pass_as_they_are() {
    on_a_queue(async |world| {
        let sent = send(&world, 3).await??;
        assert_eq!((sent.successful().len(), sent.failed().len()), (3, 0));
        let received = world.queue.client.receive_message().queue_url(&world.queue.url);
        let received = received.message_attribute_names("All").wait_time_seconds(2).send().await?;
        assert_eq!(received.messages()[0].body(), Some("ü"));

        let record = world.proxy.record();
        assert_eq!(record.requests_of("SendMessageBatch"), 1);
        assert_eq!(record.fired("none"), 1);
        let ids: Vec<_> = record.stored.iter().map(|stored| stored.id.as_str()).collect();
        assert_eq!(ids, ["event-0", "event-1", "event-2"]);
        assert!(record.stored.iter().all(|stored| stored.is_told && stored.group.is_none()));
        assert_eq!(record.stored[0].message_id, sent.successful()[0].message_id());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_reset_reaches_the_client_as_a_reset_and_the_server_not_at_all() {
    on_a_queue(async |world| {
        world.proxy.order(Operation::Send, Fault::Reset);
        let (read, end) = read_raw(&world).await?;
        assert_eq!(read, "");
        assert_eq!(end.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));

        world.proxy.order(Operation::Send, Fault::Reset);
        let error = send(&world, 1).await?.expect_err("a reset");
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
        assert_eq!(world.queue.depth().await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_refusal_has_its_code_and_the_server_hears_nothing_of_the_request() {
    on_a_queue(async |world| {
        let pause = Some(Duration::from_millis(1_500));
        let refusals = [
            (Refusal::Throttled(None), 400, Some("RequestThrottled"), None),
            (Refusal::Throttled(pause), 400, Some("RequestThrottled"), Some("1500")),
            (Refusal::Internal, 500, Some("InternalFailure"), None),
            (Refusal::Unavailable, 503, Some("ServiceUnavailable"), None),
            (Refusal::BadGateway, 502, None, None),
        ];
        for (refusal, status, code, pause) in refusals {
            world.proxy.order(Operation::Send, Fault::Refuse(refusal));
            let error = send(&world, 1).await?.expect_err("a refusal");
            let raw = error.raw_response().context("an answer")?;
            assert_eq!(raw.status().as_u16(), status, "{refusal:?}");
            assert_eq!(raw.headers().get("x-amz-retry-after"), pause, "{refusal:?}");
            assert_eq!(error.code(), code, "{refusal:?}");
        }
        assert_eq!(world.queue.depth().await?, 0);
        assert_eq!(world.proxy.record().stored, []);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_lost_after_the_server_has_done_it() {
    on_a_queue(async |world| {
        world.proxy.order(Operation::Send, Fault::LoseAnswer);
        let (read, end) = read_raw(&world).await?;
        assert_eq!((read.as_str(), end?), ("", 0), "the connection ends without a word");
        assert_eq!(world.queue.depth().await?, 1);
        assert!(!world.proxy.record().stored[0].is_told);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_cut_in_the_middle_of_its_body() {
    on_a_queue(async |world| {
        world.proxy.order(Operation::Send, Fault::CutAnswer);
        let (read, _) = read_raw(&world).await?;
        let (head, body) = read.split_once("\r\n\r\n").context("a head")?;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let promised =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).context("a length")?;
        assert_eq!(body.len(), promised.parse::<usize>()? / 2);
        assert!(!body.is_empty());

        world.proxy.order(Operation::Send, Fault::CutAnswer);
        let error = send(&world, 1).await?.expect_err("half an answer");
        assert!(!matches!(error, SdkError::ServiceError(_)), "{error:?}");
        assert_eq!(world.queue.depth().await?, 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broken_and_an_empty_answer_come_under_http_200() {
    on_a_queue(async |world| {
        world.proxy.order(Operation::Send, Fault::BreakAnswer);
        let error = send(&world, 2).await?.expect_err("half a body");
        assert_eq!(error.raw_response().context("an answer")?.status().as_u16(), 200);

        world.proxy.order(Operation::Send, Fault::EmptyAnswer);
        let answer = send(&world, 2).await??;
        assert_eq!((answer.successful().len(), answer.failed().len()), (0, 0));
        assert_eq!(world.queue.depth().await?, 4);
        assert!(world.proxy.record().stored.iter().all(|stored| !stored.is_told));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_delayed_answer_comes_after_the_server_has_done_it() {
    on_a_queue(async |world| {
        world.proxy.order(Operation::Send, Fault::DelayAnswer(Duration::from_secs(600)));
        tokio::select! {
            answer = send(&world, 1) => panic!("the answer is ten minutes away: {answer:?}"),
            () = until("the message", Duration::from_secs(20), async || {
                (world.queue.depth().await.ok()? == 1).then_some(())
            }) => {}
        }
        world.proxy.order(Operation::Send, Fault::DelayAnswer(Duration::from_millis(50)));
        assert_eq!(send(&world, 1).await??.successful().len(), 1, "it is whole when it comes");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_held_request_arrives_although_its_client_has_gone() {
    on_a_queue(async |world| {
        let held = Duration::from_millis(600);
        world.proxy.order(Operation::Send, Fault::HoldRequest(held));
        let gone = tokio::time::timeout(Duration::from_millis(200), send(&world, 1)).await;
        assert!(gone.is_err(), "{gone:?}");
        assert_eq!(world.queue.depth().await?, 0, "it is still on its way");
        world.proxy.settled().await;
        assert_eq!(world.queue.depth().await?, 1);
        assert!(!world.proxy.record().stored[0].is_told);
        Ok(())
    })
    .await;
}

/// A server that stores whatever comes and answers after a while.
async fn slow_server(listener: TcpListener, pause: Duration) -> Result<()> {
    loop {
        let (mut connection, _) = listener.accept().await?;
        // Its beginning will do: nobody asks what was in it.
        connection.read_u8().await?;
        tokio::time::sleep(pause).await;
        let body = r#"{"Successful":[{"Id":"0","MessageId":"m","MD5OfMessageBody":""}],"Failed":[]}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        connection.write_all(format!("{head}{body}").as_bytes()).await?;
    }
}

/// Nothing went wrong but that the client did not wait: it has no word of what was stored.
#[tokio::test]
async fn what_a_client_did_not_wait_for_counts_as_not_told() {
    on_a_queue(async |world| {
        let mut told = Vec::new();
        // How soon the proxy sees that its client has gone is up to the system.
        for pause in [20, 100, 500, 2_000].map(Duration::from_millis) {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let proxy = Proxy::in_front_of(&format!("http://{}", listener.local_addr()?)).await?;
            let (client, requests) = client(&proxy.url());
            let world =
                World { proxy, client, requests, queue: world.queue.clone(), told: world.told.clone() };
            let server = tokio::spawn(slow_server(listener, pause));
            let arrived = until("the request", Duration::from_secs(20), async || {
                (world.proxy.record().requests_of("SendMessageBatch") > 0).then_some(())
            });
            tokio::select! {
                () = arrived => {}
                answer = send(&world, 1) => panic!("answered without a pause: {answer:?}"),
            }
            world.proxy.settled().await;
            server.abort();
            told = world.proxy.record().stored.iter().map(|stored| stored.is_told).collect();
            if told == [false] {
                break;
            }
        }
        assert_eq!(told, [false]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn entries_of_a_send_fail_one_by_one() {
    on_a_queue(async |world| {
        let error = EntryError { code: "RequestThrottled", sender_fault: true };
        let faults = vec![
            EntryFault::None,
            EntryFault::Refuse(error),
            EntryFault::Forget,
            EntryFault::Deny(error),
            EntryFault::Omit,
        ];
        world.proxy.order(Operation::Send, Fault::Entries(faults));
        let answer = send(&world, 6).await??;
        let successful: Vec<_> = answer.successful().iter().map(SendMessageBatchResultEntry::id).collect();
        let failed: Vec<_> = answer.failed().iter().map(BatchResultErrorEntry::id).collect();
        assert_eq!((successful, failed), (vec!["0", "5"], vec!["1", "3"]));
        assert_eq!(
            (answer.failed()[0].code(), answer.failed()[0].sender_fault()),
            ("RequestThrottled", true)
        );

        assert_eq!(world.queue.depth().await?, 4);
        let record = world.proxy.record();
        let stored: Vec<_> =
            record.stored.iter().map(|stored| (stored.id.as_str(), stored.is_told)).collect();
        assert_eq!(stored, [("event-0", true), ("event-3", false), ("event-4", false), ("event-5", true)]);
        for name in ["entry refused", "entry forgotten", "entry denied", "entry omitted"] {
            assert_eq!(record.fired(name), 1, "{name}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn entries_of_a_delete_fail_one_by_one() {
    on_a_queue(async |world| {
        send(&world, 4).await??;
        let mut handles = Vec::new();
        for _ in 0..20 {
            let received = receive(&world).await?;
            handles.extend(received.messages().iter().filter_map(|message| message.receipt_handle.clone()));
            if handles.len() == 4 {
                break;
            }
        }
        let faults = vec![
            EntryFault::Refuse(EntryError::INTERNAL),
            EntryFault::Forget,
            EntryFault::Deny(EntryError::INTERNAL),
        ];
        world.proxy.order(Operation::Delete, Fault::Entries(faults));
        let mut delete = world.client.delete_message_batch().queue_url(&world.queue.url);
        for (place, handle) in handles.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
            delete = delete.entries(entry.receipt_handle(handle).build()?);
        }
        let answer = delete.send().await?;
        assert_eq!(answer.successful().len(), 1);
        assert_eq!(answer.failed().len(), 2);
        assert_eq!(world.queue.depth().await?, 2, "those that were taken out are still there");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_receive_gives_again_what_was_given_before() {
    on_a_queue(async |world| {
        world.proxy.order(Operation::Receive, Fault::Repeat);
        send(&world, 1).await??;
        let first = receive(&world).await?;
        assert_eq!(
            world.proxy.record().fired("repeated"),
            0,
            "nothing was given before: the server is asked"
        );
        world.proxy.order(Operation::Receive, Fault::Repeat);
        let again = receive(&world).await?;
        assert_eq!(first.messages().len(), 1);
        assert_eq!(again.messages(), first.messages());
        assert_eq!(world.proxy.record().fired("repeated"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_receive_that_is_cut_has_taken_its_messages() {
    on_a_queue(async |world| {
        send(&world, 1).await??;
        world.proxy.order(Operation::Receive, Fault::LoseAnswer);
        receive(&world).await.expect_err("the answer is lost");
        assert_eq!(world.queue.depth().await?, 1, "it is in flight");
        assert_eq!(receive(&world).await?.messages().len(), 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_proxy_without_a_server_behind_it_closes_the_connection() {
    on_a_queue(async |world| {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        assert!(!endpoint().ends_with(&nobody.port().to_string()));
        let proxy = Proxy::in_front_of(&format!("http://{nobody}")).await?;
        let (client, requests) = client(&proxy.url());
        let world = World { proxy, client, requests, queue: world.queue.clone(), told: world.told.clone() };
        let error = send(&world, 1).await?.expect_err("nobody is there");
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
        Ok(())
    })
    .await;
}
