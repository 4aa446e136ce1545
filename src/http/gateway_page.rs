//! `/metrics/gateways`: what is read for it, shared between scrapes, and its body. And `/metrics/carriers`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use crate::metrics::{GatewaySample, GatewaySamples, GatewayText};

/// A scrape that begins while another one is answered shares what was read for that one, if it is
/// not older. Prometheus asks every 15 s or less often.
const SHARED_FOR: Duration = Duration::from_secs(5);
/// Readings that slow readers may keep in memory; 100,000 gateways take about 20 MB.
const MAX_READINGS: usize = 2;

/// What `/metrics` and `/metrics/gateways` answer with.
pub struct MetricsPages {
    pub process: PrometheusHandle,
    pub gateways: Arc<dyn ReadGateways>,
}

/// Where the samples come from.
pub trait ReadGateways: Send + Sync + 'static {
    /// Every gateway on every switch. The error is sent to the client, so it holds no secret.
    fn read(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<GatewaySample>, String>>;

    /// Every carrier, as text. The error is as above.
    fn carriers(self: Arc<Self>) -> BoxFuture<'static, Result<String, String>>;
}

/// Reads for one scrape at a time.
pub(super) struct GatewayPage {
    source: Arc<dyn ReadGateways>,
    /// Where it reads: the threads that answer FreeSWITCH have no time for it. `None` if there is
    /// no other runtime.
    runtime: Option<Handle>,
    last: Mutex<Weak<Reading>>,
    readings: Arc<Semaphore>,
    /// One reading of the carriers at a time.
    carriers: Mutex<()>,
}

/// All samples, for as long as they are being sent.
pub(super) struct Reading {
    samples: Vec<GatewaySample>,
    began: Instant,
    _permit: OwnedSemaphorePermit,
}

impl GatewaySamples for Reading {
    fn samples(&self) -> &[GatewaySample] {
        &self.samples
    }
}

impl GatewayPage {
    pub(super) fn new(source: Arc<dyn ReadGateways>) -> Self {
        Self {
            source,
            runtime: Handle::try_current().ok(),
            last: Mutex::default(),
            readings: Arc::new(Semaphore::new(MAX_READINGS)),
            carriers: Mutex::default(),
        }
    }

    /// The body of a scrape, or why there is none.
    pub(super) async fn body(&self) -> Result<GatewayBody, String> {
        let mut last = self.last.lock().await;
        if let Some(reading) = last.upgrade().filter(|reading| reading.began.elapsed() < SHARED_FOR) {
            return Ok(GatewayBody(GatewayText::new(reading)));
        }
        let permit = self.readings.clone().try_acquire_owned();
        let permit = permit.map_err(|_| "other scrapes are still being read by their clients; try again".to_owned())?;
        let began = Instant::now();
        let samples = self.wait_for(self.source.clone().read()).await?;
        let reading = Arc::new(Reading {
            samples,
            began,
            _permit: permit,
        });
        *last = Arc::downgrade(&reading);
        Ok(GatewayBody(GatewayText::new(reading)))
    }

    /// `/metrics/carriers`, or why it can't be made.
    pub(super) async fn carriers(&self) -> Result<String, String> {
        let _alone = self.carriers.lock().await;
        self.wait_for(self.source.clone().carriers()).await
    }

    /// A client that goes away ends it.
    async fn wait_for<T: Send + 'static>(&self, read: BoxFuture<'static, Result<T, String>>) -> Result<T, String> {
        let done = match &self.runtime {
            Some(runtime) => AbortOnDropHandle::new(runtime.spawn(read)).await,
            None => Ok(read.await),
        };
        done.map_err(|error| format!("a bug in trunkd: {error}"))?
    }
}

/// Written chunk by chunk while it is sent.
pub(super) struct GatewayBody(GatewayText<Reading>);

impl MessageBody for GatewayBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.get_mut().0.next().map(|text| Ok(text.into())))
    }
}

#[cfg(test)]
mod tests;
