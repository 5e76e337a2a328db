//! A door on loopback in front of a server: closed, the server is away for those who come through it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
    task::JoinSet,
};

/// Passes connections on while it is open; cuts them and refuses new ones while it is closed.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    closed: watch::Sender<bool>,
    /// Ends with the gate.
    _door: JoinSet<()>,
}

impl Gate {
    /// An open gate in front of `server`, an URL such as `http://127.0.0.1:4566`.
    ///
    /// # Errors
    /// Where no port can be had, or the URL names no host and port.
    pub async fn in_front_of(server: &str) -> Result<Self> {
        let (_, rest) = server.split_once("://").context("expected a URL")?;
        let server = rest.split('/').next().context("expected host:port")?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (closed, is_closed) = watch::channel(false);
        let mut door = JoinSet::new();
        door.spawn(keep(listener, server, is_closed));
        Ok(Self { address, closed, _door: door })
    }

    /// Where to connect to instead of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Opens or closes it.
    pub fn set_closed(&self, closed: bool) {
        self.closed.send_replace(closed);
    }
}

async fn keep(listener: TcpListener, server: String, is_closed: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(pass(client, server.clone(), is_closed.clone()));
    }
}

async fn pass(mut client: TcpStream, server: String, mut is_closed: watch::Receiver<bool>) {
    if *is_closed.borrow() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(&server).await else { return };
    select! {
        // Both ends see a connection that breaks.
        _ = is_closed.wait_for(|closed| *closed) => {}
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}
