//! An address that leads to another server after a failover, as a virtual IP or a proxy does.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Forwards connections to one server at a time.
pub struct Router {
    port: u16,
    target: Arc<AtomicU16>,
    open: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Router {
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(AtomicU16::new(target));
        let open: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let (led, kept) = (Arc::clone(&target), Arc::clone(&open));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let to = led.load(Ordering::SeqCst);
                let passing = tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
                kept.lock().unwrap().push(passing.abort_handle());
            }
        });
        Self { port, target, open }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Leads to another server; what was open breaks.
    pub fn lead_to(&self, target: u16) {
        self.target.store(target, Ordering::SeqCst);
        for one in self.open.lock().unwrap().drain(..) {
            one.abort();
        }
    }
}
