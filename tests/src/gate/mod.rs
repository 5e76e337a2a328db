//! A door on loopback in front of a server: closed, the server is away for those who come through it. It is also the
//! stable address of a server that is replaced by another.

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
    course: watch::Sender<Course>,
    /// Ends with the gate.
    _door: JoinSet<()>,
}

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Course {
    /// As host:port.
    server: String,
    closed: bool,
}

impl Gate {
    /// An open gate in front of `server`, an URL such as `http://127.0.0.1:4566`.
    ///
    /// # Errors
    /// Where no port can be had, or the URL names no host and port.
    pub async fn in_front_of(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (course, current) = watch::channel(Course { server: host_and_port(server)?, closed: false });
        let mut door = JoinSet::new();
        door.spawn(keep(listener, current));
        Ok(Self { address, course, _door: door })
    }

    /// The host and port to connect to instead of the server's.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where to connect to instead of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Opens or closes it.
    pub fn set_closed(&self, closed: bool) {
        self.course.send_modify(|course| course.closed = closed);
    }

    /// Leads to another server from now on, an URL as above, and opens it. Connections to the one before are cut.
    ///
    /// # Errors
    /// Where the URL names no host and port.
    pub fn lead_to(&self, server: &str) -> Result<()> {
        self.course.send_replace(Course { server: host_and_port(server)?, closed: false });
        Ok(())
    }
}

fn host_and_port(url: &str) -> Result<String> {
    let (_, rest) = url.split_once("://").context("expected a URL")?;
    let server = rest.split('/').next().context("expected host:port")?;
    Ok(server.rsplit('@').next().unwrap_or(server).to_owned())
}

async fn keep(listener: TcpListener, course: watch::Receiver<Course>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(pass(client, course.clone()));
    }
}

async fn pass(mut client: TcpStream, mut course: watch::Receiver<Course>) {
    let begun = course.borrow().clone();
    if begun.closed {
        return;
    }
    let Ok(mut server) = TcpStream::connect(&begun.server).await else { return };
    select! {
        // Both ends see a connection that breaks.
        _ = course.wait_for(|course| *course != begun) => {}
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}
