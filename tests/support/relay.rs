//! A UDP relay on a free port of 127.0.0.1 to one server, for one client at a time, that can be shut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};

const DATAGRAM: usize = 64 * 1024;

/// Runs until it is dropped.
pub struct Relay {
    address: SocketAddr,
    is_open: Arc<AtomicBool>,
    _stop: DropGuard,
}

impl Relay {
    pub async fn start(server: SocketAddr) -> Self {
        let bind = async || {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).await;
            socket.expect("a free port of 127.0.0.1")
        };
        let (near, far) = (bind().await, bind().await);
        let address = near.local_addr().expect("the address of a bound socket");
        let is_open = Arc::new(AtomicBool::new(true));
        let stop = CancellationToken::new();
        let passing = pass(near, far, server, is_open.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(passing));
        Self {
            address,
            is_open,
            _stop: stop.drop_guard(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shut, it loses what comes from either side.
    pub fn set_open(&self, open: bool) {
        self.is_open.store(open, Ordering::Relaxed);
    }
}

async fn pass(near: UdpSocket, far: UdpSocket, server: SocketAddr, is_open: Arc<AtomicBool>) {
    let (mut request, mut answer) = (vec![0; DATAGRAM], vec![0; DATAGRAM]);
    let mut client = None;
    loop {
        // Errors are ICMP's about earlier datagrams.
        let (socket, datagram, to) = tokio::select! {
            Ok((length, from)) = near.recv_from(&mut request) => {
                client = Some(from);
                (&far, &request[..length], Some(server))
            }
            Ok((length, _)) = far.recv_from(&mut answer) => (&near, &answer[..length], client),
            else => continue,
        };
        if let Some(to) = to.filter(|_| is_open.load(Ordering::Relaxed)) {
            let _ = socket.send_to(datagram, to).await;
        }
    }
}
