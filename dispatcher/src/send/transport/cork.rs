//! Keeps together what a connection writes. h2 flushes after every body that it does not copy, which is most of them: a
//! TLS record and a call of the system each. With the cork in, a flush waits until the cork is out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// Whether flushes wait. Its clones are the same cork.
#[derive(Clone, Debug, Default)]
pub struct Cork(Arc<AtomicBool>);

/// A stream with a cork. With the cork in it says that all has been flushed, so whoever pulls it flushes again.
#[derive(Debug)]
pub struct Corked<T> {
    inner: BufWriter<T>,
    cork: Cork,
}

impl Cork {
    /// Flushes wait from now on, unless there is no room left.
    pub fn put_in(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The next flush takes all along.
    pub fn pull(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_in(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T: AsyncWrite> Corked<T> {
    /// Room for so many bytes. The cork is out.
    pub fn with_capacity(capacity: usize, inner: T) -> Self {
        Self { inner: BufWriter::with_capacity(capacity, inner), cork: Cork::default() }
    }

    /// Its cork.
    pub fn cork(&self) -> Cork {
        self.cork.clone()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Corked<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cork.is_in() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use bytes::Bytes;
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const ROOM: usize = 1 << 16;

    /// What has come by now.
    fn arrived(theirs: &mut DuplexStream) -> Vec<u8> {
        let mut read = vec![0; ROOM];
        let length = theirs.read(&mut read).now_or_never().map_or(0, Result::unwrap);
        read.truncate(length);
        read
    }

    #[tokio::test]
    async fn what_is_flushed_with_the_cork_in_goes_out_with_the_next_flush() {
        let (ours, mut theirs) = duplex(ROOM);
        let mut corked = Corked::with_capacity(100, ours);
        let cork = corked.cork();
        cork.put_in();
        for part in ["one ", "two "] {
            corked.write_all(part.as_bytes()).await.unwrap();
            corked.flush().await.unwrap();
        }
        assert_eq!(arrived(&mut theirs), b"");
        cork.pull();
        corked.write_all(b"three").await.unwrap();
        corked.flush().await.unwrap();
        assert_eq!(arrived(&mut theirs), b"one two three");
    }

    #[tokio::test]
    async fn requests_that_are_made_at_once_go_out_at_once() {
        const BODY: usize = 800;
        let (ours, mut theirs) = duplex(ROOM);
        let corked = Corked::with_capacity(ROOM, ours);
        let cork = corked.cork();
        let (mut requests, connection) = h2::client::handshake(corked).await.unwrap();
        let mut connection = pin!(connection);
        assert!(futures::poll!(&mut connection).is_pending());
        assert!(arrived(&mut theirs).starts_with(b"PRI * HTTP/2.0"));
        // Who lets go of a request before its answer takes it back.
        let under_way: Vec<_> = (0..10)
            .map(|_| {
                let request = http::Request::post("https://h/").body(()).unwrap();
                let (response, mut stream) = requests.send_request(request, false).unwrap();
                stream.send_data(Bytes::from(vec![b'x'; BODY]), true).unwrap();
                (response, stream)
            })
            .collect();
        cork.put_in();
        assert!(futures::poll!(&mut connection).is_pending());
        assert_eq!(arrived(&mut theirs).len(), 0);
        cork.pull();
        assert!(futures::poll!(&mut connection).is_pending());
        assert!(arrived(&mut theirs).len() > 10 * BODY);
        drop(under_way);
    }

    #[tokio::test]
    async fn what_there_is_no_room_for_goes_out_and_nothing_is_lost() {
        let (ours, mut theirs) = duplex(ROOM);
        let mut corked = Corked::with_capacity(4, ours);
        corked.cork().put_in();
        for part in ["one ", "two ", "three"] {
            corked.write_all(part.as_bytes()).await.unwrap();
            corked.flush().await.unwrap();
        }
        corked.shutdown().await.unwrap();
        let mut read = String::new();
        theirs.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "one two three");
    }
}
