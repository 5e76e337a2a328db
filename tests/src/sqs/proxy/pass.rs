//! The way of a request to the server and of its answer back.

use std::{
    ops::Range,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client, header,
    http::request::Parts,
    server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
    time::sleep,
};

use super::{
    Shared,
    answer::{Answer, Body, Cut},
    batch,
    fault::{EntryFault, Fault, Operation},
    lock,
};

/// Accepts connections for as long as it is not dropped.
pub(super) async fn keep(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

/// Answers the requests of one connection until it ends.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let is_reset = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| answer(request, Arc::clone(&shared), Arc::clone(&is_reset)));
    let mut connection = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error is a connection that ended, on purpose or by the client.
    drop(pin!(&mut connection).await);
    if is_reset.load(Ordering::SeqCst) {
        // Whether it works decides only what the client is told of the end.
        drop(connection.into_parts().io.into_inner().set_zero_linger());
    }
}

/// The answer to one request; an error ends the connection.
async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    is_reset: Arc<AtomicBool>,
) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let errand = Errand::new(parts, body.collect().await.map_err(|_| Cut)?.to_bytes());
    let fault = errand.meet(&shared);
    match fault {
        Fault::Reset => {
            is_reset.store(true, Ordering::SeqCst);
            return Err(Cut);
        }
        Fault::Refuse(refusal) => return Ok(Answer::refusal(refusal).whole()),
        Fault::Repeat => {
            if let Some(again) = lock(&shared.handed_out).again(&errand.request) {
                return Ok(Answer::of(&again).whole());
            }
        }
        _ => {}
    }
    let delay = match &fault {
        Fault::DelayAnswer(delay) => *delay,
        _ => Duration::ZERO,
    };
    let is_cut = fault == Fault::CutAnswer;
    let answer = errand.done(shared, fault).await?;
    sleep(delay).await;
    Ok(if is_cut { answer.cut() } else { answer.whole() })
}

/// A request on its way.
struct Errand {
    parts: Parts,
    name: String,
    operation: Operation,
    body: Bytes,
    /// The body as JSON.
    request: Value,
}

impl Errand {
    fn new(parts: Parts, body: Bytes) -> Self {
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let name = target.unwrap_or_default().trim_start_matches("AmazonSQS.").to_owned();
        let request = serde_json::from_slice(&body).unwrap_or_default();
        Self { operation: Operation::of(&name), parts, name, body, request }
    }

    /// What goes wrong with it, put on record.
    fn meet(&self, shared: &Shared) -> Fault {
        let entries = batch::entries(&self.request).len();
        let mut fault = lock(&shared.plan).next(self.operation, entries);
        if fault == Fault::Repeat && lock(&shared.handed_out).again(&self.request).is_none() {
            fault = Fault::None;
        }
        let mut record = lock(&shared.record);
        *record.requests.entry(self.name.clone()).or_default() += 1;
        *record.fired.entry(fault.name()).or_default() += 1;
        if let Fault::Entries(faults) = &fault {
            for fault in faults.iter().take(entries) {
                *record.fired.entry(fault.name()).or_default() += 1;
            }
        }
        fault
    }

    /// Has the server do it, whether or not the client waits for that. A receive is for the client alone: who does not
    /// wait for it any more has closed the connection, and so does the proxy.
    async fn done(self, shared: Arc<Shared>, fault: Fault) -> Result<Answer, Cut> {
        if self.operation == Operation::Receive {
            return self.carry(&shared, fault).await.map(|(answer, _)| answer);
        }
        let (tell, told) = oneshot::channel();
        let undone = Undone::new(&shared.undone);
        let carried = Arc::clone(&shared);
        shared.work(async move {
            let _undone = undone;
            let (answer, stored) = self.carry(&carried, fault).await.ok().unzip();
            if tell.send(answer).is_err() {
                // The client has gone meanwhile: it has no word of what was stored, whatever the answer was.
                lock(&carried.record).nobody_heard(stored.unwrap_or_default());
            }
        });
        told.await.ok().flatten().ok_or(Cut)
    }

    /// Carries it to the server and gives the answer for the client, with what was stored by its places on record.
    async fn carry(&self, shared: &Shared, fault: Fault) -> Result<(Answer, Range<usize>), Cut> {
        match fault {
            Fault::Entries(faults) => {
                let fates = batch::fates(&self.request, &faults);
                let Some(forwarded) = batch::forwarded(&self.request, &fates) else {
                    return Ok((Answer::of(&batch::answered(None, &fates)), 0..0));
                };
                let is_told = |id: &str| fates.contains(&(id.to_owned(), EntryFault::None));
                let (answer, stored) = self.ask(shared, forwarded.to_string().into(), is_told).await?;
                if !answer.status.is_success() {
                    return Ok((answer, stored));
                }
                let told = batch::answered(Some(&answer.json()), &fates);
                Ok((answer.with_body(told.to_string()), stored))
            }
            Fault::HoldRequest(delay) => {
                sleep(delay).await;
                self.ask(shared, self.body.clone(), |_| false).await
            }
            fault => {
                let (answer, stored) = self.ask(shared, self.body.clone(), |_| fault == Fault::None).await?;
                match fault {
                    Fault::LoseAnswer => Err(Cut),
                    Fault::BreakAnswer => Ok((answer.broken(), stored)),
                    Fault::EmptyAnswer => Ok((Answer::of(&json!({})), stored)),
                    _ => Ok((answer, stored)),
                }
            }
        }
    }

    /// Asks the server and puts on record what it did. A server that does not answer is a connection that ends.
    async fn ask(
        &self,
        shared: &Shared,
        body: Bytes,
        is_told: impl Fn(&str) -> bool,
    ) -> Result<(Answer, Range<usize>), Cut> {
        let answer = self.forward(&shared.server, body).await.map_err(|_| Cut)?;
        let mut stored = 0..0;
        if answer.status.is_success() {
            match self.operation {
                Operation::Send => {
                    stored = lock(&shared.record).sent(&self.request, &answer.json(), is_told);
                }
                Operation::Receive => lock(&shared.handed_out).given(&self.request, &answer.json()),
                _ => {}
            }
        }
        Ok((answer, stored))
    }

    /// The request as it came, but for its body, over a connection of its own.
    async fn forward(&self, server: &str, body: Bytes) -> Result<Answer> {
        let stream = TcpStream::connect(server).await.context("the server behind the proxy")?;
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().method(&self.parts.method).uri(&self.parts.uri);
        for (name, value) in &self.parts.headers {
            // The new body has a length of its own.
            if ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name) {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::new(body))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        // The connection is driven for as long as the exchange takes, and dropped with it.
        let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }
}

impl Shared {
    /// Does it in a task of the proxy's own.
    fn work(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut work = lock(&self.work);
        while work.try_join_next().is_some() {}
        work.spawn(task);
    }
}

/// Counts for as long as it lives.
struct Undone(watch::Sender<usize>);

impl Undone {
    fn new(undone: &watch::Sender<usize>) -> Self {
        undone.send_modify(|count| *count += 1);
        Self(undone.clone())
    }
}

impl Drop for Undone {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
