//! Connections that can be cut in the middle of a call, without a byte of answer.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// Cuts the connection that it was handed out with: whatever is written after [`Cut::now`] is dropped.
#[derive(Debug, Clone)]
pub(super) struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Cuts the connection before the next byte.
    pub(super) fn now(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Connected<IncomingStream<'_, LoopbackListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, LoopbackListener>) -> Cut {
        stream.io().cut.clone()
    }
}

/// Listens on 127.0.0.1 only, whatever the port: a simulator is never reachable from another machine.
pub(super) struct LoopbackListener(TcpListener);

impl LoopbackListener {
    /// Binds the port; 0 is any free one.
    pub(super) async fn bind(port: u16) -> io::Result<LoopbackListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map(LoopbackListener)
    }
}

impl Listener for LoopbackListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        // axum's own listener waits and tries again after an error (too many open files), so there is no error here.
        let (stream, address) = Listener::accept(&mut self.0).await;
        // An answer is small; waiting to fill a packet would cost each call 40 ms.
        let _ = stream.set_nodelay(true);
        (CuttableStream { stream, cut: Cut(Arc::new(AtomicBool::new(false))) }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A TCP stream whose writes fail once it is cut, which makes the HTTP server drop it.
pub(super) struct CuttableStream {
    stream: TcpStream,
    cut: Cut,
}

impl CuttableStream {
    fn check(&self) -> io::Result<()> {
        if self.cut.0.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the simulator cut the connection"));
        }
        Ok(())
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
