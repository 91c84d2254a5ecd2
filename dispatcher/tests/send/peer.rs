//! An HTTP/2 server that does what no decent server does: frames by hand, over TLS. Its answers are 200 without a body.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// `:status: 200`, from HPACK's static table.
const STATUS_200: &[u8] = &[0x88];
const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];

/// How a server treats its connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub streams: Option<u32>,
    /// How long a request takes.
    pub delay: Duration,
    /// The first connections answer nothing at all, not even a PING.
    pub silent: usize,
    /// A connection that has so many requests says GOAWAY, and answers only so many of them.
    pub goaway: Option<(usize, usize)>,
    /// The first connections are cut at their first request.
    pub cut: usize,
    /// It does not say in TLS what it speaks.
    pub untold: bool,
}

/// What a server has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub connections: AtomicUsize,
    /// Connections that are open now.
    pub open: AtomicUsize,
    /// Requests that were answered.
    pub answered: AtomicUsize,
    /// Requests that came in.
    pub requests: AtomicUsize,
    /// The most that were under way at once on one connection.
    pub most_streams: AtomicUsize,
    pub pings: AtomicUsize,
}

pub struct Peer {
    pub url: String,
    pub ca_pem: String,
    pub seen: Arc<Seen>,
}

impl Peer {
    /// Listens until the test ends.
    pub async fn start(manners: Manners) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        if !manners.untold {
            tls.alpn_protocols = vec![b"h2".to_vec()];
        }
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (tls, seen) = (tls.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(tcp).await {
                        let number = seen.connections.fetch_add(1, Ordering::SeqCst);
                        seen.open.fetch_add(1, Ordering::SeqCst);
                        // However it ends, it has ended.
                        let _ = Talk::new(stream, manners, number, Arc::clone(&seen)).run().await;
                        seen.open.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { url, ca_pem: certificate.pem(), seen }
    }
}

struct Talk {
    reader: ReadHalf<TlsStream<TcpStream>>,
    writer: Arc<Mutex<WriteHalf<TlsStream<TcpStream>>>>,
    manners: Manners,
    number: usize,
    seen: Arc<Seen>,
    under_way: Arc<AtomicUsize>,
    requests: Vec<u32>,
}

impl Talk {
    fn new(stream: TlsStream<TcpStream>, manners: Manners, number: usize, seen: Arc<Seen>) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let writer = Arc::new(Mutex::new(writer));
        Self { reader, writer, manners, number, seen, under_way: Arc::default(), requests: Vec::new() }
    }

    async fn run(mut self) -> std::io::Result<()> {
        let mut preface = [0; PREFACE];
        self.reader.read_exact(&mut preface).await?;
        let mut settings = Vec::new();
        if let Some(streams) = self.manners.streams {
            settings.extend(MAX_CONCURRENT_STREAMS);
            settings.extend(streams.to_be_bytes());
        }
        write(&self.writer, SETTINGS, 0, 0, &settings).await?;
        // Nothing is ever too much.
        write(&self.writer, WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes()).await?;
        let mut away = false;
        loop {
            let mut head = [0; 9];
            self.reader.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; length];
            self.reader.read_exact(&mut payload).await?;
            match kind {
                SETTINGS if flags & ACK == 0 => write(&self.writer, SETTINGS, ACK, 0, &[]).await?,
                PING if flags & ACK == 0 => {
                    self.seen.pings.fetch_add(1, Ordering::SeqCst);
                    if self.number >= self.manners.silent {
                        write(&self.writer, PING, ACK, 0, &payload).await?;
                    }
                }
                DATA | HEADERS if flags & END_STREAM != 0 && !away => {
                    self.seen.requests.fetch_add(1, Ordering::SeqCst);
                    self.requests.push(stream);
                    if self.number < self.manners.cut {
                        return Ok(());
                    }
                    away = self.request(stream).await?;
                }
                _ => {}
            }
        }
    }

    /// True once the connection goes away.
    async fn request(&mut self, stream: u32) -> std::io::Result<bool> {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most_streams.fetch_max(under_way, Ordering::SeqCst);
        if self.number < self.manners.silent {
            return Ok(false);
        }
        match self.manners.goaway {
            None => {
                self.answer(vec![stream]);
                Ok(false)
            }
            Some((after, answered)) if self.requests.len() == after => {
                let mut payload = self.requests[answered - 1].to_be_bytes().to_vec();
                payload.extend(0u32.to_be_bytes());
                write(&self.writer, GOAWAY, 0, 0, &payload).await?;
                // Those that count are answered after it.
                self.answer(self.requests[..answered].to_vec());
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }

    fn answer(&self, streams: Vec<u32>) {
        let (writer, delay) = (Arc::clone(&self.writer), self.manners.delay);
        let (seen, under_way) = (Arc::clone(&self.seen), Arc::clone(&self.under_way));
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            for stream in streams {
                under_way.fetch_sub(1, Ordering::SeqCst);
                seen.answered.fetch_add(1, Ordering::SeqCst);
                // The client may be gone.
                let _ = write(&writer, HEADERS, END_STREAM | END_HEADERS, stream, STATUS_200).await;
            }
        });
    }
}

async fn write(
    writer: &Mutex<WriteHalf<TlsStream<TcpStream>>>,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> std::io::Result<()> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    let mut writer = writer.lock().await;
    writer.write_all(&frame).await?;
    writer.flush().await
}
