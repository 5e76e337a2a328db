//! A door on loopback in front of a server: closed, the server is away for those who come through it. It is also the
//! stable address of a server that is replaced by another.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
    task::JoinSet,
};

/// What happens to those who come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// They get through.
    Open,
    /// Those who are through stay so, others are turned away.
    Full,
    /// All are cut off and turned away.
    Closed,
    /// A network that swallows everything: nobody is cut off or turned away, and nothing passes any more. Who was there
    /// meanwhile stays stuck for good.
    Silent,
}

/// Passes connections on, as far as its door lets it.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    course: watch::Sender<Course>,
    /// How many connections came, whatever became of them.
    came: Arc<AtomicUsize>,
    /// Ends with the gate.
    _keeper: JoinSet<()>,
}

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Course {
    /// As host:port.
    server: String,
    door: Door,
}

impl Gate {
    /// An open gate in front of `server`, an URL such as `http://127.0.0.1:4566`.
    ///
    /// # Errors
    /// Where no port can be had, or the URL names no host and port.
    pub async fn in_front_of(server: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (course, current) = watch::channel(Course { server: host_and_port(server)?, door: Door::Open });
        let (came, mut keeper) = (Arc::default(), JoinSet::new());
        keeper.spawn(keep(listener, current, Arc::clone(&came)));
        Ok(Self { address, course, came, _keeper: keeper })
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

    /// `server`'s URL with the gate in the place of its host and port.
    ///
    /// # Errors
    /// Where it is no URL with a path.
    pub fn instead_of(&self, server: &str) -> Result<String> {
        let (scheme, rest) = server.split_once("://").context("expected a URL")?;
        let (host, path) = rest.split_once('/').context("expected a path")?;
        let user = host.rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
        Ok(format!("{scheme}://{user}{}/{path}", self.address))
    }

    /// Moves the door.
    pub fn set(&self, door: Door) {
        self.course.send_modify(|course| course.door = door);
    }

    /// Opens or closes it.
    pub fn set_closed(&self, closed: bool) {
        self.set(if closed { Door::Closed } else { Door::Open });
    }

    /// How many connections came so far, those that were turned away too.
    #[must_use]
    pub fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }

    /// Leads to another server from now on, an URL as above, and opens it. Connections to the one before are cut.
    ///
    /// # Errors
    /// Where the URL names no host and port.
    pub fn lead_to(&self, server: &str) -> Result<()> {
        self.course.send_replace(Course { server: host_and_port(server)?, door: Door::Open });
        Ok(())
    }
}

fn host_and_port(url: &str) -> Result<String> {
    let (_, rest) = url.split_once("://").context("expected a URL")?;
    let server = rest.split('/').next().context("expected host:port")?;
    Ok(server.rsplit('@').next().unwrap_or(server).to_owned())
}

async fn keep(listener: TcpListener, course: watch::Receiver<Course>, came: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        came.fetch_add(1, Ordering::SeqCst);
        connections.spawn(pass(client, course.clone()));
    }
}

async fn pass(mut client: TcpStream, mut course: watch::Receiver<Course>) {
    let begun = course.borrow().clone();
    if matches!(begun.door, Door::Closed | Door::Full) {
        return;
    }
    let Ok(mut server) = TcpStream::connect(&begun.server).await else { return };
    let is_over =
        |course: &Course| course.server != begun.server || matches!(course.door, Door::Closed | Door::Silent);
    let is_silent = select! {
        moved = course.wait_for(is_over) => {
            moved.is_ok_and(|course| course.server == begun.server && course.door == Door::Silent)
        }
        _ = copy_bidirectional(&mut client, &mut server) => false,
    };
    if is_silent {
        std::future::pending::<()>().await;
    }
    // Both ends see a connection that breaks.
}
