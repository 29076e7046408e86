//! A go-between on a TCP connection that can be cut, stalled, or closed to newcomers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What the line does to who uses it.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// How often everything was cut.
    cuts: u64,
    /// How many faults hold the bytes back at the moment.
    stalls: u32,
    /// How many faults turn newcomers away at the moment.
    closures: u32,
}

/// One line: whoever connects to `port` reaches the target.
pub struct GoBetween {
    pub port: u16,
    state: Arc<watch::Sender<State>>,
    serving: AbortHandle,
}

impl GoBetween {
    /// Opens a line to a port on this machine.
    pub async fn to(target: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(watch::Sender::new(State::default()));
        let told = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else { continue };
                if told.borrow().closures == 0 {
                    tokio::spawn(connect(near, target, told.subscribe()));
                }
            }
        });
        Ok(Self { port, state, serving: serving.abort_handle() })
    }

    /// Ends every connection that there is.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Holds all bytes back for a while; then the connections go on, or are cut.
    pub async fn stall(&self, how_long: Duration, then_cut: bool) {
        self.state.send_modify(|state| state.stalls += 1);
        tokio::time::sleep(how_long).await;
        self.state.send_modify(|state| {
            state.stalls -= 1;
            state.cuts += u64::from(then_cut);
        });
    }

    /// Ends every connection and turns newcomers away for a while.
    pub async fn close(&self, how_long: Duration) {
        self.state.send_modify(|state| {
            state.closures += 1;
            state.cuts += 1;
        });
        tokio::time::sleep(how_long).await;
        self.state.send_modify(|state| state.closures -= 1);
    }
}

impl Drop for GoBetween {
    fn drop(&mut self) {
        self.serving.abort();
        self.cut();
    }
}

async fn connect(near: TcpStream, target: u16, state: watch::Receiver<State>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let there = pass(near_read, far_write, state.clone());
    let back = pass(far_read, near_write, state);
    tokio::join!(there, back);
}

/// Passes bytes on until one side ends or the line is cut.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let born = state.borrow().cuts;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = state.wait_for(|state| state.cuts != born) => return,
        };
        if read == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if state.wait_for(|state| state.stalls == 0 || state.cuts != born).await.is_err() {
            return;
        }
        if state.borrow().cuts != born || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
